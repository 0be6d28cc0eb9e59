//! The last step of every answer: errors get their words, and the harness its log line.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::response::Response;
use http::{Method, Uri, header};
use tower::{Layer, Service};

use super::dialect::Dialect;
use crate::app::AppState;
use crate::errors::ApiError;
use crate::http::{LogSlot, RequestId};
use crate::tus::{self, Spoken};

/// Renders what a handler, or the lack of one, answered. A layer of its own rather than a function as a middleware,
/// which would copy and box the service below for each request.
#[derive(Clone)]
pub(super) struct Render<S = ()> {
    app: AppState,
    inner: S,
}

impl Render {
    pub(super) fn new(app: AppState) -> Self {
        Self { app, inner: () }
    }
}

impl<S> Layer<S> for Render {
    type Service = Render<S>;

    fn layer(&self, inner: S) -> Render<S> {
        Render { app: self.app.clone(), inner }
    }
}

impl<S> Service<Request> for Render<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let log = LogSlot::default();
        request.extensions_mut().insert(log.clone());
        let request_id = request.extensions().get::<RequestId>().cloned();
        let (app, answered) = (self.app.clone(), self.inner.call(request));
        Box::pin(async move {
            let Ok(response) = answered.await;
            Ok(rendered(&app, response, log, request_id.as_ref()))
        })
    }
}

/// The answer in its dialect's words, with what the harness shall log of it.
fn rendered(
    app: &AppState,
    mut response: Response,
    log: LogSlot,
    request_id: Option<&RequestId>,
) -> Response {
    let (mut code, mut cause) = (None, None);
    if let Some(error) = ApiError::of(&mut response) {
        (code, cause) = (Some(error.code()), error.cause());
        let allow = response.headers_mut().remove(header::ALLOW);
        let request_id = request_id.map_or("", |id| &id.0);
        response = match response.extensions().get::<Spoken>() {
            Some(Spoken) => tus::render(&error, Dialect::of(app), request_id),
            None => Dialect::of(app).error(&error, request_id),
        };
        if let Some(allow) = allow {
            response.headers_mut().insert(header::ALLOW, allow);
        }
    }
    response.extensions_mut().insert(log.finish(code, cause));
    response
}

/// No route has this path.
pub(super) async fn unknown_route(method: Method, uri: Uri) -> ApiError {
    ApiError::UnknownRoute { method, path: uri.path().to_owned() }
}

/// The route has no such method.
pub(super) async fn method_not_allowed(method: Method, uri: Uri) -> ApiError {
    ApiError::MethodNotAllowed { method, path: uri.path().to_owned() }
}
