//! `GET` and `HEAD` of an object's bytes.

use axum::body::Body;
use axum::response::Response;
use file_storage::digests::{ChecksumType, Checksums};
use file_storage::storage::{Download, DownloadBody};
use file_storage::{Operation, StorageError, StorageObject};
use futures_util::TryStreamExt;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::attributes::part_checksum;
use super::headers::{VERSION_ID, checksum_headers, checksums, describe, insert};
use crate::conditional::{self, Verdict};
use crate::errors;
use crate::range::{self, Asked};
use crate::s3::call::Call;
use crate::s3::failure::Failure;

/// Headers of the answer that a signed request may choose.
const OVERRIDES: [(&str, HeaderName); 6] = [
    ("response-content-type", header::CONTENT_TYPE),
    ("response-content-language", header::CONTENT_LANGUAGE),
    ("response-expires", header::EXPIRES),
    ("response-cache-control", header::CACHE_CONTROL),
    ("response-content-disposition", header::CONTENT_DISPOSITION),
    ("response-content-encoding", header::CONTENT_ENCODING),
];

/// Users' content runs no script and loads nothing, wherever it is opened.
const SANDBOX: HeaderValue =
    HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; sandbox");

/// The object that a request is about, in the version that it names.
pub(super) async fn open(call: &Call) -> Result<Download, Failure> {
    let (bucket, path) = call.object()?;
    Ok(match call.version()? {
        None => call.storage().download(call.context(), bucket, path).await?,
        Some(version) => call.storage().download_version(call.context(), bucket, path, version).await?,
    })
}

/// Reads an object, a part of it, or what is known about it.
pub(in crate::s3) async fn get(call: &Call) -> Result<Response, Failure> {
    call.begin(if call.is_head() { Operation::Info } else { Operation::Download });
    let download = open(call).await?;
    let object = download.object();
    let mut response = Response::new(Body::empty());
    describe(object, response.headers_mut());
    if let Some(version) = call.told_version(object) {
        insert(response.headers_mut(), VERSION_ID, version);
    }
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, SANDBOX);
    match conditional::read(call.headers(), object) {
        Verdict::Serve => {}
        Verdict::NotModified => {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response.headers_mut().remove(header::CONTENT_TYPE);
            return Ok(response);
        }
        Verdict::Failed => {
            let (bucket, path) = (object.bucket.clone(), object.path.clone());
            return Err(StorageError::PreconditionFailed { bucket, path }.into());
        }
    }
    overrides(call, response.headers_mut())?;
    if let (Some(parts), Some(_)) = (&object.extra.parts, call.parameter("partNumber")) {
        response.headers_mut().insert("x-amz-mp-parts-count", HeaderValue::from(parts.count));
    }
    let size = object.size;
    let range = match part(call, &download)?.unwrap_or_else(|| wanted_range(call.headers(), object)) {
        Asked::Whole => None,
        Asked::Part(range) => {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            let told = format!("bytes {}-{}/{size}", range.start, range.end.saturating_sub(1));
            insert(response.headers_mut(), header::CONTENT_RANGE, told);
            Some(range)
        }
        Asked::Outside => return Err(StorageError::InvalidRange { size }.into()),
    };
    // A part does not have the checksums of the whole, and clients compare what they are told.
    let asked = call.headers().get("x-amz-checksum-mode").is_some_and(|mode| mode.as_bytes() == b"ENABLED");
    if asked && range.is_none() {
        checksums(object, response.headers_mut());
    } else if asked && let Some(number) = call.parameter("partNumber").and_then(|number| number.parse().ok())
    {
        let of_part = part_checksum(&download, number)
            .map(|(algorithm, digest)| (algorithm.as_str().to_owned(), digest));
        if let Some(of_part) = of_part {
            checksum_headers(&Checksums::from([of_part]), response.headers_mut());
            response
                .headers_mut()
                .insert("x-amz-checksum-type", HeaderValue::from_static(ChecksumType::Composite.as_str()));
        }
    }
    let length = range.as_ref().map_or(size, |range| range.end.saturating_sub(range.start));
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    call.log_size(length);
    if !call.is_head() {
        *response.body_mut() = match download.body(range).await? {
            DownloadBody::Bytes(bytes) => Body::from(bytes),
            DownloadBody::Stream(stream) => Body::from_stream(stream.map_err(|error| errors::broken(&error))),
        };
    }
    Ok(response)
}

/// What `partNumber` asks for. A part of an object that came in parts is partial content, also where it is the only one.
fn part(call: &Call, download: &Download) -> Result<Option<Asked>, Failure> {
    let Some(number) = call.parameter("partNumber") else { return Ok(None) };
    if call.headers().contains_key(header::RANGE) {
        return Err(Failure::invalid("Cannot specify both Range header and partNumber query parameter"));
    }
    let missing = || {
        let message = "The requested partnumber is not satisfiable";
        Failure::new(StatusCode::RANGE_NOT_SATISFIABLE, "InvalidPartNumber", message)
    };
    let range = download.part(number.parse().unwrap_or(0)).ok_or_else(missing)?;
    match download.object().extra.parts.is_some() && !range.is_empty() {
        true => Ok(Some(Asked::Part(range))),
        // An empty range can't be told; an object of one part is all of it.
        false => Ok(Some(Asked::Whole)),
    }
}

fn wanted_range(headers: &HeaderMap, object: &StorageObject) -> Asked {
    match headers.get(header::RANGE).and_then(|value| value.to_str().ok()) {
        Some(value) if conditional::range_holds(headers, object) => range::parse(value, object.size),
        Some(_) | None => Asked::Whole,
    }
}

fn overrides(call: &Call, headers: &mut HeaderMap) -> Result<(), Failure> {
    for (parameter, name) in OVERRIDES {
        let Some(value) = call.parameter(parameter) else { continue };
        if !call.is_signed() {
            return Err(Failure::invalid(
                "Request specific response headers cannot be used for anonymous requests",
            ));
        }
        let value = HeaderValue::from_bytes(value.as_bytes());
        let value = value.map_err(|_| Failure::argument(format!("{parameter} is no header's value")))?;
        headers.insert(name, value);
    }
    Ok(())
}
