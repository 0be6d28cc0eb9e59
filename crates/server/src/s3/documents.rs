//! What carries XML: read for its operation, and answered, by `s3s`, which is given what was found out here and nothing else.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use file_storage::Operation;
use file_storage::file::PutMode;
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, header};
use http_body_util::BodyExt;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::service::{S3Service, S3ServiceBuilder};

use super::budget::Room;
use super::call::Call;
use super::failure::Failure;
use super::object::attributes;
use super::operations::Operations;
use super::payload::Incoming;
use super::route::Document;
use super::xml;

/// Most bytes of a document that lists what ten thousand parts, or a thousand keys, take.
const MOST_OF_LISTS: usize = 4 * 1024 * 1024;
/// Most bytes of any other, and of those of callers whom nobody knows.
const MOST: usize = 256 * 1024;

/// How the element begins that `s3s` leaves out of what makes a bucket.
const TAGS: &[u8] = b"<Tags";

/// The reader and writer of documents.
#[derive(Clone)]
pub(super) struct Documents(S3Service);

impl Documents {
    pub(super) fn new() -> Self {
        let mut builder = S3ServiceBuilder::new(Operations);
        builder.set_validation(AnyName);
        Self(builder.build())
    }

    /// Answers a request that is a document, or whose answer is one.
    pub(super) async fn answer(
        &self,
        call: Call,
        document: Document,
        parts: Parts,
        incoming: Incoming,
    ) -> Result<Response, Failure> {
        let (sent, room) = match parts.method {
            Method::PUT | Method::POST => {
                admit(&call, document).await?;
                incoming.document(&call.app().s3_documents, most_bytes(document, call.is_signed())).await?
            }
            _ => (Bytes::new(), Room::default()),
        };
        xml::check(&sent)?;
        if document == Document::NewBucket && sent.windows(TAGS.len()).any(|part| part == TAGS) {
            return Err(Failure::not_implemented("Making a bucket with tags"));
        }
        let mut request = http::Request::from_parts(parts, s3s::Body::empty());
        // What was verified is no matter of anybody behind.
        for name in ["authorization", "content-encoding", "if-match", "x-amz-content-sha256", "x-amz-trailer"]
        {
            request.headers_mut().remove(name);
        }
        request.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(sent.len()));
        *request.body_mut() = s3s::Body::from(sent);
        *request.uri_mut() = plain_uri(&call)?;
        request.extensions_mut().insert(call.clone());
        let answered = self.0.call(request).await;
        drop(room);
        if let Some(failure) = call.take_failure() {
            return Err(failure);
        }
        let (parts, body) = answered.map_err(|_| internal())?.into_parts();
        let body = body.collect().await.map_err(|_| internal())?.to_bytes();
        if parts.status.is_client_error() || parts.status.is_server_error() {
            return Err(worded(parts.status, &body));
        }
        let plain = call.parameter("attributes").and_then(|_| attributes::without_quotes(&body));
        let mut response = Response::from_parts(parts, plain.map_or_else(|| Body::from(body), Body::from));
        response.extensions_mut().clear();
        Ok(response)
    }
}

/// Names are checked by [`Target`](super::target::Target), by the rules that all protocols share.
struct AnyName;

impl s3s::validation::NameValidation for AnyName {
    fn validate_bucket_name(&self, name: &str) -> bool {
        !name.is_empty()
    }
}

fn most_bytes(document: Document, is_signed: bool) -> usize {
    match document {
        Document::Deletion | Document::Completion if is_signed => MOST_OF_LISTS,
        _ => MOST,
    }
}

/// Asks for leave before a document is read, as far as it can be known without it.
async fn admit(call: &Call, document: Document) -> Result<(), Failure> {
    let upsert = PutMode::Upsert;
    let operation = match document {
        Document::None => return Ok(()),
        Document::NewBucket => Operation::CreateBucket,
        Document::Bucket => Operation::UpdateBucket,
        Document::Deletion => Operation::Delete,
        Document::Completion => Operation::CompleteMultipart(&upsert),
        Document::Tags => Operation::TagObject,
        Document::ObjectAcl => Operation::Info,
    };
    call.begin(operation);
    let (bucket, context) = (call.bucket()?, call.context());
    call.storage().may_ask(context, operation, Some(bucket)).await?;
    match document {
        Document::Bucket => drop(call.storage().bucket(context, bucket).await?),
        Document::Deletion => call.storage().reach(context, bucket).await?,
        Document::ObjectAcl => drop(call.info().await?),
        Document::None | Document::NewBucket | Document::Completion | Document::Tags => {}
    }
    Ok(())
}

/// The target in path style, with the query, encoded anew: `s3s` reads what was read here.
fn plain_uri(call: &Call) -> Result<http::Uri, Failure> {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let mut plain = String::from("/");
    if let Ok(bucket) = call.bucket() {
        plain.push_str(&encode(bucket.as_str()));
        if let Ok((_, path)) = call.object() {
            plain = format!("{plain}/{}", encode(path.as_str()));
        }
    }
    for (number, (name, value)) in call.query().iter().enumerate() {
        plain.push(if number == 0 { '?' } else { '&' });
        plain.push_str(&format!("{}={}", encode(name), encode(value)));
    }
    plain.parse().map_err(|_| Failure::bad_request("InvalidURI", "The request's target is malformed"))
}

fn internal() -> Failure {
    Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", "Internal error")
}

/// An error that `s3s` found, which says its code alone.
fn worded(status: StatusCode, xml: &[u8]) -> Failure {
    let text = std::str::from_utf8(xml).unwrap_or_default();
    let code =
        text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>")).map(|(code, _)| code);
    match WORDS.into_iter().find(|(known, _)| Some(*known) == code) {
        Some((code, message)) => Failure::new(status, code, message),
        None if status.is_client_error() => {
            Failure::new(status, "InvalidRequest", "The request is not valid")
        }
        None => internal(),
    }
}

/// What `s3s` answers by itself.
const WORDS: [(&str, &str); 8] = [
    ("NotImplemented", "The operation is not supported by this server"),
    (
        "MalformedXML",
        "The XML you provided was not well-formed or did not validate against our published schema",
    ),
    ("InvalidRequest", "A header or parameter is missing, or is not of its form"),
    ("InvalidArgument", "A header or parameter is not of its form"),
    ("InvalidURI", "Couldn't parse the specified URI"),
    ("MethodNotAllowed", "The specified method is not allowed against this resource"),
    ("MissingContentLength", "You must provide the Content-Length HTTP header"),
    ("InternalError", "Internal error"),
];
