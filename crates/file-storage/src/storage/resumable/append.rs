//! Appending: run by run, each durable before the next one begins.

use bytes::Bytes;
use uuid::Uuid;

use super::incoming::{End, Incoming};
use super::tail::{Merged, Tail};
use super::{Progress, Uploader};
use crate::body::{ByteStream, from_bytes};
use crate::digests::{Checksums, Wanted};
use crate::errors::StorageError;
use crate::executor::Admission;
use crate::multipart::{Append, Chosen, Claimed, Completion, MultipartUpload, UploadAt};
use crate::permissions::{Access, Operation};
use crate::storage::FileStorage;
use crate::storage::head::Head;
use crate::storage::multipart::{PartBody, Run};
use crate::storage::queue::Queued;

/// Most bytes of one run, and so the most that a crash takes of a body that is still coming in.
const RUN: u64 = 64 << 20;

/// A body that is appended to an upload by one request.
struct Appending {
    storage: FileStorage,
    access: Access,
    admission: Admission,
    upload: MultipartUpload,
    epoch: u64,
    tail: Tail,
}

impl FileStorage {
    /// Appends a body to an upload where that ends, at `offset`. A request that is at it already is stopped. Where the body
    /// breaks off, what came before is kept; of one that must have a digest, all or nothing. `length` says how long the upload will be,
    /// where that was left open. With the last byte it becomes an object.
    ///
    /// # Errors
    /// As [`FileStorage::resumable`] and [`crate::storage::PendingUpload::store`]; [`StorageError::OffsetMismatch`],
    /// [`StorageError::UploadTakenOver`], [`StorageError::DigestMismatch`].
    pub async fn append_resumable(
        &self,
        caller: &Uploader<'_>,
        at: &UploadAt,
        offset: u64,
        length: Option<u64>,
        body: PartBody,
    ) -> Result<Progress, StorageError> {
        let access = self.uploader(caller, Operation::FindUpload, &at.bucket).await?;
        let found = self.find_resumable(caller, &access, at).await?;
        if found.resumable()?.completed_at.is_some() {
            return finished(found, offset, body.length);
        }
        let turn = self.inner.writers.take_over(at.id).await?;
        let claimed = self.executor().claim_resumable(&access, at, self.resumable_expiry()).await?;
        let Claimed { mut upload, tail } = claimed;
        let resumable = upload.resumable()?.clone();
        if resumable.completed_at.is_some() {
            return finished(upload, offset, body.length);
        }
        if offset != resumable.offset {
            return Err(StorageError::OffsetMismatch { offset: resumable.offset });
        }
        if let Some(resumable) = &mut upload.resumable {
            resumable.length = resumable.length.or(length);
        }
        let (allowed, admission) = self.admit_part_of(caller, &upload).await?;
        if let Some(length) = length {
            self.check_limits(&admission, &upload.attributes.content_type, length)?;
            self.executor().announce_length(&access, at, length).await?;
        }
        let limit = match upload.resumable()?.length {
            Some(length) => Some(length.saturating_sub(offset)),
            None => self.size_limit(&admission.bucket).map(|limit| limit.saturating_sub(offset)),
        };
        self.check_part(&admission, limit.unwrap_or(u64::MAX), body.length.unwrap_or(0))?;
        let bytes = self.bounded(body.bytes, limit, admission.quota_left.clone());
        let appending = Appending {
            storage: self.clone(),
            access: allowed,
            admission,
            upload,
            epoch: resumable.epoch,
            tail: Tail::new(tail),
        };
        // The caller may go away: what has come by then is kept all the same.
        let upload = at.id;
        let task = self.inner.commits.spawn(async move {
            let incoming = Incoming::new(bytes, turn.stop.clone(), upload);
            let outcome = match body.wanted.is_empty() {
                true => appending.run(&incoming).await,
                false => appending.run_checked(&incoming, &body.wanted).await,
            };
            drop(turn);
            outcome
        });
        match task.await {
            Ok(outcome) => outcome,
            Err(error) => Err(StorageError::internal(format!("an append failed: {error}"))),
        }
    }

