//! One file that becomes an object.

use std::sync::Arc;

use aws_lc_rs::digest;
use futures_util::StreamExt;
use serde_json::{Map, Value};

use super::AdoptRequest;
use crate::Timestamp;
use crate::backend::originals::{Found, Original, Originals};
use crate::body::ByteStream;
use crate::errors::StorageError;
use crate::executor::ClaimedJob;
use crate::extra::ObjectExtra;
use crate::file::{ObjectAttributes, PutMode, Sha256, StorageObject};
use crate::path::{ObjectPath, PathRules};
use crate::permissions::{Operation, RlsContext};
use crate::storage::{DownloadBody, FileStorage};

/// What an object's metadata calls the time at which its original was changed last: seconds since 1970, as rclone writes it.
const MODIFIED: &str = "mtime";

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Adopted {
    /// It is an object of so many bytes.
    New(u64),
    /// There was an object of these bytes at its path.
    There,
    /// It was gone.
    Gone,
}

/// What the files of a job have in common.
pub(crate) struct Adoption {
    request: AdoptRequest,
    originals: Arc<dyn Originals>,
    /// Whose the objects will be.
    caller: RlsContext,
    dry_run: bool,
    started_at: Option<Timestamp>,
}

impl Adoption {
    /// That of a job.
    ///
    /// # Errors
    /// As [`FileStorage::start_adoption`].
    pub(crate) fn of(storage: &FileStorage, job: &ClaimedJob) -> Result<Self, StorageError> {
        let request = AdoptRequest::of_params(&job.job.params)?;
        let caller = match request.owner {
            Some(owner) => {
                let claims = job.caller.claims().clone();
                RlsContext::service(Some(owner), claims, job.caller.request_id())
            }
            None => job.caller.clone(),
        };
        let originals = storage.originals(&request.source)?;
        let (dry_run, started_at) = (job.job.dry_run, job.job.started_at);
        Ok(Self { request, originals, caller, dry_run, started_at })
    }

    /// Where the files are.
    pub(crate) fn originals(&self) -> &dyn Originals {
        &*self.originals
    }

    /// Whether a file goes once it is an object.
    pub(crate) fn removes(&self) -> bool {
        self.request.moves && !self.dry_run
    }
}

impl FileStorage {
    /// Makes an object of a file that was found; where the job only looks, says whether that could be. Done twice, it is done once:
    /// an object of the same bytes is what was wanted.
    pub(crate) async fn adopt_one(
        &self,
        adoption: &Adoption,
        found: &Found,
    ) -> Result<Adopted, StorageError> {
        let Adoption { request, originals, caller, dry_run, started_at } = adoption;
        let removes = adoption.removes();
        let unusable = |reason| StorageError::OriginalUnusable { reason };
        if let Some(reason) = found.unusable {
            return Err(unusable(reason));
        }
        let name = found.name.as_text().ok_or_else(|| unusable("its name is not UTF-8"))?;
        let path = ObjectPath::parse_new(&format!("{}{name}", request.to.prefix()), PathRules::Strict)?;
        let Some(original) = originals.open(&found.name).await? else { return Ok(Adopted::Gone) };
        let bucket = &request.to.bucket;
        let mut admitted = self.admit_upload(caller, bucket, &path, PutMode::Create).await;
        if matches!(admitted, Err(StorageError::ObjectExists { .. })) {
            let there = self.info(caller, bucket, &path).await?;
            let is_adopted = has_bytes_of(&there, &original).await?;
            // IMPORTANT: a row is no proof of its bytes, of which the original may be all that is left.
            let reads = if is_adopted && removes { self.reads_whole(caller, &there).await } else { Ok(()) };
            match reads {
                Ok(()) if is_adopted => {
                    if removes {
                        original.remove().await?;
                    }
                    // One that this job made before its runner ended without saying so counts as what it did.
                    let is_of_this_job = started_at.is_some_and(|started| there.updated_at >= started);
                    return Ok(if is_of_this_job { Adopted::New(original.size) } else { Adopted::There });
                }
                Err(error) if error.is_retryable() => return Err(error),
                Err(_) if !request.overwrite => {
                    return Err(unusable("the bytes of the object at its path are lost or damaged"));
                }
                Ok(()) | Err(_) => {}
            }
            if request.overwrite {
                admitted = self.admit_upload(caller, bucket, &path, PutMode::Upsert).await;
            }
        }
        let pending = admitted?;
        let attributes = attributes(&path, &original);
        if *dry_run {
            pending.would_take(&attributes.content_type, original.size)?;
            return Ok(Adopted::New(original.size));
        }
        let (size, body) = (original.size, original.body());
        pending.adopting(original.clone(), removes).store(attributes, Some(size), body).await?;
        if removes {
            // Its object is committed. Should this fail, the next time finds both, and removes it.
            self.hit("adopt.before_remove").await?;
            original.remove().await?;
        }
        Ok(Adopted::New(size))
    }

    /// Reads an object as a whole: its bytes are what its row says, or this fails.
    async fn reads_whole(&self, caller: &RlsContext, there: &StorageObject) -> Result<(), StorageError> {
        let access = self.access(caller, Operation::Download, Some(&there.bucket)).await?;
        let body = self.open(&access, &there.bucket, &there.path).await?.open_body(None).await?;
        let read = match body {
            DownloadBody::Bytes(bytes) => Sha256::of(&bytes),
            DownloadBody::Stream(bytes) => digest_of(bytes).await?,
        };
        if there.checksum == Some(read) {
            return Ok(());
        }
        Err(StorageError::ChecksumMismatch { bucket: there.bucket.clone(), path: there.path.clone() })
    }
}

/// What is known of a file besides its bytes.
fn attributes(path: &ObjectPath, original: &Original) -> ObjectAttributes {
    let guessed = || mime_guess::from_path(path.as_str()).first_raw().map(str::to_owned);
    // What a store says that was not told is no type.
    let told = original.content_type.clone().filter(|told| {
        !told.is_empty() && !matches!(told.as_str(), "application/octet-stream" | "binary/octet-stream")
    });
    let content_type = told.or_else(guessed).unwrap_or_else(|| "application/octet-stream".to_owned());
    let (seconds, nanos) = (original.modified.timestamp(), original.modified.timestamp_subsec_nanos());
    let modified = match nanos {
        0 => seconds.to_string(),
        nanos => format!("{seconds}.{nanos:09}"),
    };
    let metadata = Map::from_iter([(MODIFIED.to_owned(), Value::from(modified))]);
    let extra = ObjectExtra { headers: original.headers.clone(), ..ObjectExtra::default() };
    ObjectAttributes { content_type, cache_control: original.cache_control.clone(), metadata, extra }
}

/// Whether an object has the bytes of a file. These are read only where that can be.
async fn has_bytes_of(there: &StorageObject, original: &Original) -> Result<bool, StorageError> {
    let Some(checksum) = there.checksum.filter(|_| there.size == original.size) else { return Ok(false) };
    Ok(digest_of(original.body()).await? == checksum)
}

async fn digest_of(mut bytes: ByteStream) -> Result<Sha256, StorageError> {
    let mut hash = digest::Context::new(&digest::SHA256);
    while let Some(chunk) = bytes.next().await.transpose()? {
        hash.update(&chunk);
    }
    Ok(Sha256::from_digest(&hash.finish()))
}
