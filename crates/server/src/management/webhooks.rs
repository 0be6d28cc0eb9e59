//! `/webhooks`: receivers of events, configured by the service role and told of everything that they want.

#![allow(unused_qualifications, reason = "utoipa's macro writes paths out")]

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use file_storage::executor::EventBounds;
use file_storage::storage::StartAt;
use file_storage::webhooks::{NewWebhook, Webhook, WebhookSecret, WebhookStatus, WebhookUpdate};
use file_storage::{BucketName, Timestamp};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Maintainer, Path, answer};
use crate::app::AppState;
use crate::errors::ApiError;
use crate::rest::events::KINDS;
use crate::rest::json;

const OPERATION: &str = "manage_webhooks";

/// A webhook to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateWebhook {
    /// Where messages go: `https`, without credentials, to the public internet or a network of `webhooks.allow_private_networks`.
    url: String,
    /// Kinds of events; all where there are none.
    #[serde(default)]
    events: Vec<String>,
    /// Only events of this bucket, which must be there.
    bucket: Option<String>,
    /// Only events of objects whose paths start so.
    #[serde(default)]
    prefix: String,
    /// Whether it is told of events; it is where nothing is said.
    enabled: Option<bool>,
    /// Begins after the event of this number; with what happens from now on where nothing is said.
    from: Option<u64>,
}

/// A change of a webhook. What is absent stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeWebhook {
    /// Where messages go.
    url: Option<String>,
    /// Kinds of events; an empty list means all.
    events: Option<Vec<String>>,
    /// Only events of this bucket; null means of all.
    #[serde(default, deserialize_with = "json::nullable")]
    #[schema(value_type = Option<String>)]
    bucket: Option<Option<String>>,
    /// Only events of objects whose paths start so.
    prefix: Option<String>,
    /// Whether it is told of events. One that was paused goes on where it stood.
    enabled: Option<bool>,
}

/// A webhook. Its secret was shown when it was made.
#[derive(Serialize, ToSchema)]
pub(super) struct WebhookShown {
    /// What it is known by.
    id: Uuid,
    /// Where messages go.
    url: String,
    /// Kinds of events; all where there are none.
    events: Vec<String>,
    /// Only events of this bucket.
    bucket: Option<String>,
    /// Only events of objects whose paths start so.
    prefix: String,
    /// Whether it is told of events.
    enabled: bool,
    /// `active`, `disabled` by an operator, `paused` after the last attempt, or `gone` as its receiver says.
    status: &'static str,
    /// The number of the last event that is behind it: delivered, or not wanted.
    position: u64,
    /// Events behind that, whether it wants them or not.
    backlog: u64,
    /// Attempts at the message that is next, all of which failed.
    attempts: u32,
    /// Not before this is it tried again.
    #[schema(value_type = Option<String>, format = DateTime)]
    next_attempt_at: Option<Timestamp>,
    /// When a message was last delivered.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_success_at: Option<Timestamp>,
    /// Why an attempt failed last.
    last_error: Option<String>,
    /// When that was.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_error_at: Option<Timestamp>,
    /// Until when the secret before the last rotation signs as well.
    #[schema(value_type = Option<String>, format = DateTime)]
    previous_secret_until: Option<Timestamp>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl WebhookShown {
    fn new(webhook: Webhook, bounds: EventBounds) -> Self {
        Self {
            backlog: webhook.backlog(bounds),
            id: webhook.id,
            url: webhook.url,
            events: webhook.kinds,
            bucket: webhook.bucket.map(|bucket| bucket.to_string()),
            prefix: webhook.prefix,
            enabled: webhook.status == WebhookStatus::Active,
            status: webhook.status.as_str(),
            position: webhook.position,
            attempts: webhook.attempts,
            next_attempt_at: webhook.next_attempt_at,
            last_success_at: webhook.last_success_at,
            last_error: webhook.last_error,
            last_error_at: webhook.last_error_at,
            previous_secret_until: webhook.previous_until,
            created_at: webhook.created_at,
            updated_at: webhook.updated_at,
        }
    }
}

/// A webhook with a secret that it got just now.
#[derive(Serialize, ToSchema)]
pub(super) struct WebhookWithSecret {
    #[serde(flatten)]
    webhook: WebhookShown,
    /// What verifies its messages, shown this once.
    #[schema(example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    secret: String,
}

impl WebhookWithSecret {
    fn new((webhook, secret): (Webhook, WebhookSecret), bounds: EventBounds) -> Self {
        Self { webhook: WebhookShown::new(webhook, bounds), secret: secret.expose().to_owned() }
    }
}

/// A webhook that is gone.
#[derive(Serialize, ToSchema)]
pub(super) struct WebhookDeleted {
    /// Which one it was.
    id: Uuid,
}

/// What a receiver said.
#[derive(Serialize, ToSchema)]
pub(super) struct WebhookTested {
    /// Whether it took the message.
    delivered: bool,
    /// The status that it answered; null where it did not.
    status: Option<u16>,
    /// Why there is no answer.
    error: Option<String>,
    /// How its answer begins, up to 1 KiB.
    answer: Option<String>,
    /// How long that took, in milliseconds.
    duration_ms: Option<u64>,
}

/// Makes a webhook. Its secret is shown this once.
#[utoipa::path(
    post, path = "/webhooks", tag = "Management", operation_id = "createWebhook",
    request_body = CreateWebhook,
    responses(
        (status = 201, description = "The webhook, with its secret", body = WebhookWithSecret),
        (status = 400, description = "No such webhook can be, or there are 100"),
        (status = 401, description = "No token, or a bad one"),
        (status = 403, description = "The service role does this"),
    ),
)]
pub(super) async fn create(State(app): State<AppState>, caller: Maintainer, body: Body) -> Response {
    let outcome = created(&app, &caller, body).await;
    let is_made = outcome.is_ok();
    let mut response = answer(&caller, OPERATION, outcome);
    if is_made {
        *response.status_mut() = StatusCode::CREATED;
    }
    response
}

