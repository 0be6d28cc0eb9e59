//! A whole server, from its start to its end: what operators and their machines see of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod documents;
mod lifecycle;
mod management;
mod support;
mod watching;
