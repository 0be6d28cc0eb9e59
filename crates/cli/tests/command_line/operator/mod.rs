//! What an operator asks of a running server: quotas, usage, rules, jobs, receivers of events, keys of S3's clients. Each command with
//! its usual words, as text and as JSON, what it changed on the server, and who is refused.

mod credentials;
mod jobs;
mod lifecycle;
mod quotas;
mod usage;
mod webhooks;

use crate::server::Server;

/// Somebody with an account.
const USER: &str = "11111111-1111-4111-8111-111111111111";

/// That neither a user nor somebody without a token may do this.
#[track_caller]
fn for_operators_alone(server: &Server, arguments: &[&str]) {
    server.run_as_nobody(arguments).fails(4, "AUTH_REQUIRED");
    server.run_as(&server.token(USER), arguments).fails(4, "(403 ");
}

/// The row of a table that begins so, with one space between its cells.
#[track_caller]
fn row(table: &str, start: &str) -> String {
    let mut rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    rows.find(|row| row.starts_with(start)).unwrap_or_else(|| panic!("no row `{start}` in\n{table}"))
}
