//! What each result of a handler looks like, in either dialect.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use file_storage::executor::{QueueEntry, Written};
use file_storage::storage::{SharedPage, SignedToken};
use file_storage::versions::VersionPage;
use file_storage::{Bucket, BucketName, ObjectPath, StorageError, StorageObject};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use uuid::Uuid;

use super::native::{
    BucketBody, BucketUpdated, Emptied, ListEntry, ListV2Body, Message, Moved, ObjectBody, QueueEntryBody,
    QueueEntryPage, Signed, SignedEntry, UploadTarget, Uploaded, VersionsBody,
};
use super::{Dialect, supabase};
use crate::errors::ApiError;

/// What a row of a list takes, in bytes, unless its names are very long.
const ROW_BYTES: usize = 1100;

/// A page of a list, and what the client needs to read it.
pub(in crate::rest) struct Listed<'a> {
    /// The objects and folders.
    pub(in crate::rest) page: &'a SharedPage,
    /// What the names of the first list form are relative to.
    pub(in crate::rest) prefix: &'a str,
    /// The next page's cursor, in its written form.
    pub(in crate::rest) next: Option<String>,
    /// Whether folders were asked for.
    pub(in crate::rest) with_delimiter: bool,
}

/// A signed URL that was made.
pub(in crate::rest) struct SignedUrl<'a> {
    /// The bucket that it opens.
    pub(in crate::rest) bucket: &'a BucketName,
    /// The path that it opens.
    pub(in crate::rest) path: ObjectPath,
    /// Its token.
    pub(in crate::rest) token: SignedToken,
    /// Where the client sees the API.
    pub(in crate::rest) base_url: &'a str,
}

/// One outcome of a batch of signings.
pub(in crate::rest) struct SignedOutcome<'a> {
    /// The path as it was asked for.
    pub(in crate::rest) asked: &'a str,
    /// Its URL, or why there is none.
    pub(in crate::rest) outcome: Result<SignedUrl<'a>, ApiError>,
}

impl Dialect {
    pub(in crate::rest) fn error(self, error: &ApiError, request_id: &str) -> Response {
        match self {
            Self::Native => error.render(request_id),
            Self::Supabase => supabase::errors::render(error),
        }
    }

    /// The true status of an error, and its words in this dialect.
    pub(crate) fn true_words(self, error: &ApiError) -> (StatusCode, String) {
        match self {
            Self::Native => (error.status(), error.to_string()),
            Self::Supabase => supabase::errors::true_words(error),
        }
    }

    pub(in crate::rest) fn bucket_created(self, bucket: &Bucket) -> Response {
        match self {
            Self::Native => json(StatusCode::CREATED, &BucketBody::new(bucket)),
            Self::Supabase => ok(&supabase::Named { name: bucket.name.as_str() }),
        }
    }

    pub(in crate::rest) fn bucket(self, bucket: &Bucket) -> Response {
        match self {
            Self::Native => ok(&BucketBody::new(bucket)),
            Self::Supabase => ok(&supabase::BucketRow::new(bucket, false)),
        }
    }

    pub(in crate::rest) fn buckets(self, buckets: &[Bucket]) -> Response {
        match self {
            Self::Native => rows(buckets, BucketBody::new),
            Self::Supabase => rows(buckets, |bucket| supabase::BucketRow::new(bucket, true)),
        }
    }

    pub(in crate::rest) fn bucket_updated(self, bucket: &Bucket) -> Response {
        match self {
            Self::Native => ok(&BucketUpdated::new(bucket)),
            Self::Supabase => message("Successfully updated"),
        }
    }

    pub(in crate::rest) fn bucket_emptied(self, deleted: u64) -> Response {
        match self {
            Self::Native => ok(&Emptied::new(deleted)),
            Self::Supabase => message("Empty bucket has been queued. Completion may take up to an hour."),
        }
    }

    pub(in crate::rest) fn bucket_deleted(self) -> Response {
        match self {
            Self::Native | Self::Supabase => message("Successfully deleted"),
        }
    }

    /// An upload; `status` is what the native dialect answers.
    pub(in crate::rest) fn uploaded(self, written: &Written, status: StatusCode) -> Response {
        match self {
            Self::Native => json(status, &Uploaded::new(&written.object, false)),
            Self::Supabase => ok(&supabase::Uploaded::new(&written.object)),
        }
    }

    pub(in crate::rest) fn uploaded_by_url(self, written: &Written) -> Response {
        match self {
            Self::Native => ok(&Uploaded::new(&written.object, false)),
            Self::Supabase => ok(&supabase::Key::new(&written.object)),
        }
    }

    pub(in crate::rest) fn info(self, object: &StorageObject) -> Response {
        match self {
            Self::Native => ok(&ObjectBody::described(object)),
            Self::Supabase => ok(&supabase::Info::new(object)),
        }
    }

    /// Versions, of which Supabase knows nothing.
    pub(in crate::rest) fn versions(self, page: &VersionPage, next: Option<&str>) -> Response {
        match self {
            Self::Native | Self::Supabase => ok(&VersionsBody::new(page, next)),
        }
    }

    /// Entries of the upload queue, of which Supabase knows nothing. `shows_providers`: and where their bytes are.
    pub(in crate::rest) fn queue_entries(
        self,
        entries: &[QueueEntry],
        next: Option<Uuid>,
        shows_providers: bool,
    ) -> Response {
        match self {
            Self::Native | Self::Supabase => {
                sized(entries.len() * ROW_BYTES, &QueueEntryPage::new(entries, next, shows_providers))
            }
        }
    }

