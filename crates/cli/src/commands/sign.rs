//! `aerostore sign`: a URL that works without a token, for a while.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::Context;
use crate::address::Remote;
use crate::client::encode;
use crate::failure::Failure;
use crate::units;

/// Options of `sign`.
#[derive(Debug, Args)]
pub(crate) struct Sign {
    /// BUCKET/PATH of the object
    address: Remote,
    /// How long a download URL works [default: 1h]. Upload URLs work as long as the server says (2h)
    #[arg(long, value_name = "DURATION", value_parser = units::parse_duration, conflicts_with = "upload")]
    expires_in: Option<Duration>,
    /// The URL works only once
    #[arg(long)]
    single_use: bool,
    /// For uploading instead of downloading: PUT the bytes to it
    #[arg(long)]
    upload: bool,
    /// With --upload: the upload may replace an object
    #[arg(long, requires = "upload")]
    overwrite: bool,
    /// Let a browser save the file under this name (empty: its own)
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "", conflicts_with = "upload")]
    download: Option<String>,
}

/// Runs `aerostore sign`.
pub(crate) async fn run(sign: &Sign, context: &Context<'_>) -> Result<(), Failure> {
    let object = sign.address.clone().object().map_err(Failure::Usage)?;
    let valid = sign.expires_in.unwrap_or(Duration::from_secs(3600));
    if valid.as_secs() == 0 {
        return Err(Failure::Usage("--expires-in is at least 1s".to_owned()));
    }
    let (mut url, signed) = if sign.upload {
        context.client.sign_upload(&object, sign.overwrite, sign.single_use).await?
    } else {
        context.client.sign_download(&object, valid, sign.single_use).await?
    };
    if let Some(name) = &sign.download {
        let mark = if url.contains('?') { '&' } else { '?' };
        url = format!("{url}{mark}download={}", encode(name).replace('/', "%2F"));
    }
    let result = json!({ "url": url, "expires_at": signed.expires_at });
    context.out.result(&result, |_| url.clone())
}