async fn created(app: &AppState, caller: &Maintainer, body: Body) -> Result<WebhookWithSecret, ApiError> {
    let asked: CreateWebhook = json::read(body).await?;
    check_url(app, &asked.url)?;
    let new = NewWebhook {
        url: asked.url,
        kinds: kinds(asked.events)?,
        bucket: asked.bucket.map(|bucket| BucketName::parse(&bucket)).transpose()?,
        prefix: asked.prefix,
        enabled: asked.enabled.unwrap_or(true),
        start: asked.from.map_or(StartAt::Now, StartAt::After),
    };
    let made = app.storage.create_webhook(caller.context(), new).await?;
    let (_, bounds) = app.storage.webhook(caller.context(), made.0.id).await?;
    Ok(WebhookWithSecret::new(made, bounds))
}

/// The webhooks, without their secrets.
#[utoipa::path(
    get, path = "/webhooks", tag = "Management", operation_id = "listWebhooks",
    responses(
        (status = 200, description = "The webhooks, oldest first", body = [WebhookShown]),
        (status = 401, description = "No token, or a bad one"),
        (status = 403, description = "The service role does this"),
    ),
)]
pub(super) async fn list(State(app): State<AppState>, caller: Maintainer) -> Response {
    let all = app.storage.webhooks(caller.context()).await.map_err(ApiError::from);
    let shown = all.map(|(all, bounds)| {
        all.into_iter().map(|webhook| WebhookShown::new(webhook, bounds)).collect::<Vec<_>>()
    });
    answer(&caller, OPERATION, shown)
}

/// How a webhook is: where it stands, what waits for it, how its last attempts went.
#[utoipa::path(
    get, path = "/webhooks/{id}", tag = "Management", operation_id = "showWebhook",
    params(("id" = String, Path, description = "The webhook")),
    responses(
        (status = 200, description = "The webhook", body = WebhookShown),
        (status = 400, description = "What stands there is no id"),
        (status = 401, description = "No token, or a bad one"),
        (status = 403, description = "The service role does this"),
        (status = 404, description = "There is no such webhook"),
    ),
)]
pub(super) async fn show(
    State(app): State<AppState>,
    caller: Maintainer,
    Path(id): Path<String>,
) -> Response {
    let outcome = async {
        let (webhook, bounds) = app.storage.webhook(caller.context(), parse(&id)?).await?;
        Ok(WebhookShown::new(webhook, bounds))
    };
    answer(&caller, OPERATION, outcome.await)
}

/// Changes a webhook, from its next message on.
#[utoipa::path(
    patch, path = "/webhooks/{id}", tag = "Management", operation_id = "changeWebhook",
    params(("id" = String, Path, description = "The webhook")),
    request_body = ChangeWebhook,
    responses(
        (status = 200, description = "The webhook as it is now", body = WebhookShown),
        (status = 400, description = "No such webhook can be"),
        (status = 401, description = "No token, or a bad one"),
        (status = 403, description = "The service role does this"),
        (status = 404, description = "There is no such webhook"),
    ),
)]
pub(super) async fn change(
    State(app): State<AppState>,
    caller: Maintainer,
    Path(id): Path<String>,
    body: Body,
) -> Response {
    let outcome = async {
        let (id, asked): (_, ChangeWebhook) = (parse(&id)?, json::read(body).await?);
        if let Some(url) = &asked.url {
            check_url(&app, url)?;
        }
        let bucket = asked.bucket.map(|bucket| bucket.map(|name| BucketName::parse(&name)).transpose());
        let update = WebhookUpdate {
            url: asked.url,
            kinds: asked.events.map(kinds).transpose()?,
            bucket: bucket.transpose()?,
            prefix: asked.prefix,
            enabled: asked.enabled,
        };
        app.storage.update_webhook(caller.context(), id, &update).await?;
        let (webhook, bounds) = app.storage.webhook(caller.context(), id).await?;
        Ok(WebhookShown::new(webhook, bounds))
    };
    answer(&caller, OPERATION, outcome.await)
}

