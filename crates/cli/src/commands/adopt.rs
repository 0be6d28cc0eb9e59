//! `aerostore adopt`: files that are there already become objects, by a job of the server's.

use clap::Args;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Context, job};
use crate::failure::Failure;
use crate::output::{plain, table};
use crate::units;

/// Options of `adopt`.
#[derive(Debug, Args)]
pub(crate) struct Adopt {
    /// Where the files are: an absolute path on the server's machine, below one of its `adopt.directories`; or PROVIDER, or
    /// PROVIDER:PATH, for what lies in a cloud store beside Aerostore's own blobs
    #[arg(value_name = "DIRECTORY|PROVIDER")]
    source: String,
    /// The bucket that the objects go to
    #[arg(long)]
    bucket: String,
    /// The folder that they go to
    #[arg(long, default_value = "")]
    prefix: String,
    /// The user whose they will be; without one, they are the service's own
    #[arg(long, value_name = "USER")]
    owner: Option<Uuid>,
    /// Only say what would become objects, and what could not
    #[arg(long)]
    dry_run: bool,
    /// Remove each original as soon as it is an object. On the same file system, its bytes then stay where they are
    #[arg(long = "move")]
    moves: bool,
    /// Replace objects that are something else; else they stay, and are told of
    #[arg(long)]
    overwrite: bool,
    /// Do not wait until the server is done with it
    #[arg(long)]
    detach: bool,
}

impl Adopt {
    /// As the server is asked.
    fn asked(&self) -> Result<Value, Failure> {
        let (directory, provider, path) = match self.source.split_once(':') {
            _ if self.source.starts_with('/') => (Some(self.source.as_str()), None, ""),
            Some((provider, path)) => (None, Some(provider), path.trim_matches('/')),
            None if self.source.contains('/') => {
                return Err(Failure::Usage(format!(
                    "{}: a directory of the server is named by its absolute path, and a place in a provider as PROVIDER:PATH",
                    self.source
                )));
            }
            None => (None, Some(self.source.as_str()), ""),
        };
        Ok(json!({
            "directory": directory, "provider": provider, "path": path, "bucket": self.bucket, "prefix": self.prefix,
            "owner": self.owner, "move": self.moves, "overwrite": self.overwrite, "dry_run": self.dry_run,
        }))
    }
}

/// Runs `aerostore adopt`. What did not become an object is a failure.
pub(crate) async fn run(asked: &Adopt, context: &Context<'_>) -> Result<(), Failure> {
    let Context { client, out } = context;
    let started = client.adopt(&asked.asked()?).await?;
    let id = text(&started, "id").to_owned();
    if asked.detach {
        return out.result(&started, |_| format!("the server is at it: aerostore job wait {id}"));
    }
    let ended = job::wait_or_leave(started, context).await?;
    out.result(&ended, describe)?;
    job::outcome(&ended)
}

fn describe(job: &Value) -> String {
    let dry_run = job.get("dry_run").and_then(Value::as_bool).unwrap_or(false);
    let number = |key: &str| job.get(key).and_then(Value::as_u64).unwrap_or(0);
    let present = job.pointer("/report/present").and_then(Value::as_u64).unwrap_or(0);
    let rows = [
        (if dry_run { "would be adopted" } else { "adopted" }, number("done").to_string()),
        ("bytes", units::size(number("bytes"))),
        ("there already", present.to_string()),
        ("failed", number("failures").to_string()),
    ];
    let removed = job.pointer("/report/removed").and_then(Value::as_u64);
    let removed = removed.map(|removed| ("originals removed", removed.to_string()));
    let rows: Vec<_> =
        rows.into_iter().chain(removed).map(|(name, value)| vec![name.to_owned(), value]).collect();
    let mut shown = table(&rows, &[]);
    for failure in job.pointer("/report/failures").and_then(Value::as_array).into_iter().flatten() {
        let (path, message) = (plain(text(failure, "path")), plain(text(failure, "message")));
        shown.push_str(&format!("\n{path}: {message}"));
    }
    shown
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(source: &str) -> Result<Value, Failure> {
        let adopt = Adopt {
            source: source.to_owned(),
            bucket: "box".to_owned(),
            prefix: String::new(),
            owner: None,
            dry_run: false,
            moves: false,
            overwrite: false,
            detach: false,
        };
        adopt.asked()
    }

    #[test]
    fn a_source_is_an_absolute_path_or_a_provider() {
        for (source, directory, provider, path) in [
            ("/srv/a:b", json!("/srv/a:b"), Value::Null, ""),
            ("old", Value::Null, json!("old"), ""),
            ("old:a/b/", Value::Null, json!("old"), "a/b"),
        ] {
            let asked = from(source).unwrap();
            assert_eq!((&asked["directory"], &asked["provider"]), (&directory, &provider), "{source}");
            assert_eq!(asked["path"], path, "{source}");
        }
        assert!(matches!(from("srv/uploads"), Err(Failure::Usage(_))));
    }

    #[test]
    fn what_became_of_the_files_is_a_table_and_failures_follow() {
        let failed = json!({ "path": "a/x", "code": "ORIGINAL_UNUSABLE", "message": "no" });
        let job = json!({
            "status": "completed", "done": 7, "bytes": 2_000_000, "failures": 1, "dry_run": false,
            "report": { "present": 3, "failures": [failed] },
        });
        let shown = describe(&job);
        for line in
            ["adopted        7", "bytes          2.00 MB", "there already  3", "failed         1", "a/x: no"]
        {
            assert!(shown.lines().any(|shown| shown == line), "{line} in\n{shown}");
        }
        let moved = json!({ "done": 0, "report": { "present": 7, "removed": 7 } });
        let last = describe(&moved).lines().last().map(str::to_owned);
        assert_eq!(last.as_deref(), Some("originals removed  7"));
        let failed = json!({ "path": "a\u{1b}[2J\nb\u{7}", "message": "no" });
        let shown = describe(&json!({ "report": { "failures": [failed] } }));
        assert!(shown.ends_with("\na\\u{1b}[2J\\nb\\u{7}: no"), "{shown:?}");
    }
}
