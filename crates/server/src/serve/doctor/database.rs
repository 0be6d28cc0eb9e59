//! Whether the database is fit, and what its rows say of what went wrong.

use file_storage::executor::look::{Books, Look, look};
use file_storage::executor::postgres::{Diagnosis, PostgresAddress, PostgresExecutor};

use super::{Finding, PATIENCE, with_cause};
use crate::config::{Config, Database};
use crate::serve::{backup, identities, open, rules};

const ABOUT: &str = "database";

/// How far the database's clock may be off before somebody should look, in milliseconds.
const CLOCK_TOLERANCE_MS: u64 = 2000;

/// Connections that are left to others where all servers have theirs.
const SPARE_CONNECTIONS: u64 = 5;

/// What was found; and what its rows say, where they can be read.
pub(super) async fn look_at(config: &Config) -> (Vec<Finding>, Option<Look>) {
    let mut findings = match &config.database {
        Database::Postgres(address) => reached(config, address).await,
        Database::Sqlite(_) => Vec::new(),
    };
    if findings.iter().any(|finding| finding.severity == super::Severity::Error) {
        return (findings, None);
    }
    let looking = look(backup::database(config), identities::names(config), rules::buckets(config));
    match tokio::time::timeout(PATIENCE, looking).await {
        Ok(Ok(found)) => {
            if let Look::Books(books) = &found {
                findings.extend(troubles(books));
            }
            (findings, Some(found))
        }
        Ok(Err(error)) => {
            let advice = "a server with this database does not start: see what is in the way";
            findings.push(Finding::error(ABOUT, with_cause(&error), advice));
            (findings, None)
        }
        Err(_) => {
            let found = format!("its rows could not be read within {} s", PATIENCE.as_secs());
            findings.push(Finding::warning(ABOUT, found, "see whether it is overloaded, and try again"));
            (findings, None)
        }
    }
}

/// What went wrong before, and waits for somebody.
fn troubles(books: &Books) -> Vec<Finding> {
    let mut findings = Vec::new();
    if books.failed_entries > 0 {
        findings.push(Finding::warning(
            "upload queue",
            format!("{} files were given up on their way to where they belong", books.failed_entries),
            "they are safe, and not where they should be: `aerostore queue list --status failed` says why, `aerostore queue retry --all` \
             tries again",
        ));
    }
    if books.silent_webhooks > 0 {
        findings.push(Finding::warning(
            "webhooks",
            format!("{} webhooks are disabled or paused: nothing is sent to them", books.silent_webhooks),
            "`aerostore webhook list` says which and why; once the receiver is well, `aerostore webhook set ID --enable` goes on with what waits",
        ));
    }
    if let Some(wrong) = books.wrong_counters.as_ref().filter(|wrong| !wrong.is_empty()) {
        let first = wrong.first().map(|it| format!("{} {}", it.scope, it.name)).unwrap_or_default();
        findings.push(Finding::warning(
            "counters",
            format!(
                "{} counters of usage are wrong (the {first}, for one), and quotas are held to them",
                wrong.len()
            ),
            "`aerostore usage --repair` counts anew; if they go wrong again, tell us",
        ));
    }
    findings
}

async fn reached(config: &Config, address: &PostgresAddress) -> Vec<Finding> {
    let looked = PostgresExecutor::diagnose(open::postgres(config, address));
    match tokio::time::timeout(PATIENCE, looked).await {
        Ok(Ok(diagnosis)) => fitness(&diagnosis, config.postgres.connections),
        Ok(Err(error)) => {
            let advice = "see that PostgreSQL runs, that its address and password are right, and that it lets this machine in";
            vec![Finding::error(ABOUT, with_cause(&error), advice)]
        }
        Err(_) => vec![Finding::error(
            ABOUT,
            format!("PostgreSQL did not answer within {} s", PATIENCE.as_secs()),
            "see that it can be reached from this machine",
        )],
    }
}