/// Deletes a webhook.
#[utoipa::path(
    delete, path = "/webhooks/{id}", tag = "Management", operation_id = "deleteWebhook",
    params(("id" = String, Path, description = "The webhook")),
    responses(
        (status = 200, description = "The webhook is gone", body = WebhookDeleted),
        (status = 400, description = "What stands there is no id"),
        (status = 401, description = "No token, or a bad one"),
        (status = 403, description = "The service role does this"),
        (status = 404, description = "There is no such webhook"),
    ),
)]
pub(super) async fn remove(
    State(app): State<AppState>,
    caller: Maintainer,
    Path(id): Path<String>,
) -> Response {
    let outcome = async {
        let id = parse(&id)?;
        app.storage.delete_webhook(caller.context(), id).await?;
        Ok(WebhookDeleted { id })
    };
    answer(&caller, OPERATION, outcome.await)
}

/// Gives a webhook another secret, shown this once. The one before signs as well for 24 hours.
#[utoipa::path(
    post, path = "/webhooks/{id}/rotate", tag = "Management", operation_id = "rotateWebhook",
    params(("id" = String, Path, description = "The webhook")),
    responses(
        (status = 200, description = "The webhook, with its new secret", body = WebhookWithSecret),
        (status = 400, description = "What stands there is no id"),
        (status = 401, description = "No token, or a bad one"),
        (status = 403, description = "The service role does this"),
        (status = 404, description = "There is no such webhook"),
    ),
)]
pub(super) async fn rotate(
    State(app): State<AppState>,
    caller: Maintainer,
    Path(id): Path<String>,
    body: Body,
) -> Response {
    let outcome = async {
        json::none(body).await?;
        let id = parse(&id)?;
        let rotated = app.storage.rotate_webhook(caller.context(), id).await?;
        let (_, bounds) = app.storage.webhook(caller.context(), id).await?;
        Ok(WebhookWithSecret::new(rotated, bounds))
    };
    answer(&caller, OPERATION, outcome.await)
}

/// Sends a message of the type `storage.test` now, whatever waits, and says what the receiver answers.
#[utoipa::path(
    post, path = "/webhooks/{id}/test", tag = "Management", operation_id = "testWebhook",
    params(("id" = String, Path, description = "The webhook")),
    responses(
        (status = 200, description = "What the receiver says, or why it says nothing", body = WebhookTested),
        (status = 400, description = "What stands there is no id"),
        (status = 401, description = "No token, or a bad one"),
        (status = 403, description = "The service role does this"),
        (status = 404, description = "There is no such webhook"),
    ),
)]
pub(super) async fn test(
    State(app): State<AppState>,
    caller: Maintainer,
    Path(id): Path<String>,
    body: Body,
) -> Response {
    let outcome = async {
        json::none(body).await?;
        let ready = app.storage.ready_webhook(caller.context(), parse(&id)?).await?;
        Ok(match app.webhooks.sender().send(&ready, &ready.webhook.test()).await {
            Ok(reply) => WebhookTested {
                delivered: reply.status.is_success(),
                status: Some(reply.status.as_u16()),
                error: None,
                answer: Some(reply.text),
                duration_ms: u64::try_from(reply.duration.as_millis()).ok(),
            },
            Err(unsent) => WebhookTested {
                delivered: false,
                status: None,
                error: Some(unsent.to_string()),
                answer: None,
                duration_ms: None,
            },
        })
    };
    answer(&caller, OPERATION, outcome.await)
}

fn parse(id: &str) -> Result<Uuid, ApiError> {
    Uuid::try_parse(id).map_err(|_| ApiError::schema("params/id must be a UUID"))
}

fn check_url(app: &AppState, url: &str) -> Result<(), ApiError> {
    app.webhooks.check_url(url).map_err(|problem| ApiError::schema(format!("body/url {problem}")))
}

/// Kinds that there are, each once.
fn kinds(asked: Vec<String>) -> Result<Vec<String>, ApiError> {
    let mut kinds = Vec::new();
    for kind in asked {
        if !KINDS.contains(&kind.as_str()) {
            return Err(ApiError::schema(format!("body/events must be some of {}", KINDS.join(", "))));
        }
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    Ok(kinds)
}
