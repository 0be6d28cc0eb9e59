//! Which part of a store a provider is: a small object beside its blobs says so, as a file does in a directory.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutMode, PutOptions, PutPayload};
use uuid::Uuid;

use super::{Client, RemoteOptions, Store, fault};
use crate::Timestamp;
use crate::backend::BackendError;
use crate::backend::place::{Place, WORD, said};
use crate::file::BlobKey;
use crate::resilience::Attempts;

/// Blobs that are looked for at once: where none is there, all of them are.
const AT_ONCE: usize = 16;

/// A part of a store that is to be a provider. Asks it by a client of its own.
pub struct RemotePlace {
    client: Arc<dyn Client>,
    shown: String,
    /// What stands before each name; may be empty.
    prefix: String,
    attempts: Attempts,
}

impl RemotePlace {
    /// Asks it nothing yet.
    ///
    /// # Errors
    /// [`BackendError::Io`] for a configuration that can't be.
    pub fn new(options: &RemoteOptions, attempts: Attempts) -> Result<Self, BackendError> {
        let client = super::connect(options)?;
        Ok(Self { client, shown: shown(options), prefix: options.prefix.clone(), attempts })
    }

    /// Writes, reads and deletes a small blob, once.
    ///
    /// # Errors
    /// What the first failing step says.
    pub async fn probe(&self) -> Result<(), BackendError> {
        let path = self.named(BlobKey::new(Uuid::now_v7()).as_str());
        let bytes = bytes::Bytes::copy_from_slice(path.as_ref().as_bytes());
        let during = "probe";
        self.client.put(&path, bytes.clone().into()).await.map_err(fault::during(during))?;
        let read = async {
            let found = self.client.get(&path).await.map_err(fault::during(during))?;
            let found = found.bytes().await.map_err(fault::during(during))?;
            if found == bytes { Ok(()) } else { Err(fault::wrong_answer(during, "other bytes")) }
        };
        let read = read.await;
        self.client.delete(&path).await.map_err(fault::during(during))?;
        read
    }

    fn named(&self, name: &str) -> Path {
        match self.prefix.as_str() {
            "" => Path::from(name),
            prefix => Path::from(format!("{prefix}/{name}")),
        }
    }

    async fn read(&self) -> Result<Option<(Uuid, Timestamp)>, BackendError> {
        let during = "identify";
        let found = match self.client.get(&self.named(WORD)).await.map_err(fault::during(during)) {
            Ok(found) => found,
            Err(BackendError::NotFound) => return Ok(None),
            Err(error) => return Err(error),
        };
        let since = found.meta.last_modified;
        let bytes = found.bytes().await.map_err(fault::during(during))?;
        match said(&String::from_utf8_lossy(&bytes)) {
            Ok(identity) => Ok(Some((identity, since))),
            Err(error) => Err(BackendError::Io { operation: during, source: Arc::new(error) }),
        }
    }

    async fn has(&self, key: &BlobKey) -> Result<bool, BackendError> {
        let path = self.named(key.as_str());
        let look = || async { self.client.head(&path).await.map_err(fault::during("identify")) };
        match self.attempts.run("identify", look).await {
            Ok(_) => Ok(true),
            Err(BackendError::NotFound) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn write(&self, identity: Uuid, mode: PutMode) -> Result<(), object_store::Error> {
        let payload = PutPayload::from(format!("{identity}\n").into_bytes());
        let options = PutOptions { mode, ..PutOptions::default() };
        object_store::ObjectStore::put_opts(&*self.client, &self.named(WORD), payload, options)
            .await
            .map(drop)
    }

    /// Writes it where there is none. A store that knows no such condition refuses it, or takes no notice of it: then the last one
    /// to write counts, and whoever asks afterwards sees it.
    async fn write_first(&self, identity: Uuid) -> Result<(), BackendError> {
        match self.write(identity, PutMode::Create).await {
            Ok(()) | Err(object_store::Error::AlreadyExists { .. }) => return Ok(()),
            Err(error) => match fault::during("identify")(error) {
                BackendError::Refused { .. } => {}
                other => return Err(other),
            },
        }
        self.write(identity, PutMode::Overwrite).await.map_err(fault::during("identify"))
    }
}

#[async_trait]
impl Place for RemotePlace {
    fn shown(&self) -> String {
        format!("in {}", self.shown)
    }

    fn word(&self) -> String {
        format!("{} of {}", self.named(WORD), self.shown)
    }

    fn is_remote(&self) -> bool {
        true
    }

    async fn identity(&self) -> Result<Option<Uuid>, BackendError> {
        Ok(self.identified().await?.map(|(identity, _)| identity))
    }

    async fn identified(&self) -> Result<Option<(Uuid, Timestamp)>, BackendError> {
        self.attempts.run("identify", || self.read()).await
    }

    async fn identify(&self, identity: Uuid) -> Result<Uuid, BackendError> {
        self.attempts.run("identify", || self.write_first(identity)).await?;
        Ok(self.identity().await?.unwrap_or(identity))
    }

    async fn identify_anew(&self, identity: Uuid) -> Result<(), BackendError> {
        let write =
            || async { self.write(identity, PutMode::Overwrite).await.map_err(fault::during("identify")) };
        self.attempts.run("identify", write).await
    }

    async fn withdraw(&self, identity: Uuid) -> Result<(), BackendError> {
        if self.identity().await? != Some(identity) {
            return Ok(());
        }
        let path = self.named(WORD);
        let delete = || async { self.client.delete(&path).await.map_err(fault::during("identify")) };
        match self.attempts.run("identify", delete).await {
            // An attempt whose answer was lost deleted it.
            Ok(()) | Err(BackendError::NotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn has_any(&self, keys: &[BlobKey]) -> Result<bool, BackendError> {
        let mut left = keys.iter();
        let mut looks: FuturesUnordered<_> = left.by_ref().take(AT_ONCE).map(|key| self.has(key)).collect();
        let mut failed = None;
        while let Some(looked) = looks.next().await {
            match looked {
                Ok(true) => return Ok(true),
                Ok(false) if failed.is_none() => looks.extend(left.next().map(|key| self.has(key))),
                Ok(false) => {}
                // Those that are asked for already may still be there; no more are asked for.
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(false), Err)
    }
}

/// Where it is, for people; nothing of it is secret.
fn shown(options: &RemoteOptions) -> String {
    let at = |endpoint: &Option<String>| {
        endpoint.as_ref().map_or_else(String::new, |endpoint| format!(" of {endpoint}"))
    };
    let place = match &options.store {
        Store::S3(store) => format!("the bucket {}{}", store.bucket, at(&store.endpoint)),
        Store::Azure(store) => {
            format!(
                "the container {} of the account {}{}",
                store.container,
                store.account,
                at(&store.endpoint)
            )
        }
        Store::Gcs(store) => format!("the bucket {}{}", store.bucket, at(&store.endpoint)),
    };
    match options.prefix.as_str() {
        "" => place,
        prefix => format!("{place}, below {prefix}/"),
    }
}
