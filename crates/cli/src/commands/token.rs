//! `aerostore token create`: a JWT that this server accepts, signed with its own secret.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};
use server::auth::{MintError, NewToken, mint_token_with_claims};
use uuid::Uuid;

use crate::args::Global;
use crate::failure::Failure;
use crate::output::Output;
use crate::{settings, units};

/// What to do with tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Make a JWT and print it
    Create(Create),
}

/// Options of `token create`.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// The user that the token stands for
    #[arg(long, value_name = "UUID", required_if_eq("role", "authenticated"))]
    user: Option<Uuid>,
    /// What it may do
    #[arg(long, value_enum, default_value = "authenticated")]
    role: Role,
    /// How long it is valid
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = units::parse_duration)]
    expires_in: Duration,
    /// More claims, as a JSON object; policies can read them
    #[arg(long, value_name = "JSON", value_parser = claims)]
    claims: Option<Claims>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Role {
    Anon,
    Authenticated,
    #[value(name = "service_role", aliases = ["service", "service-role"])]
    Service,
}

#[derive(Debug, Clone)]
struct Claims(Map<String, Value>);

/// Runs `aerostore token`.
pub(crate) fn run(command: Token, global: &Global, out: &Output) -> Result<(), Failure> {
    let Token::Create(create) = command;
    if create.expires_in.as_secs() == 0 {
        return Err(Failure::Usage("--expires-in is at least 1s".to_owned()));
    }
    let config = settings::load(global, Vec::new())?.config;
    let secrets = settings::secrets(&config)?;
    let role = match create.role {
        Role::Anon => server::auth::Role::Anon,
        Role::Authenticated => server::auth::Role::Authenticated,
        Role::Service => server::auth::Role::ServiceRole,
    };
    let issued_at = chrono::Utc::now();
    let expires_at = chrono::TimeDelta::from_std(create.expires_in)
        .ok()
        .and_then(|lifetime| issued_at.checked_add_signed(lifetime))
        .ok_or_else(|| Failure::Usage("--expires-in is too long".to_owned()))?;
    let token = NewToken { role, user: create.user, issued_at, lifetime: create.expires_in };
    let claims = create.claims.map(|claims| claims.0).unwrap_or_default();
    let token =
        mint_token_with_claims(secrets.jwt(), &config.auth, &token, &claims).map_err(
            |error| match error {
                MintError::NoUser | MintError::TooLong | MintError::Reserved(_) => {
                    Failure::Usage(error.to_string())
                }
                MintError::Sign(_) => Failure::Other(error.into()),
            },
        )?;
    let expires_at = expires_at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    out.result(&json!({ "token": token, "expires_at": expires_at }), |_| token.clone())
}

fn claims(text: &str) -> Result<Claims, String> {
    serde_json::from_str(text).map(Claims).map_err(|error| format!("not a JSON object: {error}"))
}
