//! Remote providers against emulators, which `scripts/emulators` starts: the conformance suite over each, and each fault
//! that a network and a store can have.

#[path = "../../../../tests/support/fault_proxy.rs"]
mod fault_proxy;

mod conformance;
mod errors;
mod faults;
mod identity;
mod place;
mod unfinished;
