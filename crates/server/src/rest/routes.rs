//! All routes of the REST protocol, on one page, in groups that name their caller.

use axum::Router;
use axum::routing::{MethodRouter, any, delete, get, post, put};
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::Operation;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{bucket, events, explain, object, queries, render, unsupported, upload_queue};
use crate::app::AppState;
use crate::tus;

/// The routes, below the base that they are mounted at.
pub fn router(state: AppState) -> Router {
    let (routes, _) = all().split_for_parts();
    routes
        .merge(tus::routes())
        .fallback(render::unknown_route)
        .method_not_allowed_fallback(render::method_not_allowed)
        .layer(render::Render::new(state.clone()))
        .with_state(state)
}

/// What the routes take and answer, from the code that does so. Paths are relative to the base.
pub fn openapi() -> OpenApi {
    let (_, mut api) = all().split_for_parts();
    // A path that spans slashes has no form of its own in OpenAPI.
    let paths = std::mem::take(&mut api.paths.paths);
    api.paths.paths = paths
        .into_iter()
        .map(|(path, mut item)| {
            name_apart(item.head.as_mut(), "Head");
            name_apart(item.patch.as_mut(), "Patch");
            (path.replace("{*path}", "{path}"), item)
        })
        .collect();
    api
}

/// Gives a method that shares its handler with another one a name of its own.
fn name_apart(operation: Option<&mut Operation>, suffix: &str) {
    if let Some(id) = operation.and_then(|operation| operation.operation_id.as_mut()) {
        id.push_str(suffix);
    }
}

fn all() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .merge(with_token())
        .merge(with_optional_token())
        .merge(public())
        .merge(signed())
        .merge(buckets_named_like_routes())
        .merge(unsupported_routes())
}

/// Whoever shows a token. Without one the native dialect lets rows decide about anon.
fn with_token() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(bucket::create::create, bucket::list::list))
        .routes(routes!(bucket::show::show, bucket::update::update, bucket::delete::delete))
        .routes(routes!(bucket::empty::empty))
        .routes(routes!(object::upload::create, object::upload::overwrite, object::delete::one))
        .routes(routes!(object::delete::many))
        .routes(routes!(object::download::authenticated))
        .routes(routes!(object::info::authenticated))
        .routes(routes!(object::copy::copy))
        .routes(routes!(object::r#move::r#move))
        .routes(routes!(object::list::list))
        .routes(routes!(object::list_v2::list))
        .routes(routes!(object::versions::list))
        .routes(routes!(object::versions::restore))
        .routes(routes!(object::sign::one))
        .routes(routes!(object::sign::many))
        .routes(routes!(object::signed_upload::make))
        .routes(routes!(explain::explain))
        .routes(routes!(upload_queue::list))
        .routes(routes!(upload_queue::show))
}

/// Whoever comes; a token widens what they see.
fn with_optional_token() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(object::download::optional))
        .routes(routes!(object::info::optional))
        .routes(routes!(queries::query))
        .routes(routes!(events::events))
}

/// Whoever comes, as anon. Limited per client address.
fn public() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(object::download::public)).routes(routes!(object::info::public))
}

/// Whoever has a signed URL. Limited per client address.
fn signed() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(object::download::signed)).routes(routes!(object::signed_upload::put))
}

/// A bucket may be called `public` or `list`. Where a route of that word does not take a method, the request is about
/// an object of that bucket, as it is for Supabase's router, which matches per method.
fn buckets_named_like_routes() -> OpenApiRouter<AppState> {
    let write = || post(object::upload::create).put(object::upload::overwrite).delete(object::delete::one);
    let read = || get(object::download::optional);
    let alter: fn() -> MethodRouter<AppState> = || put(object::upload::overwrite).delete(object::delete::one);
    OpenApiRouter::new()
        .route("/object/public/{bucket}/{*path}", write())
        .route("/object/authenticated/{bucket}/{*path}", write())
        .route("/object/info/{bucket}/{*path}", write())
        .route("/object/info/public/{bucket}/{*path}", write())
        .route("/object/info/authenticated/{bucket}/{*path}", write())
        .route("/object/sign/{bucket}/{*path}", alter())
        .route("/object/upload/sign/{bucket}/{*path}", read().delete(object::delete::one))
        .route("/object/sign/{bucket}", read().merge(alter()))
        .route("/object/list/{bucket}", read().merge(alter()))
        .route("/object/list-v2/{bucket}", read().merge(alter()))
        .route("/object/list-versions/{bucket}", read().merge(alter()))
        .route("/object/restore", delete(object::delete::many))
        .route("/object/copy", delete(object::delete::many))
        .route("/object/move", delete(object::delete::many))
        // An empty path is refused as one, rather than being a route that is not there.
        .route("/object/{bucket}/", write().merge(read()))
}

/// What Supabase has, or this server will have, and has not.
fn unsupported_routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .route("/render/{*rest}", any(unsupported::render))
        .route("/cdn", any(unsupported::cdn))
        .route("/cdn/{*rest}", any(unsupported::cdn))
}
