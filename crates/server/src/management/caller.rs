//! Who calls, and whether they may.

use std::net::Ipv4Addr;
use std::ops::Deref;

use axum::extract::FromRequestParts;
use axum::response::Response;
use file_storage::{Operation, RlsContext};
use http::request::Parts;

use crate::app::AppState;
use crate::errors::ApiError;
use crate::http::{AT_THE_DOOR, OperationLog, Peer, RequestId};

/// A caller with a good token, or with none: what they may do, the domain decides.
pub(super) struct Caller(RlsContext);

impl Caller {
    pub(super) fn context(&self) -> &RlsContext {
        &self.0
    }
}

/// A caller whom the domain lets maintain the server: the service role.
pub(super) struct Maintainer(Caller);

impl Deref for Maintainer {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.0
    }
}

impl FromRequestParts<AppState> for Caller {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Response> {
        let request_id = parts.extensions.get::<RequestId>().map_or("", |id| &id.0);
        let caller = app.authenticator.load_full().authenticate(&parts.headers, request_id).await;
        let peer = parts.extensions.get::<Peer>().map_or(Ipv4Addr::UNSPECIFIED.into(), |peer| peer.0.ip());
        let client = app.proxies.client(peer, &parts.headers);
        let caller = caller.map(|caller| Self(caller.coming_from(client)));
        caller.map_err(|error| refusal(AT_THE_DOOR, &ApiError::from(error), request_id))
    }
}

impl FromRequestParts<AppState> for Maintainer {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Response> {
        let caller = Caller::from_request_parts(parts, app).await?;
        match app.storage.may_ask(caller.context(), Operation::Maintain, None).await {
            Ok(()) => Ok(Self(caller)),
            Err(error) => {
                let id = caller.context().request_id();
                Err(refusal(Operation::Maintain.name(), &ApiError::from(error), id))
            }
        }
    }
}

fn refusal(operation: &'static str, error: &ApiError, request_id: &str) -> Response {
    let mut response = error.render(request_id);
    let log = OperationLog { code: Some(error.code()), ..OperationLog::new(operation) };
    response.extensions_mut().insert(log);
    response
}
