//! One request on its way through a handler, and who makes it.
//!
//! The type of a call names the caller that its route admits: a handler can't get a context any other way, so a route
//! in the wrong group does not compile into an open door.

use std::future::Future;
use std::marker::PhantomData;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use file_storage::{BucketName, FileStorage, ObjectPath, Operation, RlsContext, Role};
use http::request::Parts;
use http::{HeaderMap, Method, Uri, header};

use super::dialect::Dialect;
use super::path;
use crate::app::AppState;
use crate::client_address::{ForwardedOrigin, network};
use crate::errors::ApiError;
use crate::http::{LogSlot, Peer, RequestId, called_host};
use crate::rate_limit::{RateLimited, RateLimiter};

/// One request, authenticated as its route demands, with its body not touched yet.
pub(crate) struct Call<C: Caller> {
    app: AppState,
    parts: Parts,
    body: Body,
    context: RlsContext,
    log: LogSlot,
    caller: PhantomData<C>,
}

/// Who may use a route.
pub(crate) trait Caller: Send + Sync + 'static {
    /// Decides in whose name a request runs.
    fn authenticate(
        app: &AppState,
        parts: &Parts,
    ) -> impl Future<Output = Result<RlsContext, ApiError>> + Send;
}

/// Whoever shows a good token; without one, the native dialect goes on as anon and lets rows decide.
pub(crate) struct Token;
/// Whoever comes: with a good token its user, without one anon.
pub(crate) struct OptionalToken;
/// Whoever comes, and a bad token is never taken for none, in any dialect.
pub(crate) struct Anyone;
/// Anon, whatever token is shown: for what is public.
pub(crate) struct Public;
/// Whoever has a signed URL: the URL's own token decides, in the handler. Any other token is not looked at.
pub(crate) struct Signed;

impl Caller for Token {
    async fn authenticate(app: &AppState, parts: &Parts) -> Result<RlsContext, ApiError> {
        if !has_token(&parts.headers) && Dialect::of(app).demands_token() {
            return Err(ApiError::TokenMissing);
        }
        Ok(app.authenticator.load_full().authenticate(&parts.headers, request_id(parts)).await?)
    }
}

