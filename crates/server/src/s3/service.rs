//! From a request to its answer: located, authenticated, routed, and worded.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::any;
use file_storage::RlsContext;
use http::request::Parts;
use http::{HeaderValue, Method, header};
use http_body_util::BodyExt;
use s3s::service::{S3Service, S3ServiceBuilder};

use super::call::{Call, NewCall};
use super::caller::Signer;
use super::documents::Documents;
use super::failure::Failure;
use super::payload::{Incoming, Payload, without_checksums};
use super::signature::{self, Clock, Origin};
use super::target::{self, Mount, Parameters, Target};
use super::{BASE, cors, form, multipart, object, supported};
use crate::app::AppState;
use crate::http::{LogSlot, Peer, RequestId, called_host};

/// S3 at one place.
#[derive(Clone)]
struct Service {
    app: AppState,
    base: &'static str,
    documents: S3Service,
}

/// S3 below the server's own routes.
pub(crate) fn service(app: &AppState) -> Router {
    let service = Service::new(app, BASE);
    Router::new()
        .route(BASE, any(handle))
        .route(&format!("{BASE}/"), any(handle))
        .route(&format!("{BASE}/{{*rest}}"), any(handle))
        .with_state(service)
}

/// S3 on a listener of its own.
pub(crate) fn own_listener(app: &AppState) -> Router {
    Router::new().fallback(handle).with_state(Service::new(app, ""))
}

impl Service {
    fn new(app: &AppState, base: &'static str) -> Self {
        let mut builder = S3ServiceBuilder::new(Documents);
        builder.set_validation(AnyName);
        Self { app: app.clone(), base, documents: builder.build() }
    }
}

/// Names are checked by [`Target`], by the rules that all protocols share.
struct AnyName;

impl s3s::validation::NameValidation for AnyName {
    fn validate_bucket_name(&self, name: &str) -> bool {
        !name.is_empty()
    }
}

async fn handle(State(service): State<Service>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let id: Arc<str> = parts.extensions.get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
    let log = LogSlot::default();
    let cross_origin = cors::Asked::of(&parts);
    let resource = parts.uri.path().to_owned();
    let host = called_host(&parts.uri, &parts.headers);
    let mount = Mount { base: service.base, domains: &service.app.config.s3.domain };
    let target = Target::of(&parts.uri, host.as_deref(), mount);
    let bucket = target.as_ref().ok().and_then(|target| target.bucket().cloned());

    let answered = match target {
        Ok(target) => {
            log.update(|log| {
                log.bucket = target.bucket().map(ToString::to_string);
                log.path = target.path().map(ToString::to_string);
            });
            match cors::preflight(&service.app, &parts, target.bucket()).await {
                Some(answer) => answer,
                None => Box::pin(service.answer(parts, body, target, &log, id.clone())).await,
            }
        }
        Err(failure) => Err(failure),
    };
    let mut response = answered.unwrap_or_else(|failure| {
        log.update(|log| {
            log.code = Some(failure.code());
            log.cause = failure.cause().map(str::to_owned);
        });
        failure.response(&resource, &id)
    });
    if let Some(asked) = cross_origin {
        cors::mark(&service.app, &asked, bucket.as_ref(), &mut response).await;
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert("x-amz-request-id", id);
    }
    let known = log.code_and_cause();
    response.extensions_mut().insert(log.finish(known.0, known.1));
    response
}

/// What a request is, of what is answered here; the rest are documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    /// `GET` or `HEAD` of an object's bytes.
    Read,
    /// `PUT` of an object's bytes.
    Write,
    /// `PUT` of a part's bytes.
    WritePart,
    /// A document that makes an object of parts: checksums in the head are the object's.
    Completion,
    /// A form with a file.
    Form,
    /// Everything that carries XML, or nothing.
    Document,
}

/// Parameters that make a request about an object one about something of it.
const PARTS_OF_OBJECTS: [&str; 9] =
    ["acl", "attributes", "legal-hold", "retention", "tagging", "torrent", "uploadId", "uploads", "restore"];

