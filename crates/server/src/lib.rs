//! The server: protocols over the domain, behind one harness.

pub mod auth;
pub mod client_address;
pub mod config;
pub mod http;
pub mod rate_limit;
pub mod secrets;
pub mod telemetry;