impl Caller for OptionalToken {
    async fn authenticate(app: &AppState, parts: &Parts) -> Result<RlsContext, ApiError> {
        if !has_token(&parts.headers) {
            limit(&app.rate_limits.public, app, parts)?;
            return Ok(RlsContext::anon(request_id(parts)));
        }
        match app.authenticator.load_full().authenticate(&parts.headers, request_id(parts)).await {
            Ok(context) => Ok(context),
            Err(_) if Dialect::of(app).takes_bad_token_for_anon() => {
                limit(&app.rate_limits.public, app, parts)?;
                Ok(RlsContext::anon(request_id(parts)))
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl Caller for Anyone {
    async fn authenticate(app: &AppState, parts: &Parts) -> Result<RlsContext, ApiError> {
        let context = app.authenticator.load_full().authenticate(&parts.headers, request_id(parts)).await?;
        // Also with a token: the anon key is in every browser.
        if context.role() == Role::Anon {
            limit(&app.rate_limits.public, app, parts)?;
        }
        Ok(context)
    }
}

impl Caller for Public {
    async fn authenticate(app: &AppState, parts: &Parts) -> Result<RlsContext, ApiError> {
        limit(&app.rate_limits.public, app, parts)?;
        Ok(RlsContext::anon(request_id(parts)))
    }
}

impl Caller for Signed {
    async fn authenticate(app: &AppState, parts: &Parts) -> Result<RlsContext, ApiError> {
        limit(&app.rate_limits.signed, app, parts)?;
        Ok(RlsContext::anon(request_id(parts)))
    }
}

impl<C: Caller> FromRequest<AppState> for Call<C> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &AppState) -> Result<Self, ApiError> {
        let (mut parts, body) = request.into_parts();
        let log: LogSlot = parts.extensions.remove().unwrap_or_default();
        let context = C::authenticate(app, &parts).await?.coming_from(client(app, &parts));
        log.update(|log| log.user_id = context.user_id());
        Ok(Self { app: app.clone(), parts, body, context, log, caller: PhantomData })
    }
}

impl<C: Caller> Call<C> {
    /// Names the operation for the log, before anything can go wrong with it.
    pub(crate) fn begin(&self, operation: Operation<'_>) {
        self.log.update(|log| log.operation = operation.name());
    }

    pub(crate) fn storage(&self) -> &FileStorage {
        &self.app.storage
    }

    pub(crate) fn dialect(&self) -> Dialect {
        Dialect::of(&self.app)
    }

    /// Whether the token is still good, by what is in force now.
    ///
    /// # Errors
    /// As of a request that comes with it now.
    pub(crate) fn authenticate_again(&self) -> impl Future<Output = Result<(), ApiError>> + Send {
        let (authenticator, headers) = (self.app.authenticator.load_full(), &self.parts.headers);
        let request_id = request_id(&self.parts);
        async move {
            authenticator.authenticate(headers, request_id).await?;
            Ok(())
        }
    }

    /// In whose name everything happens.
    pub(crate) fn context(&self) -> &RlsContext {
        &self.context
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    pub(crate) fn uri(&self) -> &Uri {
        &self.parts.uri
    }

    pub(crate) fn is_head(&self) -> bool {
        self.parts.method == Method::HEAD
    }

    pub(crate) fn has_token(&self) -> bool {
        has_token(&self.parts.headers)
    }

    /// Takes the body out.
    pub(crate) fn body(&mut self) -> Body {
        std::mem::take(&mut self.body)
    }

    /// Tells the log how large the object is.
    pub(crate) fn log_size(&self, size: u64) {
        self.log.update(|log| log.size = Some(size));
    }

    /// Tells the log what it is about, where that does not stand in the URL.
    pub(crate) fn log_target(&self, bucket: &BucketName, path: Option<&ObjectPath>) {
        self.log.update(|log| {
            log.bucket = Some(bucket.as_str().to_owned());
            log.path = path.map(|path| path.as_str().to_owned());
        });
    }

    /// The bucket that stands in the URL behind `prefix`.
    pub(crate) fn bucket(&self, prefix: &str) -> Result<BucketName, ApiError> {
        let (bucket, _) = path::split(self.parts.uri.path(), prefix);
        let bucket = path::bucket(bucket)?;
        self.log_target(&bucket, None);
        Ok(bucket)
    }

    /// Bucket and path of an object that is looked for.
    pub(crate) fn object(&self, prefix: &str) -> Result<(BucketName, ObjectPath), ApiError> {
        let (bucket, rest) = path::split(self.parts.uri.path(), prefix);
        // The path first: what is wrong with it is the same for everybody, whatever the bucket.
        let path = path::existing(rest)?;
        let bucket = path::bucket(bucket)?;
        self.log_target(&bucket, Some(&path));
        Ok((bucket, path))
    }

    /// Bucket and path of an object that is to be made, by the rules of the dialect.
    pub(crate) fn new_object(&self, prefix: &str) -> Result<(BucketName, ObjectPath), ApiError> {
        let (bucket, rest) = path::split(self.parts.uri.path(), prefix);
        let path = path::new(rest, self.dialect().path_rules())?;
        let bucket = path::bucket(bucket)?;
        self.log_target(&bucket, Some(&path));
        Ok((bucket, path))
    }

    /// What counts as one client, where callers are told apart by where they are.
    pub(crate) fn client(&self) -> IpAddr {
        network(client(&self.app, &self.parts))
    }

    /// Where the client sees the API, for absolute URLs: as configured, or as a trusted proxy or the client itself
    /// called the server.
    pub(crate) fn base_url(&self) -> Result<String, ApiError> {
        if let Some(url) = &self.app.config.server.public_url {
            return Ok(format!("{}{}", url.0, super::BASE));
        }
        let Parts { uri, headers, .. } = &self.parts;
        let ForwardedOrigin { scheme, host, prefix } = self.app.proxies.forwarded(peer(&self.parts), headers);
        let host = host.or_else(|| called_host(uri, headers));
        let host = host.ok_or_else(|| ApiError::schema("headers must have required property 'host'"))?;
        let base = match prefix {
            None => super::BASE.to_owned(),
            // The proxy took the whole base away and put it back.
            Some(prefix) if prefix.ends_with(super::BASE) => prefix,
            Some(prefix) => format!("{prefix}{}", super::BASE),
        };
        Ok(format!("{}://{host}{base}", scheme.unwrap_or("http")))
    }
}

fn has_token(headers: &HeaderMap) -> bool {
    headers.contains_key(header::AUTHORIZATION) || headers.contains_key("apikey")
}

fn request_id(parts: &Parts) -> Arc<str> {
    parts.extensions.get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default()
}

fn peer(parts: &Parts) -> IpAddr {
    let peer = parts.extensions.get::<Peer>();
    peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip())
}

fn client(app: &AppState, parts: &Parts) -> IpAddr {
    app.proxies.client(peer(parts), &parts.headers)
}

fn limit(limiter: &RateLimiter, app: &AppState, parts: &Parts) -> Result<(), ApiError> {
    limiter.check(client(app, parts)).map_err(|limited: RateLimited| ApiError::RateLimited(limited))
}
