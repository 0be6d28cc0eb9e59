//! TUS's routes: with a token, and once more for signed tokens. Who can't send every method says it in a header.

use axum::Router;
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, options as on_options, post};
use http::Method;

use super::uploader::Bearer;
use super::{answer, create, delete, head, options, patch};
use crate::app::AppState;
use crate::errors::ApiError;
use crate::rest::call::{Call, Signed, Token};

/// The routes, below the API's base.
pub(crate) fn routes() -> Router<AppState> {
    Router::new()
        .route("/upload/resumable", begin::<Token>())
        .route("/upload/resumable/", begin::<Token>())
        .route("/upload/resumable/{id}", go_on::<Token>())
        .route("/upload/resumable/sign", begin::<Signed>())
        .route("/upload/resumable/sign/", begin::<Signed>())
        .route("/upload/resumable/sign/{id}", go_on::<Signed>())
        .layer(map_response(answer::spoken))
}

fn begin<C: Bearer>() -> MethodRouter<AppState> {
    on_options(options::show).post(create::create::<C>)
}

fn go_on<C: Bearer>() -> MethodRouter<AppState> {
    on_options(options::show)
        .head(head::show::<C>)
        .patch(patch::append::<C>)
        .delete(delete::delete::<C>)
        .merge(post(overridden::<C>))
}

/// A POST that stands for another method, for clients that can't send it.
async fn overridden<C: Bearer>(call: Call<C>) -> Response {
    let method = call.headers().get("x-http-method-override").and_then(|method| method.to_str().ok());
    let answered = match method {
        Some("PATCH") => patch::append(call).await,
        Some("DELETE") => delete::delete(call).await,
        Some("HEAD") => head::show(call).await,
        _ => {
            let (method, path) = (Method::POST, call.uri().path().to_owned());
            Err(ApiError::MethodNotAllowed { method, path })
        }
    };
    answered.into_response()
}
