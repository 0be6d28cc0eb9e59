//! From an answer to a result: success passes, an error becomes the server's own words.

use std::time::Duration;

use reqwest::{Response, StatusCode, header};
use serde::Deserialize;

use crate::failure::{Failure, ServerError};

/// The error body of both dialects; every field may be missing (a proxy answered).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ErrorBody {
    #[serde(rename = "statusCode")]
    status_code: Option<String>,
    message: Option<String>,
    code: Option<String>,
    request_id: Option<String>,
    reason: Option<String>,
    permission: Option<String>,
}

/// The answer, if it is a success; `authenticated` says whether a token was sent.
pub(super) async fn check(response: Response, authenticated: bool) -> Result<Response, Failure> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let header =
        |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let retry_after = header(header::RETRY_AFTER.as_str());
    let request_id = header("x-request-id");
    let location = header(header::LOCATION.as_str());
    let text = response.text().await.unwrap_or_default();

    let mut error = read_error(status, &text);
    error.retry_after = retry_after.and_then(|seconds| seconds.trim().parse().ok()).map(Duration::from_secs);
    error.request_id = error.request_id.or(request_id);
    error.hint = match (error.status, location) {
        (401, _) if !authenticated => {
            Some("no token was given; use AEROSTORE_TOKEN, --token, or --data-dir of the server".to_owned())
        }
        (_, Some(location)) if status.is_redirection() => {
            Some(format!("the server points to {location}; give that address with --url"))
        }
        _ => None,
    };
    Err(Failure::Server(Box::new(error)))
}

fn read_error(status: StatusCode, text: &str) -> ServerError {
    let body: ErrorBody = serde_json::from_str(text).unwrap_or_default();
    let message = body.message.filter(|message| !message.is_empty()).unwrap_or_else(|| {
        let first = text.lines().next().unwrap_or_default().trim();
        if first.is_empty() || first.starts_with(['<', '{']) {
            status.canonical_reason().unwrap_or("no reason given").to_owned()
        } else {
            first.chars().take(200).collect()
        }
    });
    // A refusal has its reason apart from what was refused.
    let message = match (body.permission, body.reason) {
        (Some(_), Some(reason)) => format!("{message}: {reason}"),
        _ => message,
    };
    ServerError {
        status: body.status_code.and_then(|code| code.parse().ok()).unwrap_or(status.as_u16()),
        code: body.code.unwrap_or_default(),
        message,
        request_id: body.request_id,
        retry_after: None,
        hint: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_both_dialects_and_of_strangers() {
        let check = |status: u16, body: &str, expected: (u16, &str, &str)| {
            let error = read_error(StatusCode::from_u16(status).unwrap(), body);
            assert_eq!((error.status, error.code.as_str(), error.message.as_str()), expected);
        };
        check(
            404,
            r#"{"statusCode":"404","error":"not_found","message":"Object not found","code":"OBJECT_NOT_FOUND"}"#,
            (404, "OBJECT_NOT_FOUND", "Object not found"),
        );
        check(
            400,
            r#"{"statusCode":"404","error":"Bucket not found","message":"Bucket not found","code":"NoSuchBucket"}"#,
            (404, "NoSuchBucket", "Bucket not found"),
        );
        check(
            403,
            r#"{"statusCode":"403","message":"refused","code":"C","permission":"object:read","reason":"not yours"}"#,
            (403, "C", "refused: not yours"),
        );
        check(502, "<html>oops</html>", (502, "", "Bad Gateway"));
        check(403, "go away\nplease", (403, "", "go away"));
        check(500, "", (500, "", "Internal Server Error"));
    }
}
