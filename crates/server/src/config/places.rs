//! How places are written: addresses, URLs, databases, networks.

use std::path::PathBuf;

use file_storage::executor::postgres::{PostgresAddress, SchemaName};
use ipnet::IpNet;

use super::Setting;
use super::forms::one;
use super::raw::RawValue;

/// An address to listen on, `HOST:PORT`; port 0 takes a free one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address(pub String);

impl Setting for Address {
    const FORM: &'static str = "`HOST:PORT`";

    fn parse(raw: &RawValue) -> Result<Self, String> {
        let text = one(raw)?;
        let refuse = || format!("'{text}' is not HOST:PORT, like 127.0.0.1:8000 or [::1]:8000");
        let (host, port) = text.rsplit_once(':').ok_or_else(refuse)?;
        let bare_ipv6 = host.contains(':') && !(host.starts_with('[') && host.ends_with(']'));
        if host.is_empty() || bare_ipv6 || host.contains('/') || port.parse::<u16>().is_err() {
            return Err(refuse());
        }
        Ok(Self(text.to_owned()))
    }

    fn show(&self) -> String {
        self.0.clone()
    }
}

/// Where clients see the server, without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl(pub String);

impl Setting for PublicUrl {
    const FORM: &'static str = "URL";

    fn parse(raw: &RawValue) -> Result<Self, String> {
        let WebUrl(text) = WebUrl::parse(raw)?;
        if text.contains('?') {
            return Err(format!("'{text}' has a query, which has no place here"));
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }

    fn show(&self) -> String {
        self.0.clone()
    }
}

/// A URL of something on the web.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebUrl(pub String);

impl Setting for WebUrl {
    const FORM: &'static str = "URL";

    fn parse(raw: &RawValue) -> Result<Self, String> {
        let text = one(raw)?;
        let refuse = || format!("'{text}' is not a URL like https://files.example.org");
        let uri: http::Uri = text.parse().map_err(|_| refuse())?;
        let web = matches!(uri.scheme_str(), Some("http" | "https"));
        let host = uri.host().is_some_and(|host| !host.is_empty());
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            // Not repeated: it may be a password.
            return Err("is a URL with a user name, which would show in logs".into());
        }
        if web && host { Ok(Self(text.to_owned())) } else { Err(refuse()) }
    }

    fn show(&self) -> String {
        self.0.clone()
    }
}

/// Where the metadata is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// An SQLite file; `None` for the one in the data directory.
    Sqlite(Option<PathBuf>),
    /// A PostgreSQL database, which processes may share.
    Postgres(Box<PostgresAddress>),
}

impl Setting for Database {
    const FORM: &'static str = "`sqlite`, `sqlite:PATH` or `postgres://USER:PASSWORD@HOST:PORT/DATABASE`";

    fn parse(raw: &RawValue) -> Result<Self, String> {
        let text = one(raw)?;
        match text.split_once(':') {
            None if text == "sqlite" => Ok(Self::Sqlite(None)),
            Some(("sqlite", path)) if !path.trim_start_matches('/').is_empty() => {
                Ok(Self::Sqlite(Some(PathBuf::from(path.strip_prefix("//").unwrap_or(path)))))
            }
            Some(("postgres" | "postgresql", _)) => {
                // The address may carry a password: the error does not repeat it.
                let address = PostgresAddress::parse(text).map_err(|error| error.to_string())?;
                Ok(Self::Postgres(Box::new(address)))
            }
            _ => Err("is neither 'sqlite', nor 'sqlite:PATH', nor 'postgres://…'".into()),
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Sqlite(None) => "sqlite".to_owned(),
            Self::Sqlite(Some(path)) => format!("sqlite:{}", path.display()),
            Self::Postgres(address) => address.to_string(),
        }
    }
}

impl Setting for SchemaName {
    const FORM: &'static str = "name: up to 57 of `a-z`, `0-9` and `_`";

    fn parse(raw: &RawValue) -> Result<Self, String> {
        Self::parse(one(raw)?).map_err(|error| error.to_string())
    }

    fn show(&self) -> String {
        self.as_str().to_owned()
    }
}

impl Setting for IpNet {
    const FORM: &'static str = "address or network: `10.0.0.5`, `10.0.0.0/8`";

    fn parse(raw: &RawValue) -> Result<Self, String> {
        let text = one(raw)?;
        let address = || text.parse::<std::net::IpAddr>().map(Self::from);
        text.parse::<Self>()
            .or_else(|_| address())
            .map_err(|_| format!("'{text}' is neither an address nor a network like 10.0.0.0/8"))
    }

    fn show(&self) -> String {
        self.to_string()
    }
}
