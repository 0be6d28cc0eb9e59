//! S3 against the real binary: every door, every caller, and what must be refused. Requests are signed by a signer of
//! these tests' own, written from AWS's description and not from the server's code.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests, whose helpers lie outside of test functions"
)]

#[allow(dead_code, unused_imports, reason = "shared with another suite, which uses more of it")]
#[path = "../http/support/mod.rs"]
mod support;

mod answers;
mod audit;
mod bodies;
mod check;
mod conditions;
mod credentials;
mod doors;
mod forms;
mod lifecycle;
mod meanings;
mod multipart;
mod operations;
mod origins;
mod policies;
mod proxy;
mod signatures;
mod signer;
mod versions;

use signer::{Client, Signer};
use support::{Reply, Server, Who};

/// What a caller of a door is known by: a user's own token as session token, or the service's key.
fn signer(server: &Server, who: Who) -> Signer {
    match who {
        Who::Service => Signer::new(&server.key("s3_access_key_id"), &server.key("s3_secret_access_key")),
        who => {
            Signer { token: Some(server.token(who)), ..Signer::new("any-project", &server.key("anon_key")) }
        }
    }
}

fn client(server: &Server) -> Client {
    Client::new(server.address)
}

#[track_caller]
fn expect(reply: &Reply, status: u16, code: &str) {
    assert_eq!(reply.status, status, "{}, wanted {code}: {}", reply.what, reply.text());
    if !code.is_empty() && !reply.what.starts_with("HEAD") {
        let wanted = format!("<Code>{code}</Code>");
        assert!(reply.text().contains(&wanted), "{}, wanted {code}: {}", reply.what, reply.text());
    }
}
