//! Events, told to subscribers: one reader of the database feeds them all (`feed`), each goes at its own pace, by its own
//! filter, and is told what rows show it (`subscription`).

mod feed;
mod places;
mod subscription;

pub(super) use feed::Feed;
pub use subscription::{Delivery, EventFilter, StartAt, Subscription};

use super::FileStorage;
use super::options::EventOptions;

impl FileStorage {
    /// Says that something was committed that subscribers and webhooks may want to know.
    pub(crate) fn ring_events(&self) {
        self.inner.feed.ring();
        self.inner.webhooks_rung.notify_one();
    }

    /// Ends all subscriptions, and takes no new ones: the server is about to stop.
    pub fn end_subscriptions(&self) {
        self.inner.feed.end();
    }

    /// Has so many subscriptions at most from now on. Those that there are stay.
    pub(crate) fn limit_subscribers(&self, options: EventOptions) {
        self.inner.feed.limit(options);
    }

    /// Ends all subscriptions that there are, and goes on taking new ones: who may have one may have changed.
    pub fn renew_subscriptions(&self) {
        self.inner.feed.renew();
    }
}
