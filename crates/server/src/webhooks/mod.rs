//! Webhooks: who tells receivers of events, and where a request may go.
//!
//! The courier takes what is due (`courier`), one task tells one receiver after another message (`delivery`), by a client that
//! reaches no network that it must not (`network`, `sender`). How far each is behind is a figure (`backlogs`). Where a webhook stands is
//! the domain's to keep.

mod backlogs;
mod courier;
mod delivery;
mod network;
mod sender;

use std::sync::Arc;
use std::time::Duration;

use crate::config::WebhooksConfig;

pub(crate) use courier::Courier;
use network::Networks;
use sender::Sender;

/// What deliveries and requests about webhooks share.
pub(crate) struct Webhooks {
    networks: Arc<Networks>,
    sender: Sender,
    /// The waits between attempts; after the last one, the webhook is paused.
    retries: Vec<Duration>,
}

impl Webhooks {
    /// As configured.
    ///
    /// # Errors
    /// Where there can be no client, for want of certificates.
    pub(crate) fn new(config: &WebhooksConfig) -> Result<Self, reqwest::Error> {
        let networks = Arc::new(Networks::new(config.allow_private_networks.clone()));
        let sender = Sender::new(networks.clone())?;
        Ok(Self { networks, sender, retries: config.retries.clone() })
    }

    /// Refuses a URL that nothing would ever be sent to. Where its host's name leads is looked at each time.
    ///
    /// # Errors
    /// What is wrong with it, in words for whoever configures it.
    pub(crate) fn check_url(&self, url: &str) -> Result<(), &'static str> {
        self.networks.check_url(url).map(drop)
    }

    pub(crate) fn sender(&self) -> &Sender {
        &self.sender
    }
}