    /// Whether the upload's object may be written now.
    async fn admit_part_of(
        &self,
        caller: &Uploader<'_>,
        upload: &MultipartUpload,
    ) -> Result<(Access, Admission), StorageError> {
        let (at, mode) = (&upload.at, upload.mode());
        let access = self.uploader(caller, Operation::UploadPart(&mode), &at.bucket).await?;
        let admission = self.admit_part(&access, upload).await?;
        Ok((access, admission))
    }

    /// Makes an object of an upload of which all is there.
    pub(super) async fn finish_resumable(
        &self,
        caller: &Uploader<'_>,
        upload: MultipartUpload,
        epoch: u64,
    ) -> Result<Progress, StorageError> {
        let (at, mode) = (&upload.at, upload.mode());
        let operation = Operation::CompleteMultipart(&mode);
        let access = self.uploader(caller, operation, &at.bucket).await?;
        self.finish_with(&access, upload, Chosen::Appended { epoch }).await
    }

    /// Makes an object of an upload, out of what is chosen.
    pub(super) async fn finish_with(
        &self,
        access: &Access,
        mut upload: MultipartUpload,
        parts: Chosen,
    ) -> Result<Progress, StorageError> {
        let (mode, extra) = (upload.mode(), upload.attributes.extra.clone());
        let completion = Completion {
            parts,
            mode,
            version: Uuid::now_v7(),
            extra,
            min_part_size: 0,
            max_size: None,
            copies: self.copies_of_new(),
        };
        let written = self.complete(access, &upload, completion).await?;
        if let Some(resumable) = &mut upload.resumable {
            resumable.length = Some(written.object.size);
            resumable.offset = written.object.size;
            resumable.completed_at = Some(written.object.updated_at);
        }
        upload.held_bytes = 0;
        Ok(Progress { upload, written: Some(written) })
    }
}

/// An upload that is an object by now: nothing more is appended, and who asks for that again is told that it came.
fn finished(upload: MultipartUpload, offset: u64, length: Option<u64>) -> Result<Progress, StorageError> {
    let end = upload.resumable()?.offset;
    match offset == end && length.unwrap_or(0) == 0 {
        true => Ok(Progress { upload, written: None }),
        false => Err(StorageError::OffsetMismatch { offset: end }),
    }
}

impl Appending {
    /// Takes a body in, run by run, and keeps what came before it broke off.
    async fn run(mut self, incoming: &Incoming) -> Result<Progress, StorageError> {
        loop {
            let mut body = incoming.run(RUN);
            let head = Head::read(&mut body, self.tail.room(), None).await?;
            if !head.bytes.is_empty() {
                self.check_first(&head.bytes)?;
                self.keep(head, body).await?;
            }
            match incoming.end() {
                Some(End::Whole) => return self.done().await,
                Some(End::Broken(error)) => return self.broken(error).await,
                None => {}
            }
        }
    }

    /// Takes a body in, all of it or nothing.
    async fn run_checked(mut self, incoming: &Incoming, wanted: &Wanted) -> Result<Progress, StorageError> {
        // One that broke off has no digest to speak of.
        let why = |error| match incoming.end() {
            Some(End::Broken(broken)) => broken,
            _ => error,
        };
        let is_there = || match incoming.end() {
            Some(End::Broken(broken)) => Err(broken),
            _ => Ok(()),
        };
        let mut body = wanted.watch_all(incoming.run(u64::MAX));
        let head = Head::read(&mut body, self.tail.room(), None).await.map_err(why)?;
        self.check_first(&head.bytes)?;
        if head.is_whole {
            is_there()?;
            if !head.bytes.is_empty() {
                self.keep(head, from_bytes(Bytes::new())).await?;
            }
            return self.done().await;
        }
        let storage = self.storage.clone();
        let bucket = self.admission.bucket.uuid;
        let merged = self.tail.whole_with(&head.bytes, self.offset()?);
        let head = Head { bytes: merged.bytes.clone(), is_whole: false };
        let run = storage.store_run(bucket, head, body, None).await.map_err(why)?;
        match is_there() {
            Ok(()) => self.commit(run, &merged).await?,
            Err(error) => return Err(storage.let_go(run, error).await),
        }
        self.done().await
    }