impl Route {
    fn of(parts: &Parts, target: &Target, query: &Parameters) -> Self {
        let has = |name: &str| query.iter().any(|(key, _)| key == name);
        let about_a_part = PARTS_OF_OBJECTS.iter().any(|name| has(name));
        let copies = parts.headers.contains_key("x-amz-copy-source");
        match (&parts.method, target) {
            (&Method::GET | &Method::HEAD, Target::Object(..)) if !about_a_part => Self::Read,
            (&Method::HEAD, Target::Object(..)) => Self::Read,
            (&Method::PUT, Target::Object(..)) if !about_a_part && !has("partNumber") && !copies => {
                Self::Write
            }
            (&Method::PUT, Target::Object(..)) if has("uploadId") && has("partNumber") && !copies => {
                Self::WritePart
            }
            (&Method::POST, Target::Object(..)) if has("uploadId") => Self::Completion,
            (&Method::POST, Target::Bucket(_)) if form::is_form(&parts.headers) => Self::Form,
            _ => Self::Document,
        }
    }
}

impl Service {
    async fn answer(
        &self,
        parts: Parts,
        body: Body,
        target: Target,
        log: &LogSlot,
        id: Arc<str>,
    ) -> Result<Response, Failure> {
        let query = target::parameters(&parts.uri);
        let route = Route::of(&parts, &target, &query);
        if route == Route::Form {
            return form::post(&self.app, &parts, body, &target, log, id).await;
        }
        let clock = self.clock();
        let (context, payload, region) = match signature::shown(&parts, &query, clock)? {
            None => (self.anybody(&parts, &id)?, Payload::of_anybody(&parts.headers)?, None),
            Some(claim) => {
                let signer = Signer::find(&self.app, &claim.scope, claim.session_token.as_deref()).await?;
                let key = claim.verify(&signer.secret, &parts, &query, &self.origins(&parts))?;
                let context = signer.into_context(&self.app, id.clone()).await?;
                if claim.is_in_query() {
                    self.app.rate_limits.signed.check(client(&self.app, &parts))?;
                }
                (context, claim.payload(key)?, Some(claim.scope.region.clone()))
            }
        };
        log.update(|log| log.user_id = context.user_id());
        supported::check(&parts.method, &query, &parts.headers)?;
        let (app, log, method) = (self.app.clone(), log.clone(), parts.method.clone());
        let new = |headers| NewCall { app, context, log, target, method, headers, query, region };
        if route == Route::Read {
            return object::get::get(&Call::new(new(parts.headers))).await;
        }
        let incoming = match route {
            Route::Completion => Incoming::new(&without_checksums(&parts.headers), payload, body)?,
            _ => Incoming::new(&parts.headers, payload, body)?,
        };
        let call = Call::new(new(parts.headers.clone()));
        match route {
            Route::Write => object::put::put(&call, incoming).await,
            Route::WritePart => multipart::part::upload(&call, incoming).await,
            Route::Read | Route::Document | Route::Completion | Route::Form => {
                self.document(call, parts, incoming).await
            }
        }
    }

