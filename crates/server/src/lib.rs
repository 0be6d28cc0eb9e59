//! The server: protocols over the domain, behind one harness.

pub mod auth;
pub mod config;
pub mod http;
pub mod secrets;
