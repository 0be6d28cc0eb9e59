//! The real binary with its bytes in the cloud: in moto and Azurite, which `scripts/emulators` starts, and in another
//! Aerostore.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests, whose helpers lie outside of test functions"
)]

#[path = "../../../file-storage/tests/support/fault_proxy.rs"]
mod fault_proxy;
#[allow(dead_code, reason = "shared with another suite, which uses more of it")]
#[path = "../s3/signer.rs"]
mod signer;
#[allow(dead_code, unused_imports, reason = "shared with another suite, which uses more of it")]
#[path = "../http/support/mod.rs"]
mod support;

mod adopt;
mod archive;
mod backup;
mod cloud;
mod copies;
mod failover;
mod health;
mod identities;
mod life;
mod memory;
mod moving;
mod one_blob;
mod outages;
mod pieces;
mod queue;
mod scrub;
mod starts;
mod stopped;

use support::Reply;
