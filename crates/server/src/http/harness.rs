//! From a request off the wire to an answer on its way: what happens around every handler.

use std::net::IpAddr;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use file_storage::audit::{AuditLog, Entry, Event, Outcome};
use futures_util::FutureExt;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::{Body as _, Incoming};
use ipnet::IpNet;
use tower::Service;
use tracing::{Instrument as _, Span};

use super::cors::CrossOrigin;
use super::operation::{LogSlot, Ongoing, OperationLog};
use super::request_body::{Rest, Stalled, WatchedBody};
use super::request_id::{self, RequestId};
use super::response_body::MeasuredBody;
use super::{HttpOptions, answer, host};
use crate::client_address::Proxies;
use crate::telemetry::traces;

/// The socket's other end: the client, or the proxy in front of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// What surrounds the handlers of all protocols.
pub struct Harness {
    routes: Router,
    cross_origin: ArcSwap<CrossOrigin>,
    own_cors_below: Option<&'static str>,
    trusted_proxies: Vec<IpNet>,
    body_idle_timeout: Duration,
    /// What is told of requests that are refused before it is known whose they are.
    audit: Option<AuditLog>,
}

impl Harness {
    /// A harness around these routes.
    pub fn new(routes: Router, options: &HttpOptions) -> Self {
        Self {
            cross_origin: ArcSwap::from_pointee(CrossOrigin::new(routes.clone(), &options.allowed_origins)),
            routes,
            own_cors_below: options.own_cors_below,
            trusted_proxies: options.trusted_proxies.clone(),
            body_idle_timeout: options.body_idle_timeout,
            audit: None,
        }
    }

    /// The same, which tells the audit log of requests that come no further than to the door, where it wants them.
    #[must_use]
    pub fn telling(self, audit: Option<AuditLog>) -> Self {
        Self { audit: audit.filter(AuditLog::keeps_all), ..self }
    }

    /// Has pages of these origins call, and of no others, from now on; `*` for any.
    pub fn allow_origins(&self, origins: &[String]) {
        self.cross_origin.store(Arc::new(CrossOrigin::new(self.routes.clone(), origins)));
    }

    /// Answers one request. Never fails, and survives a handler that panics.
    pub(super) async fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> Response<MeasuredBody> {
        let started = Instant::now();
        let request_id = self.request_id(&request, peer);
        let method = request.method().clone();
        let stalled = Stalled::default();
        let client = self.audit.as_ref().map(|_| self.client(&request, peer));
        let bad_host = host::check(request.version(), request.uri(), request.headers()).err();
        let span = traces::begin(&method, request.headers(), &request_id.0);
        let request = self.prepare(request, peer, &request_id, &stalled);

        let own_cors = self.says_itself(request.uri().path());
        let cors = if own_cors { None } else { self.cross_origin.load().applies(&method, request.headers()) };
        let by_cors = own_cors || cors.is_some();
        let answered = match (bad_host, cors) {
            (Some(host::BadHost(problem)), _) => Ok(Ok(malformed(problem, &request_id))),
            (None, None) => {
                AssertUnwindSafe(self.routes.clone().call(request).instrument(span.clone()))
                    .catch_unwind()
                    .await
            }
            (None, Some(mut routes)) => {
                AssertUnwindSafe(routes.call(request).instrument(span.clone())).catch_unwind().await
            }
        };
        let mut response = match answered {
            Ok(Ok(response)) => response,
            Ok(Err(never)) => match never {},
            Err(_) => after_panic(&request_id),
        };
        if stalled.get() {
            response = after_stall(self.body_idle_timeout, &request_id);
        }
        if !by_cors {
            self.cross_origin.load().mark(response.headers_mut());
        }
        response.headers_mut().insert(request_id::HEADER, request_id.header_value());
        if let (Some(audit), Some(client)) = (&self.audit, client)
            && let Some(refusal) = refusal(&response, client, &request_id)
        {
            audit.note(refusal).await;
        }
        measured(response, &method, started, request_id, span)
    }

