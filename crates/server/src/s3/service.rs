//! From a request to its answer: located, authenticated, routed, and worded.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::any;
use file_storage::{BucketName, RlsContext};
use http::request::Parts;
use http::{HeaderValue, Method};

use super::call::{Call, NewCall};
use super::caller::Signer;
use super::documents::Documents;
use super::failure::Failure;
use super::payload::{Incoming, Payload, check_checksum_words, without_checksums};
use super::route::{self, Document, Route};
use super::signature::{self, Clock, Origin};
use super::target::{self, Mount, Parameters, Target};
use super::{BASE, cors, form, hoisted, multipart, object, owners, supported};
use crate::app::AppState;
use crate::http::{LogSlot, Peer, RequestId, called_host};

/// S3 at one place.
#[derive(Clone)]
struct Service {
    app: AppState,
    /// Whether it has its listener for itself.
    is_alone: bool,
    /// How the operator says that clients call the server.
    public: Option<Origin>,
    documents: Documents,
}

/// S3 below the server's own routes.
pub(crate) fn service(app: &AppState) -> Router {
    let service = Service::new(app, false);
    Router::new()
        .route(BASE, any(handle))
        .route(&format!("{BASE}/"), any(handle))
        .route(&format!("{BASE}/{{*rest}}"), any(handle))
        .with_state(service)
}

/// S3 on a listener of its own.
pub(crate) fn own_listener(app: &AppState) -> Router {
    Router::new().fallback(handle).with_state(Service::new(app, true))
}

impl Service {
    fn new(app: &AppState, is_alone: bool) -> Self {
        Self { app: app.clone(), is_alone, public: public(app), documents: Documents::new() }
    }
}

