//! One request to one receiver, and what it says.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use chrono::Utc;
use file_storage::webhooks::{ReadyWebhook, WebhookMessage};
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};

use super::network::{FORBIDDEN, Forbidden, Guard, Networks};

/// How long a receiver may take for everything.
const TIMEOUT: Duration = Duration::from_secs(15);

/// How long a connection may take to be there.
const CONNECT: Duration = Duration::from_secs(10);

/// Bytes of an answer that are read, so that its connection can be used again; more are left.
const MAX_ANSWER: usize = 64 * 1024;

/// Bytes of an answer that are shown.
const SHOWN: usize = 1024;

/// Who asks, for receivers' logs.
const AGENT: &str = concat!("Aerostore/", env!("CARGO_PKG_VERSION"), " webhooks");

/// What sends.
pub(crate) struct Sender {
    networks: Arc<Networks>,
    secure: Client,
    /// For networks that the operator allows alone.
    plain: Client,
}

/// What a receiver says.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    /// How long the receiver wants to be left alone.
    pub(crate) retry_after: Option<Duration>,
    /// How its answer begins.
    pub(crate) text: String,
    pub(crate) duration: Duration,
}

/// Why a receiver says nothing. Names no path and no query: there may be secrets in them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unsent {
    #[error("{0}")]
    Refused(&'static str),
    #[error("no answer within {} s", TIMEOUT.as_secs())]
    Timeout,
    #[error("no connection: {0}")]
    Connection(String),
    #[error("no answer: {0}")]
    Broken(String),
}

impl Sender {
    pub(super) fn new(networks: Arc<Networks>) -> Result<Self, reqwest::Error> {
        let client = |is_secure: bool| {
            Client::builder()
                .dns_resolver(Arc::new(Guard::new(networks.clone(), is_secure)))
                .https_only(is_secure)
                // A receiver that sends elsewhere would send past the looks at addresses.
                .redirect(Policy::none())
                .no_proxy()
                .referer(false)
                .timeout(TIMEOUT)
                .connect_timeout(CONNECT)
                .pool_max_idle_per_host(2)
                .build()
        };
        let (secure, plain) = (client(true)?, client(false)?);
        Ok(Self { networks, secure, plain })
    }

    /// Sends a message, signed, and waits for what the receiver says.
    pub(crate) async fn send(&self, ready: &ReadyWebhook, message: &WebhookMessage) -> Result<Reply, Unsent> {
        // Looked at again: what is allowed may have changed since the webhook was made.
        let url = self.networks.check_url(&ready.webhook.url).map_err(Unsent::Refused)?;
        let client = if url.scheme() == "https" { &self.secure } else { &self.plain };
        let (now, body, started) = (Utc::now(), message.body(), Instant::now());
        let signature = ready.sign(&message.id, now, &body);
        let request = client
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, AGENT)
            .header("webhook-id", &message.id)
            .header("webhook-timestamp", now.timestamp())
            .header("webhook-signature", signature)
            .body(body);
        let answer = request.send().await.map_err(|error| unsent(&error))?;
        let (status, retry_after) = (answer.status(), retry_after(&answer));
        let text = beginning(answer).await;
        Ok(Reply { status, retry_after, text, duration: started.elapsed() })
    }
}

fn unsent(error: &reqwest::Error) -> Unsent {
    let mut cause: &(dyn std::error::Error + 'static) = error;
    loop {
        if cause.is::<Forbidden>() {
            return Unsent::Refused(FORBIDDEN);
        }
        match cause.source() {
            Some(source) => cause = source,
            None => break,
        }
    }
    // Of the innermost cause: the outer ones have the URL in their words.
    match () {
        () if error.is_timeout() => Unsent::Timeout,
        () if error.is_connect() && is_plain(&cause.to_string()) => Unsent::Connection(
            "there is no TLS there: what answers speaks http://, and not https://".to_owned(),
        ),
        () if error.is_connect() => Unsent::Connection(cause.to_string()),
        () => Unsent::Broken(cause.to_string()),
    }
}

/// Whether a handshake failed as what came back was no TLS, by rustls's word for it.
fn is_plain(cause: &str) -> bool {
    cause.contains("InvalidContentType")
}

/// The header in either of its forms.
fn retry_after(answer: &Response) -> Option<Duration> {
    let text = answer.headers().get(RETRY_AFTER)?.to_str().ok()?.trim();
    match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(SystemTime::now()).ok(),
    }
}

/// Reads an answer, as far as it is of use. The status is there already: what breaks here breaks nothing.
async fn beginning(mut answer: Response) -> String {
    let (mut kept, mut read) = (Vec::new(), 0_usize);
    while let Ok(Some(chunk)) = answer.chunk().await {
        let room = SHOWN.saturating_sub(kept.len()).min(chunk.len());
        kept.extend(chunk.iter().take(room));
        read = read.saturating_add(chunk.len());
        if read > MAX_ANSWER {
            break;
        }
    }
    String::from_utf8_lossy(&kept).into_owned()
}
