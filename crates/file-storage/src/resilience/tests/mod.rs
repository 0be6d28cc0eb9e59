//! The decorators: the conformance suite over each, and what each is for, over a backend that does as it is told and by a
//! clock that stands.

mod circuit_breaker;
mod concurrency;
mod conformance;
mod failover;
mod retry;
mod scripted;
mod timeout;

pub(crate) use scripted::{Act, Backend};
