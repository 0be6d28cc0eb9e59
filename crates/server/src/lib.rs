//! The server: protocols over the domain, behind one harness.

pub mod http;