    /// One of them.
    pub(in crate::rest) fn queue_entry(self, entry: &QueueEntry, shows_providers: bool) -> Response {
        match self {
            Self::Native | Self::Supabase => ok(&QueueEntryBody::new(entry, shows_providers)),
        }
    }

    /// The deletion of one object; `None` where the caller could see none.
    pub(in crate::rest) fn deleted(
        self,
        deleted: Option<&StorageObject>,
        bucket: BucketName,
        path: ObjectPath,
    ) -> Result<Response, ApiError> {
        match (self, deleted) {
            (Self::Native, _) => Ok(StatusCode::NO_CONTENT.into_response()),
            (Self::Supabase, Some(_)) => Ok(message("Successfully deleted")),
            (Self::Supabase, None) => Err(StorageError::ObjectNotFound { bucket, path }.into()),
        }
    }

    pub(in crate::rest) fn deleted_many(self, deleted: &[StorageObject]) -> Response {
        match self {
            Self::Native => rows(deleted, ObjectBody::row),
            Self::Supabase => rows(deleted, supabase::ObjectRow::new),
        }
    }

    pub(in crate::rest) fn copied(self, object: &StorageObject) -> Response {
        match self {
            Self::Native => ok(&Uploaded::new(object, true)),
            Self::Supabase => ok(&supabase::Copied::new(object)),
        }
    }

    pub(in crate::rest) fn moved(self, object: &StorageObject) -> Response {
        match self {
            Self::Native => ok(&Moved::new(object)),
            Self::Supabase => message("Successfully moved"),
        }
    }

    /// The first list form: rows.
    pub(in crate::rest) fn listed(self, listed: &Listed<'_>) -> Response {
        let entries = &listed.page.entries;
        match self {
            Self::Native => kept(listed, "native list", || {
                entries.iter().map(|entry| ListEntry::new(entry, listed.prefix)).collect::<Vec<_>>()
            }),
            Self::Supabase => kept(listed, "supabase list", || {
                entries.iter().map(|entry| supabase::ListRow::new(entry, listed.prefix)).collect::<Vec<_>>()
            }),
        }
    }

    /// The second list form: objects and folders apart, with a cursor.
    pub(in crate::rest) fn listed_v2(self, listed: &Listed<'_>) -> Response {
        match self {
            Self::Native => kept(listed, "native list v2", || ListV2Body::new(listed)),
            Self::Supabase => kept(listed, "supabase list v2", || supabase::ListV2::new(listed)),
        }
    }

    pub(in crate::rest) fn signed(self, url: &SignedUrl<'_>) -> Response {
        match self {
            Self::Native => ok(&Signed::new(url)),
            Self::Supabase => ok(&supabase::Signed { signed_url: supabase::signed_url(url) }),
        }
    }

    pub(in crate::rest) fn signed_many(self, outcomes: &[SignedOutcome<'_>]) -> Response {
        match self {
            Self::Native => rows(outcomes, SignedEntry::new),
            Self::Supabase => rows(outcomes, supabase::SignedEntry::new),
        }
    }

    pub(in crate::rest) fn signed_upload(self, url: &SignedUrl<'_>) -> Response {
        match self {
            Self::Native => ok(&UploadTarget::new(url)),
            Self::Supabase => ok(&supabase::SignedUpload::new(url)),
        }
    }
}

fn message(message: &'static str) -> Response {
    ok(&Message { message })
}

fn rows<'a, T, R: Serialize + 'a>(items: &'a [T], row: impl Fn(&'a T) -> R) -> Response {
    sized(items.len() * ROW_BYTES, &items.iter().map(row).collect::<Vec<_>>())
}

/// A page of a list in a form: written once for all to whom the same page is given. All else that is in [`Listed`] follows from
/// the listing that the page answers.
fn kept<B: Serialize>(listed: &Listed<'_>, form: &'static str, body: impl FnOnce() -> B) -> Response {
    let bytes = (listed.page.entries.len() + 1) * ROW_BYTES;
    answered(StatusCode::OK, listed.page.written(form, || written(Vec::with_capacity(bytes), &body())))
}

fn ok(body: &impl Serialize) -> Response {
    json(StatusCode::OK, body)
}

fn json(status: StatusCode, body: &impl Serialize) -> Response {
    answered(status, written(Vec::with_capacity(2 * ROW_BYTES), body))
}

/// An answer of about so many bytes: a long one is not moved while it grows.
fn sized(bytes: usize, body: &impl Serialize) -> Response {
    answered(StatusCode::OK, written(Vec::with_capacity(bytes + ROW_BYTES), body))
}

fn written(mut bytes: Vec<u8>, body: &impl Serialize) -> serde_json::Result<Bytes> {
    serde_json::to_writer(&mut bytes, body)?;
    Ok(bytes.into())
}

fn answered(status: StatusCode, written: serde_json::Result<Bytes>) -> Response {
    match written {
        Ok(bytes) => {
            let mut response = Response::new(Body::from(bytes));
            *response.status_mut() = status;
            let kind = HeaderValue::from_static("application/json; charset=utf-8");
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            response
        }
        Err(error) => {
            let context = format!("an answer could not be written as JSON: {error}");
            ApiError::from(StorageError::internal(context)).into_response()
        }
    }
}
