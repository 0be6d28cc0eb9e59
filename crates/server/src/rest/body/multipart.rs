//! An upload as `multipart/form-data`: one file, whose field may have an empty name, and a few text fields.
//!
//! Text fields count where they stand before the file. The file's bytes are passed on as they come; the object is
//! only complete when the form is: a form that is cut off, or has a second file, leaves nothing.

use axum::body::Body;
use bytes::Bytes;
use file_storage::StorageError;
use file_storage::body::ByteStream;
use file_storage::file::ObjectAttributes;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::{HeaderMap, header};
use multer::Field;
use serde_json::{Map, Value};

use super::{Incoming, interrupted, user_metadata};
use crate::errors::ApiError;
use crate::form_data::{FormData, Limit, is_too_long, until_failed};
use crate::rest::dialect::Dialect;

/// Most text fields of a form.
const MAX_FIELDS: usize = 10;
/// Longest text field but metadata, in bytes.
const MAX_TEXT_BYTES: usize = 1024 * 1024;
/// Most bytes between two fields: a boundary, and the headers of a field.
const MAX_BETWEEN: usize = 16 * 1024;
/// More than a form can need for everything but the file.
pub(super) const MAX_OVERHEAD: u64 = 16 * 1024 * 1024;

/// The boundary of a form; `None` where the body is no form.
pub(super) fn boundary(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("multipart/form-data") {
        return Ok(None);
    }
    match multer::parse_boundary(kind) {
        Ok(boundary) => Ok(Some(boundary)),
        Err(_) => Err(ApiError::schema("multipart/form-data must have a boundary")),
    }
}

/// Reads a form up to the first byte of its file.
pub(super) async fn open(
    headers: &HeaderMap,
    boundary: String,
    body: Body,
    dialect: Dialect,
) -> Result<Incoming, ApiError> {
    let mut form = FormData::new(body, boundary, Limit::Between(MAX_BETWEEN));
    let mut fields = Fields::default();
    loop {
        let field = form.next().await.map_err(failed)?;
        let Some(field) = field else {
            return Err(ApiError::schema("the form has no file"));
        };
        if is_file(&field) {
            let kind = field.content_type().map(ToString::to_string);
            let attributes = fields.attributes(headers, kind, dialect)?;
            return Ok(Incoming { attributes, length: None, bytes: file(form, field) });
        }
        fields.take(field).await?;
    }
}

/// A file has a file name, or a name that no text field has.
fn is_file(field: &Field<'_>) -> bool {
    field.file_name().is_some()
        || field.name().is_none_or(str::is_empty)
        || field.content_type().is_some_and(|kind| kind.essence_str() == "application/octet-stream")
}

/// The file's bytes, which end well only where the form does.
fn file(form: FormData, field: Field<'static>) -> ByteStream {
    let bytes = field.map_err(failed_body);
    let end = stream::once(rest_of(form)).filter_map(|end| async move { end.err().map(Err::<Bytes, _>) });
    until_failed(bytes.chain(end))
}

/// Reads what follows the file.
async fn rest_of(mut form: FormData) -> Result<(), StorageError> {
    let mut fields = 0;
    while let Some(mut field) = form.next().await.map_err(failed_body)? {
        if is_file(&field) {
            return Err(invalid("a form has one file"));
        }
        fields += 1;
        let mut size = 0;
        while let Some(chunk) = field.chunk().await.map_err(failed_body)? {
            size += chunk.len();
            if fields > MAX_FIELDS || size > MAX_TEXT_BYTES {
                return Err(invalid("the form has too much text behind its file"));
            }
        }
    }
    Ok(())
}

/// Text fields that stand before the file.
#[derive(Default)]
struct Fields {
    count: usize,
    cache_control: Option<String>,
    content_type: Option<String>,
    metadata: Option<Map<String, Value>>,
}

impl Fields {
    async fn take(&mut self, field: Field<'_>) -> Result<(), ApiError> {
        self.count += 1;
        if self.count > MAX_FIELDS {
            return Err(ApiError::schema(format!("a form has at most {MAX_FIELDS} text fields")));
        }
        let name = field.name().unwrap_or_default().to_owned();
        let text = text(field).await?;
        match name.as_str() {
            "cacheControl" => self.cache_control = cache_control(&text)?,
            "contentType" => self.content_type = Some(text).filter(|text| !text.is_empty()),
            "metadata" | "userMetadata" => self.metadata = Some(user_metadata::parse(text.as_bytes())?),
            // Unknown fields are for others, as in query strings.
            _ => {}
        }
        Ok(())
    }

    fn attributes(
        self,
        headers: &HeaderMap,
        part_type: Option<String>,
        dialect: Dialect,
    ) -> Result<ObjectAttributes, ApiError> {
        let from_header = user_metadata::from_header(headers, dialect)?;
        let mut metadata = self.metadata.or(from_header).unwrap_or_default();
        user_metadata::keep_robots_tag(headers, &mut metadata)?;
        let content_type =
            self.content_type.or(part_type).unwrap_or_else(|| "application/octet-stream".into());
        Ok(ObjectAttributes {
            content_type,
            cache_control: self.cache_control,
            metadata,
            ..Default::default()
        })
    }
}

async fn text(mut field: Field<'_>) -> Result<String, ApiError> {
    let mut text = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(failed)? {
        if text.len() + chunk.len() > MAX_TEXT_BYTES {
            return Err(StorageError::PayloadTooLarge { limit: MAX_TEXT_BYTES as u64 }.into());
        }
        text.extend_from_slice(&chunk);
    }
    String::from_utf8(text).map_err(|_| ApiError::schema("text fields must be UTF-8"))
}

/// A number of seconds, or what `Cache-Control` itself takes.
fn cache_control(text: &str) -> Result<Option<String>, ApiError> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    if http::HeaderValue::from_str(text).is_err() {
        return Err(ApiError::schema("cacheControl must be a header's value"));
    }
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    Ok(Some(if is_number { format!("max-age={text}") } else { text.to_owned() }))
}

fn invalid(message: &str) -> StorageError {
    StorageError::InvalidRequest { message: message.to_owned() }
}

fn failed(error: multer::Error) -> ApiError {
    failed_body(error).into()
}

/// The transport failed, or the form is none.
pub(crate) fn failed_body(error: multer::Error) -> StorageError {
    match error {
        error if is_too_long(&error) => invalid("the form's boundaries or headers are too long"),
        multer::Error::StreamReadFailed(cause) => interrupted(&*cause),
        multer::Error::IncompleteStream
        | multer::Error::IncompleteFieldData { .. }
        | multer::Error::IncompleteHeaders => {
            StorageError::BodyInterrupted { reason: "the form ends before its closing boundary".to_owned() }
        }
        other => invalid(&format!("the form is malformed: {other}")),
    }
}
