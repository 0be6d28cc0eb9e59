//! What an operator chooses about connections.

use std::time::Duration;

use ipnet::IpNet;

/// What an operator chooses about connections.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// Connections that are open at once; more wait in the kernel's queue.
    pub max_connections: u32,
    /// How long a client may take to send the head of a request, and how long a kept connection may idle.
    pub header_timeout: Duration,
    /// How long a body may stand still, in either direction.
    pub body_idle_timeout: Duration,
    /// How long running requests may take to finish at the end.
    pub shutdown_grace: Duration,
    /// From whom forwarded headers, and a request id, are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Origins whose pages may call; `*` for any.
    pub allowed_origins: Vec<String>,
    /// Where routes say themselves which pages may call them: their path begins so.
    pub own_cors_below: Option<&'static str>,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            header_timeout: Duration::from_secs(30),
            body_idle_timeout: Duration::from_secs(60),
            shutdown_grace: Duration::from_secs(30),
            trusted_proxies: Vec::new(),
            allowed_origins: vec!["*".to_owned()],
            own_cors_below: None,
        }
    }
}
