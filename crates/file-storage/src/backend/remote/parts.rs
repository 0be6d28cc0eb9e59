//! An upload in parts: begun, several parts on their way, completed; or given up, whatever becomes of who waits for it.

use std::sync::{Arc, PoisonError};

use object_store::PutPayload;
use object_store::multipart::PartId;
use object_store::path::Path;
use tokio::task::{JoinError, JoinSet};

use super::journal::{Journal, Note};
use super::{Inner, fault, write};
use crate::backend::BackendError;
use crate::file::BlobKey;

/// Parts that are on their way at once.
const IN_FLIGHT: usize = 3;

/// An upload that has begun.
pub(super) struct Upload {
    inner: Arc<Inner>,
    key: BlobKey,
    path: Path,
    id: String,
    /// Taken when it is over.
    note: Option<Note>,
    /// Parts by their number, as far as they have come.
    parts: Vec<Option<PartId>>,
    /// Tasks, so that parts go on while the next one is waited for. Dropped, they are ended.
    in_flight: JoinSet<Arrival>,
}

/// An upload that is over, and that the store has not forgotten.
pub(super) struct Leftover {
    key: BlobKey,
    id: String,
    note: Option<Note>,
}

/// A part that came, and its number.
type Arrival = Result<(usize, PartId), BackendError>;

impl Upload {
    pub(super) async fn begin(inner: &Arc<Inner>, key: &BlobKey) -> Result<Self, BackendError> {
        let path = inner.path(key);
        let begin = || async {
            let begun = inner.client.create_multipart(&path);
            write::within(inner.options.part_timeout, begun).await
        };
        let id = inner.attempts.run("write", begin).await?;
        let mut upload = Self {
            inner: inner.clone(),
            key: key.clone(),
            path,
            id,
            note: None,
            parts: Vec::new(),
            in_flight: JoinSet::new(),
        };
        match inner.journal.note(key, &upload.id).await {
            Ok(note) => upload.note = Some(note),
            Err(error) => {
                upload.give_up();
                return Err(BackendError::Io { operation: "write", source: Arc::new(error) });
            }
        }
        Ok(upload)
    }

    /// Parts that were put so far.
    pub(super) fn count(&self) -> usize {
        self.parts.len()
    }

    /// Sends a part, as soon as few enough are on their way.
    pub(super) async fn put(&mut self, bytes: PutPayload) -> Result<(), BackendError> {
        while let Some(arrived) = self.in_flight.try_join_next() {
            self.arrived(arrived)?;
        }
        while self.in_flight.len() >= IN_FLIGHT {
            self.arrive().await?;
        }
        let (inner, path, id) = (self.inner.clone(), self.path.clone(), self.id.clone());
        let number = self.parts.len();
        self.parts.push(None);
        self.in_flight.spawn(async move {
            let send = || async {
                let sent = inner.client.put_part(&path, &id, number, bytes.clone());
                write::within(inner.options.part_timeout, sent).await
            };
            inner.attempts.run("write part", send).await.map(|part| (number, part))
        });
        Ok(())
    }

    /// Waits for a part that is on its way.
    async fn arrive(&mut self) -> Result<(), BackendError> {
        match self.in_flight.join_next().await {
            Some(arrived) => self.arrived(arrived),
            None => Ok(()),
        }
    }

    fn arrived(&mut self, arrived: Result<Arrival, JoinError>) -> Result<(), BackendError> {
        let arrived =
            arrived.map_err(|error| BackendError::Io { operation: "write", source: Arc::new(error) })?;
        let (number, part) = arrived?;
        if let Some(place) = self.parts.get_mut(number) {
            *place = Some(part);
        }
        Ok(())
    }

