//! The form of a batch: a few text fields, and files, one after the other.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use file_storage::executor::Written;
use file_storage::file::{ObjectAttributes, PutMode};
use file_storage::storage::{Batch, BatchItem};
use file_storage::{BucketName, ObjectPath, Operation, StorageError};
use futures_util::{Stream, TryStreamExt};
use http::{HeaderMap, header};
use multer::Field;

use crate::app::AppState;
use crate::errors::ApiError;
use crate::form_data::{FormData, Limit, until_failed};
use crate::http::LogSlot;
use crate::management::Caller;
use crate::rest::{Dialect, form_failed};

/// Most text fields of a form.
const MAX_FIELDS: usize = 10;
/// Longest text field, in bytes: more than any that is right, so that a path that is too long is one file's fault.
const MAX_TEXT: usize = 16 * 1024;
/// Most bytes between two fields: a boundary, and the headers of a field.
const MAX_BETWEEN: usize = 16 * 1024;

/// A batch that was let in, and the rest of its form.
pub(super) struct Intake {
    form: FormData,
    batch: Batch,
    /// A file whose bytes were not read yet.
    next: Option<Field<'static>>,
    /// What that file is called, where its filename does not say so.
    path: Option<String>,
    most: usize,
    /// How many files there are, where the form said so before them.
    total: Option<usize>,
    dialect: Dialect,
}

impl Intake {
    /// Reads a form up to its first file, and asks whether the caller may write at all. `log` is told of the bucket.
    pub(super) async fn open(
        app: &AppState,
        caller: &Caller,
        headers: &HeaderMap,
        body: Body,
        log: &LogSlot,
    ) -> Result<Self, ApiError> {
        app.storage.may_ask(caller.context(), Operation::Upload(&PutMode::Create), None).await?;
        crate::conditional::none(headers)?;
        let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let boundary = kind.and_then(|kind| multer::parse_boundary(kind).ok());
        let boundary = boundary
            .ok_or_else(|| ApiError::schema("the body must be multipart/form-data, with a boundary"))?;
        let mut form = FormData::new(body, boundary, Limit::Between(MAX_BETWEEN));
        let most = app.storage.options().batch.max_files;
        let (mut bucket, mut mode, mut total, mut path, mut fields) = (None, None, None, None, 0);
        let first = loop {
            let field = form.next().await.map_err(form_failed)?;
            let field = field.ok_or_else(|| ApiError::schema("the form has no file"))?;
            if field.file_name().is_some() {
                break field;
            }
            fields += 1;
            if fields > MAX_FIELDS {
                return Err(ApiError::schema(format!("a form has at most {MAX_FIELDS} text fields")));
            }
            let name = field.name().unwrap_or_default().to_owned();
            let text = text(&mut form, field).await?;
            match name.as_str() {
                // Which of two is meant, nobody can tell.
                "bucket" if bucket.is_some() => return Err(twice("bucket")),
                "upsert" if mode.is_some() => return Err(twice("upsert")),
                "bucket" => bucket = Some(BucketName::parse(&text)?),
                "upsert" if text == "true" => mode = Some(PutMode::Upsert),
                "upsert" if text == "false" => mode = Some(PutMode::Create),
                "upsert" => return Err(ApiError::schema("upsert must be true or false")),
                "total" if total.is_some() => return Err(twice("total")),
                "total" => total = Some(announced(&text, most)?),
                "path" if path.is_some() => return Err(twice("path")),
                "path" => path = Some(text),
                // Unknown fields are for others, as in query strings.
                _ => {}
            }
        };
        let bucket =
            bucket.ok_or_else(|| ApiError::schema("the field `bucket` must stand before the files"))?;
        log.update(|log| log.bucket = Some(bucket.as_str().to_owned()));
        let mode = mode.unwrap_or(PutMode::Create);
        let batch = app.storage.begin_batch(caller.context(), &bucket, mode).await?;
        Ok(Self { form, batch, next: Some(first), path, most, total, dialect: Dialect::of(app) })
    }