    /// Whether a route says itself which pages may call it.
    fn says_itself(&self, path: &str) -> bool {
        let rest = self.own_cors_below.and_then(|below| path.strip_prefix(below));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    fn request_id(&self, request: &Request<Incoming>, peer: SocketAddr) -> RequestId {
        let from_proxy =
            || self.is_trusted(peer.ip()).then(|| RequestId::from_proxy(request.headers())).flatten();
        match self.trusted_proxies.is_empty() {
            true => RequestId::generate(),
            false => from_proxy().unwrap_or_else(RequestId::generate),
        }
    }

    fn client(&self, request: &Request<Incoming>, peer: SocketAddr) -> IpAddr {
        Proxies::new(&self.trusted_proxies).client(peer.ip(), request.headers())
    }

    fn is_trusted(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.trusted_proxies.iter().any(|net| net.contains(&peer))
    }

    /// Gives a request its extensions, and a body that may not stand still.
    fn prepare(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
        request_id: &RequestId,
        stalled: &Stalled,
    ) -> Request<Body> {
        let (mut parts, body) = request.into_parts();
        parts.extensions.insert(request_id.clone());
        parts.extensions.insert(Peer(peer));
        let body = if body.is_end_stream() {
            Body::empty()
        } else {
            let rest = Rest::of(&parts);
            Body::new(WatchedBody::new(body, rest, self.body_idle_timeout, stalled.clone()))
        };
        Request::from_parts(parts, body)
    }
}

/// What the audit log is told of a request that was refused before it was known whose it is: for a token, a key, a signature
/// or a signed URL that is not good.
fn refusal(response: &Response<Body>, client: IpAddr, request_id: &RequestId) -> Option<Entry> {
    let log = response.extensions().get::<OperationLog>()?;
    let code = log.code?;
    let at_the_door = log.operation == super::operation::AT_THE_DOOR || AT_SIGNED_URLS.contains(&code);
    at_the_door.then(|| Entry {
        operation: Some(log.operation.into()),
        outcome: Some(Outcome::Refused),
        code: Some(code.into()),
        client: Some(client),
        request_id: Some(request_id.0.to_string()),
        bucket: log.bucket.clone(),
        path: log.path.clone(),
        ..Entry::new(Event::Request)
    })
}

/// Codes of signed URLs that are not good: they stand for who asks.
const AT_SIGNED_URLS: [&str; 2] = ["INVALID_SIGNATURE", "URL_EXPIRED"];

/// The answer to a request that is no good request of HTTP, whatever it asks for.
fn malformed(problem: &'static str, request_id: &RequestId) -> Response<Body> {
    let mut response = answer::problem(StatusCode::BAD_REQUEST, "INVALID_REQUEST", problem, &request_id.0);
    response
        .extensions_mut()
        .insert(OperationLog { code: Some("INVALID_REQUEST"), ..OperationLog::new("malformed") });
    response
}

/// The answer to a request whose handler panicked. The panic hook has logged where; this says whose request it was.
fn after_panic(request_id: &RequestId) -> Response<Body> {
    metrics::counter!("http_panics_total").increment(1);
    tracing::error!(request_id = &*request_id.0, "a handler panicked; its request is answered with 500");
    let mut response =
        answer::problem(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", "Internal error", &request_id.0);
    response.extensions_mut().insert(OperationLog { code: Some("INTERNAL"), ..OperationLog::new("panic") });
    response
}

/// The answer to a client that stopped sending. The rest of its body can't be told from a next request.
fn after_stall(limit: Duration, request_id: &RequestId) -> Response<Body> {
    let message = format!("No byte of the body came for {} s", limit.as_secs());
    let mut response =
        answer::problem(StatusCode::REQUEST_TIMEOUT, "INVALID_REQUEST", &message, &request_id.0);
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
        .extensions_mut()
        .insert(OperationLog { code: Some("INVALID_REQUEST"), ..OperationLog::new("stalled") });
    response
}

/// An answer that writes its operation's line when it has been sent.
fn measured(
    mut response: Response<Body>,
    method: &Method,
    started: Instant,
    request_id: RequestId,
    span: Span,
) -> Response<MeasuredBody> {
    let status = response.status();
    let log =
        response.extensions_mut().remove::<OperationLog>().unwrap_or_else(|| OperationLog::unnamed(method));
    let late = response.extensions_mut().remove::<LogSlot>();
    let bodiless =
        method == Method::HEAD || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let length = response.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    let ongoing = Ongoing { started, request_id: request_id.0, status, log, late, span };
    response.map(|body| MeasuredBody::new(body, length, bodiless, ongoing))
}
