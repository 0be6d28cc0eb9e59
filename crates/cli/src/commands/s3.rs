//! `aerostore s3`: S3 as its clients see it.

use std::net::IpAddr;

use clap::{Args, Subcommand};

use crate::args::Global;
use crate::client::{is_loopback, keys_of_data_dir, parse_base};
use crate::failure::Failure;
use crate::output::Output;
use crate::s3_check::{self, Endpoint, Plan, Signer};

/// What to do about S3.
#[derive(Debug, Subcommand)]
pub(crate) enum S3 {
    /// Say whether signed requests get through to S3 at a URL, and what a proxy changes on the way
    Check(Check),
}

/// Options of `s3 check`.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// What clients are given as endpoint [default: /storage/v1/s3 of --url]
    #[arg(value_name = "URL")]
    endpoint: Option<String>,
    /// A bucket in which to write an object, and delete it again; without it, nothing is written
    #[arg(long)]
    bucket: Option<String>,
    /// The address that the URL's host and the names below it lead to, before DNS says so
    #[arg(long, value_name = "ADDRESS")]
    resolve: Option<IpAddr>,
    /// A key to sign with [default: the first key, of the data directory]
    #[arg(long, env = "AWS_ACCESS_KEY_ID", value_name = "ID", requires = "secret_access_key")]
    access_key_id: Option<String>,
    /// Its secret. Prefer the variable: other users of this machine can see arguments
    #[arg(long, env = "AWS_SECRET_ACCESS_KEY", hide_env_values = true, value_name = "SECRET")]
    secret_access_key: Option<String>,
    /// A user's JWT; the secret is the anon key then
    #[arg(long, env = "AWS_SESSION_TOKEN", hide_env_values = true, value_name = "JWT")]
    session_token: Option<String>,
    /// The region to sign for
    #[arg(long, env = "AWS_DEFAULT_REGION", default_value = "us-east-1")]
    region: String,
}

/// Runs `aerostore s3`.
pub(crate) async fn run(s3: S3, global: &Global, out: &Output) -> Result<(), Failure> {
    let S3::Check(check) = s3;
    let endpoint = match &check.endpoint {
        Some(url) => Endpoint::parse(url)?,
        None => Endpoint::below(&parse_base(&global.url)?),
    };
    let signer = signer(&check, &endpoint, global)?;
    let mut report =
        s3_check::run(Plan { endpoint, signer, bucket: check.bucket, resolved: check.resolve }).await?;
    if out.is_json() {
        out.json(&report)?;
    } else {
        out.text(&report.text())?;
    }
    report.outcome()
}

fn signer(check: &Check, endpoint: &Endpoint, global: &Global) -> Result<Signer, Failure> {
    let given = |value: &Option<String>| value.clone().filter(|text| !text.is_empty());
    let (session_token, region) = (given(&check.session_token), check.region.clone());
    let (access_key_id, secret_access_key) =
        match (given(&check.access_key_id), given(&check.secret_access_key)) {
            (Some(id), Some(secret)) => (id, secret),
            (None, None) if session_token.is_none() => {
                let keys = keys_of_data_dir(global, is_loopback(endpoint.url()))?;
                let keys = keys.ok_or_else(|| Failure::Usage(NO_KEY.to_owned()))?;
                (keys.s3_access_key_id.as_str().to_owned(), keys.s3_secret_access_key.as_str().to_owned())
            }
            _ => return Err(Failure::Usage("an access key id and its secret go together".to_owned())),
        };
    let is_sound = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    let token = session_token.as_deref().unwrap_or("-");
    if ![access_key_id.as_str(), region.as_str(), token].into_iter().all(is_sound) || region.contains('/') {
        return Err(Failure::Usage("a key, session token or region can't be sent in a header".to_owned()));
    }
    Ok(Signer { access_key_id, secret_access_key, session_token, region })
}

const NO_KEY: &str = "there is no key to sign with: say --access-key-id and AWS_SECRET_ACCESS_KEY, or --data-dir to use the \
     first key of a data directory";