    /// Takes the next file in, and gives its name; `None` where there was none left.
    pub(super) async fn take(&mut self) -> Result<Option<String>, ApiError> {
        let Some(field) = self.next.take() else {
            return match self.total {
                Some(total) if total != self.batch.files() => Err(not_as_announced(total)),
                _ => Ok(None),
            };
        };
        if self.batch.files() >= self.most {
            return Err(too_many(self.most));
        }
        if let Some(total) = self.total.filter(|total| self.batch.files() >= *total) {
            return Err(not_as_announced(total));
        }
        let name = self.path.take().unwrap_or_else(|| field.file_name().unwrap_or_default().to_owned());
        let kind = field.content_type().map(ToString::to_string);
        let left = match ObjectPath::parse_new(&name, self.dialect.path_rules()) {
            Ok(path) => {
                let content_type = kind.unwrap_or_else(|| "application/octet-stream".to_owned());
                let attributes = ObjectAttributes { content_type, ..Default::default() };
                let (lent, back) = Lent::new(field);
                self.batch.add(path, attributes, until_failed(lent.map_err(form_failed))).await?;
                back.lock().unwrap_or_else(PoisonError::into_inner).take()
            }
            Err(error) => {
                self.batch.refuse(&name, error);
                Some(field)
            }
        };
        // What is left of a file that was refused is not what may stand between two of them.
        if let Some(mut field) = left {
            while self.form.chunk(&mut field).await.map_err(form_failed)?.is_some() {}
        }
        self.go_on().await?;
        Ok(Some(name))
    }

    /// Comes to the next file, and to the path that may stand before it.
    async fn go_on(&mut self) -> Result<(), ApiError> {
        // A body that broke off has no next field, and says why.
        while let Some(field) = self.form.next().await.map_err(form_failed)? {
            if field.file_name().is_some() {
                self.next = Some(field);
                return Ok(());
            }
            if field.name() != Some("path") {
                return Err(ApiError::schema("text fields but `path` must stand before the files"));
            }
            if self.path.is_some() {
                return Err(twice("path"));
            }
            self.path = Some(text(&mut self.form, field).await?);
        }
        match self.path {
            Some(_) => Err(ApiError::schema("the last field `path` stands before no file")),
            None => Ok(()),
        }
    }

    /// How many files came so far.
    pub(super) fn files(&self) -> usize {
        self.batch.files()
    }

    /// How many there will be, where the form said so before them.
    pub(super) fn total(&self) -> Option<usize> {
        self.total
    }

    /// Makes all of it visible.
    pub(super) async fn finish(self) -> Result<Vec<BatchItem<Written>>, StorageError> {
        self.batch.finish().await
    }
}

/// A file's bytes, lent to who takes them in: what they leave comes back.
struct Lent {
    field: Option<Field<'static>>,
    back: Arc<Mutex<Option<Field<'static>>>>,
}

impl Lent {
    fn new(field: Field<'static>) -> (Self, Arc<Mutex<Option<Field<'static>>>>) {
        let back = Arc::default();
        (Self { field: Some(field), back: Arc::clone(&back) }, back)
    }
}

impl Stream for Lent {
    type Item = Result<Bytes, multer::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match &mut self.field {
            Some(field) => Pin::new(field).poll_next(context),
            None => Poll::Ready(None),
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        *self.back.lock().unwrap_or_else(PoisonError::into_inner) = self.field.take();
    }
}

fn twice(name: &str) -> ApiError {
    ApiError::schema(format!("the field `{name}` stands more than once"))
}

/// How many files are to come. More than may is refused before any of them has come.
fn announced(text: &str, most: usize) -> Result<usize, ApiError> {
    match text.parse() {
        Ok(0) | Err(_) => Err(ApiError::schema("total must be the number of files")),
        Ok(total) if total > most => Err(too_many(most)),
        Ok(total) => Ok(total),
    }
}

fn too_many(most: usize) -> ApiError {
    ApiError::schema(format!("a batch has at most {most} files"))
}

fn not_as_announced(total: usize) -> ApiError {
    ApiError::schema(format!("the form has another number of files than `total` says: {total}"))
}

async fn text(form: &mut FormData, mut field: Field<'static>) -> Result<String, ApiError> {
    let mut text = Vec::new();
    while let Some(chunk) = form.chunk(&mut field).await.map_err(form_failed)? {
        if text.len().saturating_add(chunk.len()) > MAX_TEXT {
            return Err(StorageError::PayloadTooLarge { limit: MAX_TEXT as u64 }.into());
        }
        text.extend_from_slice(&chunk);
    }
    String::from_utf8(text).map_err(|_| ApiError::schema("text fields must be UTF-8"))
}
