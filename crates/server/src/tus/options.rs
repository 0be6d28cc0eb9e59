//! `OPTIONS`: what this server can. Asked without a token.

use axum::extract::State;
use axum::response::Response;
use http::{HeaderValue, StatusCode};

use super::{VERSION, answer, checksum};
use crate::app::AppState;
use crate::config::Dialect;

/// What natively is announced.
const EXTENSIONS: &str =
    "creation,creation-with-upload,creation-defer-length,termination,checksum,expiration,concatenation";

/// What Supabase's server announces.
const SUPABASES: &str = "creation,creation-with-upload,creation-defer-length,termination,expiration";

/// Tells version, extensions and limits.
pub(super) async fn show(State(app): State<AppState>) -> Response {
    let mut response = answer::empty(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    headers.insert("tus-version", HeaderValue::from_static(VERSION));
    let extensions = match app.config.rest.dialect {
        Dialect::Native => {
            headers.insert("tus-checksum-algorithm", HeaderValue::from_static(checksum::ALGORITHMS));
            EXTENSIONS
        }
        Dialect::Supabase => SUPABASES,
    };
    headers.insert("tus-extension", HeaderValue::from_static(extensions));
    let limit = app.storage.options().max_file_size;
    if limit > 0 {
        headers.insert("tus-max-size", HeaderValue::from(limit));
    }
    response
}