fn fitness(found: &Diagnosis, connections: u32) -> Vec<Finding> {
    let (major, minor) = (found.server_version / 10_000, found.server_version % 10_000);
    let latency = found.latency.as_micros() as f64 / 1000.0;
    let mut findings =
        vec![Finding::ok(ABOUT, format!("PostgreSQL {major}.{minor} answers in {latency:.1} ms"))];
    if found.schema_version > found.known_schema_version {
        findings.push(Finding::error(
            ABOUT,
            format!(
                "its schema has version {}; this program knows {}",
                found.schema_version, found.known_schema_version
            ),
            "run the newer Aerostore that made it",
        ));
    }
    if let Some(in_the_way) = &found.in_the_way {
        findings.push(Finding::error(
            ABOUT,
            in_the_way.clone(),
            "without it no server starts: docs/postgres.md says what an administrator prepares once",
        ));
    }
    if u64::from(connections).saturating_add(SPARE_CONNECTIONS)
        > u64::try_from(found.usable_connections).unwrap_or(0)
    {
        findings.push(Finding::warning(
            ABOUT,
            format!(
                "postgres.connections is {connections} for each server, and PostgreSQL lets {} in, of all programs together",
                found.usable_connections
            ),
            "lower postgres.connections, or raise max_connections (or the login's CONNECTION LIMIT): who finds no connection is answered 503",
        ));
    }
    if found.clock_ahead_ms.unsigned_abs() > CLOCK_TOLERANCE_MS {
        findings.push(Finding::warning(
            "clock",
            format!("the database's clock is {} ms ahead of this machine's", found.clock_ahead_ms),
            "keep both by NTP: tokens, signed URLs and graces are compared with clocks",
        ));
    }
    if found.bypasses_row_security {
        findings.push(Finding::ok(
            ABOUT,
            "the login may bypass row-level security; requests run as roles that may not",
        ));
    }
    if found.is_pooled_by_transaction {
        findings.push(Finding::warning(
            ABOUT,
            "a pooler gives each transaction another connection",
            "it must keep prepared statements (PgBouncer 1.21 or newer, max_prepared_statements above zero), else requests fail at random; \
             or set it to session mode",
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use file_storage::executor::UsageDifference;

    use super::*;
    use crate::serve::doctor::Severity;

    #[test]
    fn what_waits_for_somebody_is_told() {
        assert_eq!(troubles(&Books { wrong_counters: Some(Vec::new()), ..Books::default() }), []);
        let wrong = UsageDifference {
            scope: "bucket",
            name: "photos".into(),
            bytes: (1, 2),
            files: (1, 1),
            unfinished: (0, 0),
        };
        let books = Books {
            failed_entries: 2,
            silent_webhooks: 1,
            wrong_counters: Some(vec![wrong]),
            ..Books::default()
        };
        let found = troubles(&books);
        assert!(
            found.iter().all(|finding| finding.severity == Severity::Warning && finding.advice.is_some())
        );
        let about: Vec<_> = found.iter().map(|finding| finding.about).collect();
        assert_eq!(about, ["upload queue", "webhooks", "counters"]);
        assert!(found.iter().any(|finding| finding.found.contains("bucket photos")), "{found:?}");
    }

    fn found() -> Diagnosis {
        Diagnosis {
            server_version: 170_002,
            latency: Duration::from_micros(1500),
            clock_ahead_ms: 10,
            schema_version: 14,
            known_schema_version: 14,
            bypasses_row_security: false,
            usable_connections: 97,
            in_the_way: None,
            is_pooled_by_transaction: false,
        }
    }

    #[test]
    fn what_is_wrong_with_a_database_is_told_with_what_to_do() {
        let check = |found: Diagnosis, severity: Severity, words: &str| {
            let findings = fitness(&found, 32);
            let worst = findings.iter().max_by_key(|finding| finding.severity).unwrap();
            assert!(worst.severity == severity && worst.found.contains(words), "{findings:?}");
            assert_eq!(worst.advice.is_some(), severity > Severity::Ok);
        };
        check(found(), Severity::Ok, "PostgreSQL 17.2 answers in 1.5 ms");
        check(Diagnosis { schema_version: 99, ..found() }, Severity::Error, "version 99");
        check(Diagnosis { clock_ahead_ms: -9000, ..found() }, Severity::Warning, "-9000 ms");
        check(Diagnosis { is_pooled_by_transaction: true, ..found() }, Severity::Warning, "pooler");
        check(Diagnosis { usable_connections: 36, ..found() }, Severity::Warning, "is 32 for each server");
        check(Diagnosis { in_the_way: Some("roles".into()), ..found() }, Severity::Error, "roles");
    }
}
