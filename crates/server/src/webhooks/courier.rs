//! Takes the webhooks that are due, and has each delivered to by a task of its own.
//!
//! One process delivers to a webhook at a time: it has a claim in the database, which ends by itself where the process did.

use std::sync::Arc;
use std::time::Duration;

use file_storage::executor::EventBounds;
use file_storage::webhooks::{Webhook, WebhookStatus};
use file_storage::{RlsContext, StorageError};
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::backlogs::Backlogs;
use super::delivery::{self, LEASE, PAUSE, Shared};
use crate::app::AppState;

/// Time between two rounds where much happens.
const REST: Duration = Duration::from_millis(50);

/// Deliveries that read the database at once.
const READING: usize = 4;

/// Who delivers.
pub(crate) struct Courier {
    shared: Arc<Shared>,
    tasks: TaskTracker,
    backlogs: Backlogs,
}

impl Courier {
    pub(crate) fn new(app: AppState, stop: CancellationToken) -> Self {
        let shared = Arc::new(Shared { app, reading: Semaphore::new(READING), soon: Notify::new(), stop });
        Self { shared, tasks: TaskTracker::new(), backlogs: Backlogs::default() }
    }

    /// Delivers until stopped, and then ends what is on its way.
    pub(crate) async fn run(mut self) {
        let (shared, mut next_look, mut is_wanted) = (self.shared.clone(), Instant::now(), false);
        // Between two rounds, and not amid one: what was claimed is either delivered or given back.
        while !shared.stop.is_cancelled() {
            if Instant::now() >= next_look {
                match self.look().await {
                    Ok(some) => is_wanted = some,
                    Err(error) => tracing::warn!(%error, "webhooks can't be read; it will be tried again"),
                }
                next_look = Instant::now() + PAUSE;
            }
            if is_wanted && let Err(error) = self.round().await {
                tracing::warn!(%error, "webhooks can't be delivered to; it will be tried again");
            }
            let rung = async {
                tokio::time::sleep(REST).await;
                tokio::select! {
                    () = shared.app.storage.webhooks_rung() => {}
                    () = shared.soon.notified() => {}
                }
            };
            tokio::select! {
                () = shared.stop.cancelled() => {}
                () = tokio::time::sleep_until(next_look) => {}
                () = rung => {}
            }
        }
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Takes what is due.
    async fn round(&self) -> Result<(), StorageError> {
        for ready in self.shared.app.storage.claim_webhooks(LEASE).await? {
            self.tasks.spawn(delivery::run(self.shared.clone(), ready));
        }
        Ok(())
    }

    /// Looks at all webhooks, for their figures; says whether one is to be told anything.
    async fn look(&mut self) -> Result<bool, StorageError> {
        let context = RlsContext::system("deliver to webhooks");
        let (all, bounds) = self.shared.app.storage.webhooks(&context).await?;
        self.measure(&all, bounds);
        Ok(all.iter().any(|hook| hook.status == WebhookStatus::Active))
    }

    fn measure(&mut self, all: &[Webhook], bounds: EventBounds) {
        self.backlogs.tell(all.iter().map(|hook| (hook.id, hook.backlog(bounds))));
        let stopped =
            all.iter().filter(|hook| matches!(hook.status, WebhookStatus::Paused | WebhookStatus::Gone));
        metrics::gauge!("storage_webhooks_stopped").set(stopped.count() as f64);
    }
}