    /// Has `s3s` read the request's XML and write the answer's.
    async fn document(&self, call: Call, parts: Parts, incoming: Incoming) -> Result<Response, Failure> {
        let has_body = matches!(parts.method, Method::PUT | Method::POST);
        let document = if has_body { incoming.document().await? } else { bytes::Bytes::new() };
        let mut request = http::Request::from_parts(parts, s3s::Body::empty());
        // What was verified here is no matter of anybody behind.
        for name in ["authorization", "content-encoding", "x-amz-content-sha256", "x-amz-trailer"] {
            request.headers_mut().remove(name);
        }
        request.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(document.len()));
        *request.body_mut() = s3s::Body::from(document);
        *request.uri_mut() = plain_uri(&call, request.uri())?;
        request.extensions_mut().insert(call.clone());
        let answered = self.documents.call(request).await;
        let failed =
            |_| Failure::new(http::StatusCode::INTERNAL_SERVER_ERROR, "InternalError", "Internal error");
        let (parts, body) = answered.map_err(failed)?.into_parts();
        let body = body.collect().await.map_err(|_| failed_body())?.to_bytes();
        if parts.status.is_client_error() || parts.status.is_server_error() {
            call.log_code(code_of(&body));
        }
        let mut response = Response::from_parts(parts, Body::from(body));
        response.extensions_mut().clear();
        Ok(response)
    }

    fn clock(&self) -> Clock {
        Clock { now: chrono::Utc::now(), skew: self.app.config.s3.clock_skew }
    }

    /// Nobody in particular.
    fn anybody(&self, parts: &Parts, id: &Arc<str>) -> Result<RlsContext, Failure> {
        self.app.rate_limits.public.check(client(&self.app, parts))?;
        Ok(RlsContext::anon(id.clone()))
    }

    /// The ways in which the client may have called the server: as the request came; as the operator says; as a trusted
    /// proxy says.
    fn origins(&self, parts: &Parts) -> Vec<Origin> {
        let came = called_host(&parts.uri, &parts.headers).unwrap_or_default();
        let mut origins = vec![Origin { host: came.clone(), prefix: String::new() }];
        if let Some(url) = &self.app.config.server.public_url
            && let Ok(url) = url.0.parse::<http::Uri>()
        {
            let prefix = url.path().trim_end_matches('/').to_owned();
            let host = url.authority().map_or(came.clone(), ToString::to_string);
            origins.push(Origin { host, prefix });
        }
        let told = self.app.proxies.forwarded(peer(parts), &parts.headers);
        if told.host.is_some() || told.prefix.is_some() {
            let host = told.host.unwrap_or(came);
            origins.push(Origin { host, prefix: told.prefix.unwrap_or_default() });
        }
        origins.dedup();
        origins
    }
}

/// Where a client is, for limits.
pub(super) fn client(app: &AppState, parts: &Parts) -> std::net::IpAddr {
    app.proxies.client(peer(parts), &parts.headers)
}

fn peer(parts: &Parts) -> std::net::IpAddr {
    let nowhere = std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
    parts.extensions.get::<Peer>().map_or(nowhere, |peer| peer.0.ip())
}

fn failed_body() -> Failure {
    Failure::new(http::StatusCode::INTERNAL_SERVER_ERROR, "InternalError", "Internal error")
}

/// The request's target in path style, encoded anew, with its query but for the signature.
fn plain_uri(call: &Call, uri: &http::Uri) -> Result<http::Uri, Failure> {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let mut plain = String::from("/");
    if let Ok(bucket) = call.bucket() {
        plain.push_str(&encode(bucket.as_str()));
        if let Ok((_, path)) = call.object() {
            plain = format!("{plain}/{}", encode(path.as_str()));
        }
    }
    let kept = uri.query().unwrap_or_default().split('&');
    let kept: Vec<_> = kept.filter(|pair| !pair.is_empty() && !pair.starts_with("X-Amz-")).collect();
    if !kept.is_empty() {
        plain = format!("{plain}?{}", kept.join("&"));
    }
    plain.parse().map_err(|_| Failure::bad_request("InvalidURI", "The request's target is malformed"))
}

/// The code of an error that `s3s` worded, for the log.
fn code_of(xml: &[u8]) -> Option<&'static str> {
    let text = std::str::from_utf8(xml).ok()?;
    let (_, rest) = text.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    CODES.into_iter().find(|known| *known == code)
}

/// What `s3s` answers by itself.
const CODES: [&str; 8] = [
    "NotImplemented",
    "MalformedXML",
    "InvalidRequest",
    "InvalidArgument",
    "InvalidURI",
    "MethodNotAllowed",
    "MissingContentLength",
    "InternalError",
];
