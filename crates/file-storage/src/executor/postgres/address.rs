//! Where a database is, and who connects: a URL as `psql` takes it. The password never leaves this value but for
//! the database.

use std::fmt;
use std::path::PathBuf;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

/// The name under which connections show in `pg_stat_activity`.
const APPLICATION: &str = "aerostore";

/// A checked address of a PostgreSQL database.
#[derive(Clone)]
pub struct PostgresAddress {
    pub(super) config: Config,
    pub(super) tls: TlsUse,
    /// `sslrootcert` of the URL.
    pub(super) root_certificates: Option<PathBuf>,
}

/// How a connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TlsUse {
    /// Not at all.
    Disabled,
    /// Encrypted where the server can, and not verified: safe from listeners, not from impostors.
    Preferred,
    /// Encrypted, the server's certificate and name verified.
    Verified,
}

/// A URL that is no address of a database. It does not repeat the URL, which may have a password in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is no address like postgres://user@host:5432/database: {0}")]
pub struct BadAddress(String);

impl PostgresAddress {
    /// Reads a URL. Beyond what the driver knows, `sslmode` may be `verify-ca` or `verify-full`, which mean `require`:
    /// a certificate that is required is always verified. `sslrootcert` names a file of authorities.
    ///
    /// # Errors
    /// [`BadAddress`], saying what is wrong.
    pub fn parse(url: &str) -> Result<Self, BadAddress> {
        let (place, query) = url.split_once('?').unwrap_or((url, ""));
        let mut root_certificates = None;
        let mut known = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sslmode", "verify-ca" | "verify-full")) => known.push("sslmode=require"),
                Some(("sslrootcert", file)) => root_certificates = Some(PathBuf::from(file)),
                _ => known.push(pair),
            }
        }
        let driver_url =
            if known.is_empty() { place.to_owned() } else { format!("{place}?{}", known.join("&")) };
        let mut config: Config = driver_url.parse().map_err(|error| BadAddress(causes(&error)))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(BadAddress("it names no host".to_owned()));
        }
        let tls = match config.get_ssl_mode() {
            SslMode::Disable => TlsUse::Disabled,
            SslMode::Prefer => TlsUse::Preferred,
            _ => TlsUse::Verified,
        };
        if config.get_application_name().is_none() {
            config.application_name(APPLICATION);
        }
        Ok(Self { config, tls, root_certificates })
    }
}

/// What an error and those behind it say.
pub(super) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

/// Host, port and database: what may stand in logs.
impl fmt::Display for PostgresAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("postgres://")?;
        for (at, host) in self.config.get_hosts().iter().enumerate() {
            let separator = if at == 0 { "" } else { "," };
            match host {
                Host::Tcp(name) => write!(f, "{separator}{name}")?,
                Host::Unix(path) => write!(f, "{separator}{}", path.display())?,
            }
            let ports = self.config.get_ports();
            if let Some(port) = ports.get(at).or_else(|| ports.first()) {
                write!(f, ":{port}")?;
            }
        }
        write!(f, "/{}", self.config.get_dbname().unwrap_or_default())
    }
}

impl fmt::Debug for PostgresAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PartialEq for PostgresAddress {
    fn eq(&self, other: &Self) -> bool {
        (&self.config, self.tls, &self.root_certificates)
            == (&other.config, other.tls, &other.root_certificates)
    }
}

impl Eq for PostgresAddress {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_psql_reads_them_and_show_no_password() {
        let read = |url: &str| PostgresAddress::parse(url).unwrap();
        let full =
            read("postgres://me:s3cret@db.example.org:5433/files?sslmode=verify-full&sslrootcert=/ca.pem");
        assert_eq!(full.tls, TlsUse::Verified);
        assert_eq!(full.root_certificates, Some(PathBuf::from("/ca.pem")));
        assert_eq!(full.to_string(), "postgres://db.example.org:5433/files");
        assert!(!format!("{full:?}").contains("s3cret"));
        assert_eq!(read("postgres://me@host/files").tls, TlsUse::Preferred);
        assert_eq!(read("postgresql://me@host/files?sslmode=disable").tls, TlsUse::Disabled);
        assert_eq!(read("postgres://me@host/files?sslmode=require&connect_timeout=3").tls, TlsUse::Verified);
        for bad in ["postgres://", "postgres://me:s3cret@host/x?sslmode=maybe", "mysql://me:s3cret@host/x"] {
            let error = PostgresAddress::parse(bad).unwrap_err().to_string();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