async fn handle(State(service): State<Service>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let id: Arc<str> = parts.extensions.get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
    let log = LogSlot::default();
    let cross_origin = cors::Asked::of(&parts);
    let resource = parts.uri.path().to_owned();
    let host = called_host(&parts.uri, &parts.headers);
    let came = service.target(&parts, host.as_deref());
    let mut bucket = came.as_ref().ok().and_then(|target| target.bucket().cloned());
    note(&log, came.as_ref().ok());

    let answered = match cors::preflight(&service.app, &parts, bucket.as_ref()).await {
        Some(answer) => answer,
        None => Box::pin(service.answer(parts, body, came, &mut bucket, &log, id.clone())).await,
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

fn note(log: &LogSlot, target: Option<&Target>) {
    log.update(|log| {
        log.bucket = target.and_then(Target::bucket).map(ToString::to_string);
        log.path = target.and_then(Target::path).map(ToString::to_string);
    });
}

/// A request of which it is known who sends it, and what they mean.
struct Identified {
    context: RlsContext,
    payload: Payload,
    /// The region that it was signed for.
    region: Option<String>,
    target: Target,
}

impl Service {
    /// Answers a request. `came` is what it is about if nobody signed it; `bucket` becomes the one that it is about.
    async fn answer(
        &self,
        mut parts: Parts,
        body: Body,
        came: Result<Target, Failure>,
        bucket: &mut Option<BucketName>,
        log: &LogSlot,
        id: Arc<str>,
    ) -> Result<Response, Failure> {
        let query = target::parameters(&parts.uri);
        let is_form = form::is_form(&parts.headers) && !route::chooses(&query);
        if let (&Method::POST, Ok(target @ Target::Bucket(_)), true) = (&parts.method, &came, is_form) {
            return form::post(&self.app, &parts, body, target, log, id).await;
        }
        let identified = self.identify(&parts, &query, came, &id).await?;
        let Identified { context, payload, region, target } = identified;
        *bucket = target.bucket().cloned();
        note(log, Some(&target));
        log.update(|log| log.user_id = context.user_id());
        let query = hoisted::into_headers(query, &mut parts.headers)?;
        let route = Route::of(&parts, &target, &query)?;
        supported::check(&parts.method, &target, &query, &parts.headers)?;
        let (app, log, method) = (self.app.clone(), log.clone(), parts.method.clone());
        // Of those that carry bytes, the call alone looks at the head from here on.
        let headers = match route {
            Route::Read | Route::Write | Route::WritePart => std::mem::take(&mut parts.headers),
            Route::Document(_) => parts.headers.clone(),
        };
        let call = Call::new(NewCall { app, context, log, target, method, headers, query, region });
        owners::check(&call).await?;
        match route {
            Route::Read => object::get::get(&call).await,
            Route::Write => {
                check_checksum_words(call.headers())?;
                let incoming = Incoming::new(call.headers(), payload, body)?;
                object::put::put(&call, incoming).await
            }
            Route::WritePart => {
                check_checksum_words(call.headers())?;
                let incoming = Incoming::new(call.headers(), payload, body)?;
                multipart::part::upload(&call, incoming).await
            }
            Route::Document(document) => {
                let incoming = match document {
                    Document::Completion => Incoming::new(&without_checksums(&parts.headers), payload, body)?,
                    _ => Incoming::new(&parts.headers, payload, body)?,
                };
                self.documents.answer(call, document, parts, incoming).await
            }
        }
    }

    /// Finds out who sends a request, and what it is about: of a signed one, what its signer signed.
    async fn identify(
        &self,
        parts: &Parts,
        query: &Parameters,
        came: Result<Target, Failure>,
        id: &Arc<str>,
    ) -> Result<Identified, Failure> {
        let Some(claim) = signature::shown(parts, query, self.clock())? else {
            let target = came?;
            let context = self.anybody(parts, id)?.coming_from(client(&self.app, parts));
            let payload = Payload::of_anybody(&parts.headers)?;
            return Ok(Identified { context, payload, region: None, target });
        };
        let client = client(&self.app, parts);
        let signer = Signer::find(&self.app, &claim.scope, claim.session_token.as_deref(), client).await?;
        let origins = self.origins(parts);
        // The keys of now must not be held over what follows.
        let verified = claim.verify((&self.app.s3_keys.load().known, &signer.secret), parts, query, &origins);
        let (key, origin) = match verified {
            Ok(verified) => verified,
            Err(failure) => {
                self.app.rate_limits.refused.check(client)?;
                return Err(failure);
            }
        };
        // Not where the request came in: a proxy, or whoever has a signed URL, may say another host than was signed.
        let target = self.target(parts, Some(&origin.host))?;
        let context = signer.into_context(&self.app, id.clone()).await?.coming_from(client);
        if claim.is_in_query() {
            self.app.rate_limits.signed.check(client)?;
        }
        let payload = claim.payload(key)?;
        Ok(Identified { context, payload, region: Some(claim.scope.region.clone()), target })
    }

    fn clock(&self) -> Clock {
        Clock { now: chrono::Utc::now(), skew: self.app.config.s3.clock_skew }
    }

    /// What a request is about whose client called the server so.
    fn target(&self, parts: &Parts, host: Option<&str>) -> Result<Target, Failure> {
        let mount = Mount {
            is_alone: self.is_alone,
            prefix: self.public.as_ref().map_or("", |public| &public.prefix),
            domains: &self.app.config.s3.domain,
        };
        Target::of(&parts.uri, host, mount)
    }

    /// Nobody in particular.
    fn anybody(&self, parts: &Parts, id: &Arc<str>) -> Result<RlsContext, Failure> {
        self.app.rate_limits.public.check(client(&self.app, parts))?;
        Ok(RlsContext::anon(id.clone()))
    }

    /// The ways in which the client may have called the server: as the request came; as the operator says; as a trusted
    /// proxy says.
    ///
    /// IMPORTANT: what stood before the path is the operator's to say, and a proxy's only where it says the same. Many proxies
    /// pass the client's `X-Forwarded-Prefix` on, and by another one a signed path is another object.
    fn origins(&self, parts: &Parts) -> Vec<Origin> {
        let came = called_host(&parts.uri, &parts.headers).unwrap_or_default();
        let mut origins = vec![Origin { host: came.clone(), prefix: String::new() }];
        // It is where the server's own routes are, which a listener of S3's own has not.
        let of_operator = |prefix: &str| if self.is_alone { String::new() } else { prefix.to_owned() };
        if let Some(public) = &self.public {
            origins.push(Origin { host: public.host.clone(), prefix: of_operator(&public.prefix) });
        }
        let told = self.app.proxies.forwarded(peer(parts), &parts.headers);
        if told.host.is_some() || told.prefix.is_some() {
            let host = told.host.unwrap_or(came);
            let known = self.public.as_ref().map(|public| &public.prefix);
            let prefix = told.prefix.filter(|prefix| Some(prefix) == known);
            origins.push(Origin { host, prefix: of_operator(&prefix.unwrap_or_default()) });
        }
        origins.dedup();
        origins
    }
}

/// How the operator says that clients call the server.
fn public(app: &AppState) -> Option<Origin> {
    let url: http::Uri = app.config.server.public_url.as_ref()?.0.parse().ok()?;
    let host = url.authority()?.to_string();
    Some(Origin { host, prefix: url.path().trim_end_matches('/').to_owned() })
}

/// Where a client is, for limits.
pub(super) fn client(app: &AppState, parts: &Parts) -> std::net::IpAddr {
    app.proxies.client(peer(parts), &parts.headers)
}

fn peer(parts: &Parts) -> std::net::IpAddr {
    let nowhere = std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
    parts.extensions.get::<Peer>().map_or(nowhere, |peer| peer.0.ip())
}
