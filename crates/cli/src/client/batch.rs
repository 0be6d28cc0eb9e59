//! Many small files in one request.

use bytes::Bytes;
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde::Deserialize;

use super::Client;
use crate::failure::Failure;

/// One file of a batch.
#[derive(Debug)]
pub(crate) struct BatchFile {
    pub(crate) path: String,
    pub(crate) content_type: String,
    pub(crate) content: Bytes,
}

/// What the server says of a batch.
#[derive(Debug, Deserialize)]
pub(crate) struct BatchAnswer {
    pub(crate) failed: Vec<BatchFailed>,
}

/// A file that was not written.
#[derive(Debug, Deserialize)]
pub(crate) struct BatchFailed {
    pub(crate) path: String,
    pub(crate) error: BatchError,
}

/// Why not.
#[derive(Debug, Deserialize)]
pub(crate) struct BatchError {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) retryable: bool,
}

/// Whether a path can stand in a form's header as it is.
pub(crate) fn fits_in_form(path: &str) -> bool {
    !path.contains(['"', '\\']) && !path.chars().any(char::is_control)
}

impl Client {
    /// Uploads many files to one bucket; says of which it was not done.
    pub(crate) async fn upload_batch(
        &self,
        bucket: &str,
        overwrite: bool,
        files: &[BatchFile],
    ) -> Result<BatchAnswer, Failure> {
        let form = Form::new().text("bucket", bucket.to_owned()).text("upsert", overwrite.to_string());
        // What is lost on the way is noticed.
        let mut form = form.text("total", files.len().to_string());
        for BatchFile { path, content_type, content } in files {
            let part = Part::stream(content.clone()).file_name(path.clone());
            let part = part
                .mime_str(content_type)
                .map_err(|_| Failure::Usage(format!("`{content_type}` is no content type")))?;
            form = form.part("file", part);
        }
        self.json(self.request(Method::POST, "/api/v1/storage/files/batch").multipart(form)).await
    }
}