    fn offset(&self) -> Result<u64, StorageError> {
        Ok(self.upload.resumable()?.offset)
    }

    /// What the first bytes of an object look like must fit, as far as they come in one piece: at the end they are looked at
    /// again. Those of a partial upload may come from anywhere in the object.
    fn check_first(&self, head: &[u8]) -> Result<(), StorageError> {
        match self.offset()? {
            0 if !self.upload.resumable()?.is_partial => {
                self.storage.check_content(&self.admission.bucket, head)
            }
            _ => Ok(()),
        }
    }

    /// Makes a run durable and known.
    async fn keep(&mut self, head: Head, rest: ByteStream) -> Result<(), StorageError> {
        let storage = self.storage.clone();
        let offset = self.offset()?;
        let end = offset.saturating_add(head.bytes.len() as u64);
        let is_last = head.is_whole && self.upload.resumable()?.length == Some(end);
        let bucket = self.admission.bucket.uuid;
        let (run, merged) = if head.is_whole && !is_last {
            let merged = self.tail.with(&head.bytes, offset);
            (storage.inline_run(merged.bytes.clone()), merged)
        } else {
            let merged = self.tail.whole_with(&head.bytes, offset);
            // What an object keeps is inline by the same measure as any other's bytes.
            let inline = is_last && merged.bytes.len() <= storage.inner.options.load().inline_threshold;
            let head = Head { bytes: merged.bytes.clone(), is_whole: inline };
            (storage.store_run(bucket, head, rest, None).await?, merged)
        };
        self.commit(run, &merged).await
    }

    async fn commit(&mut self, run: Run, merged: &Merged) -> Result<(), StorageError> {
        let (storage, access, at) = (self.storage.clone(), self.access.clone(), self.upload.at.clone());
        let expires_at = storage.resumable_expiry();
        let etag = run.sha256.to_hex();
        let (part, blobs, lease) = run.into_part(etag, Checksums::new());
        let kept = part.clone();
        let queued = Queued::of(&access, &at.path, part.size, part.belongs.as_ref());
        let append = Append { epoch: self.epoch, offset: merged.offset, takes_in: merged.takes_in, part };
        let committed = storage.clone();
        self.upload = storage
            .settled(blobs, lease, async move {
                committed.hit("append.before_commit").await?;
                let upload = committed.executor().append(&access, &at, append, expires_at).await?;
                committed.were_queued(&queued);
                Ok(upload)
            })
            .await?;
        self.tail.took(merged, kept);
        Ok(())
    }

    /// The body is there: the upload is an object if all of it is.
    async fn done(self) -> Result<Progress, StorageError> {
        let resumable = self.upload.resumable()?;
        if resumable.is_partial || resumable.length != Some(resumable.offset) {
            return Ok(Progress { upload: self.upload, written: None });
        }
        let chosen = Chosen::Appended { epoch: self.epoch };
        // Adding a part takes the same permissions as completing.
        self.storage.finish_with(&self.access, self.upload, chosen).await
    }

    /// A body broke off. If all that was to come had come by then, that does not matter; what is more than that does.
    async fn broken(self, error: StorageError) -> Result<Progress, StorageError> {
        let resumable = self.upload.resumable()?;
        let is_all = resumable.length == Some(resumable.offset);
        match error {
            StorageError::PayloadTooLarge { .. } => Err(error),
            _ if is_all => self.done().await,
            error => Err(error),
        }
    }
}