    /// Makes the parts a blob of that many bytes.
    pub(super) async fn complete(mut self, size: u64) -> Result<(), BackendError> {
        while !self.in_flight.is_empty() {
            self.arrive().await?;
        }
        let parts: Option<Vec<PartId>> = std::mem::take(&mut self.parts).into_iter().collect();
        let parts = parts.ok_or_else(|| fault::wrong_answer("write", "a part did not come"))?;
        let inner = self.inner.clone();
        let complete = || async {
            let completed = inner.client.complete_multipart(&self.path, &self.id, parts.clone());
            match write::within(inner.options.part_timeout, completed).await {
                // An attempt before this one may have succeeded, and its answer been lost: then there is no such upload
                // any more, and a blob.
                Err(error @ (BackendError::NotFound | BackendError::Refused { .. })) => {
                    match inner.size(&self.key).await? {
                        Some(found) if found == size => Ok(()),
                        _ => Err(refused(error)),
                    }
                }
                outcome => outcome.map(drop),
            }
        };
        inner.attempts.run("write", complete).await?;
        if let Some(note) = self.note.take() {
            Journal::strike_out(note).await;
        }
        self.id.clear();
        Ok(())
    }

    /// Has the store forget the parts. Goes on though nobody waits for it.
    fn give_up(&mut self) {
        let (inner, key) = (self.inner.clone(), self.key.clone());
        let (id, note) = (std::mem::take(&mut self.id), self.note.take());
        self.in_flight.abort_all();
        self.inner.tasks.spawn(async move { Leftover { key, id, note }.give_up(&inner).await });
    }
}

impl Drop for Upload {
    /// Failed, or its caller went away.
    fn drop(&mut self) {
        if !self.id.is_empty() {
            self.give_up();
        }
    }
}

impl Leftover {
    /// Has the store forget it, or keeps it for the next time; says whether it is forgotten.
    async fn give_up(self, inner: &Inner) -> bool {
        if !abort(inner, &self.key, &self.id).await {
            inner.leftovers.lock().unwrap_or_else(PoisonError::into_inner).push(self);
            return false;
        }
        if let Some(note) = self.note {
            Journal::strike_out(note).await;
        }
        true
    }
}

/// A completion that failed for good. That an upload is missing is no missing blob.
fn refused(error: BackendError) -> BackendError {
    match error {
        BackendError::NotFound => {
            BackendError::Refused { operation: "write", source: Arc::new(BackendError::NotFound) }
        }
        error => error,
    }
}

/// Has a store forget an upload; says whether it has. One that it does not know is forgotten.
async fn abort(inner: &Inner, key: &BlobKey, id: &str) -> bool {
    let (path, id) = (inner.path(key), id.to_owned());
    let abort = || async {
        write::within(inner.options.part_timeout, inner.client.abort_multipart(&path, &id)).await
    };
    match inner.attempts.run("abort", abort).await {
        Ok(()) | Err(BackendError::NotFound) => true,
        Err(error) => {
            tracing::warn!(%key, %error, "an unfinished upload was not given up; it will be tried again");
            false
        }
    }
}

/// Gives up the uploads of this process that the store did not let go of before. Who is cut off in between leaves their notes to the next
/// start.
pub(super) async fn give_up_again(inner: &Arc<Inner>) {
    let mut left = std::mem::take(&mut *inner.leftovers.lock().unwrap_or_else(PoisonError::into_inner));
    while let Some(leftover) = left.pop() {
        let key = leftover.key.clone();
        if !leftover.give_up(inner).await {
            // The others would fail alike.
            inner.leftovers.lock().unwrap_or_else(PoisonError::into_inner).append(&mut left);
            return;
        }
        tracing::info!(blob = %key, "gave up an upload that a failure cut off");
    }
}

/// Gives up the uploads that dead processes left. What fails is noted still, for the next time.
pub(super) async fn give_up_noted(inner: &Arc<Inner>) {
    let notes = match inner.journal.of_the_dead().await {
        Ok(notes) => notes,
        Err(error) => {
            tracing::warn!(%error, "unfinished uploads of earlier runs could not be looked for");
            return;
        }
    };
    for (folder, note) in notes {
        if !abort(inner, &note.key, &note.upload).await {
            // The others would fail alike.
            return;
        }
        tracing::info!(blob = %note.key, "gave up an upload that a crash cut off");
        Journal::strike_out(note).await;
        drop(folder);
    }
}
