//! Entries of the upload queue: of the product alone, and therefore alike in both dialects.

use file_storage::executor::QueueEntry;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::rest::dialect::wire::Time;

/// A page of entries, the newest first.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::rest) struct QueueEntryPage<'a> {
    entries: Vec<QueueEntryBody<'a>>,
    has_next: bool,
    /// To be sent as `cursor` for the next page.
    next_cursor: Option<Uuid>,
}

/// An upload that waits for the provider where it belongs, or waited.
#[derive(Serialize, ToSchema)]
pub(crate) struct QueueEntryBody<'a> {
    id: Uuid,
    /// Who uploaded it.
    user_id: Option<Uuid>,
    bucket_id: &'a str,
    /// Where its object was in its bucket when it was queued.
    storage_path: &'a str,
    /// The last part of that.
    file_name: &'a str,
    /// In bytes. An object that came in several pieces has an entry for each.
    file_size_bytes: u64,
    mime_type: &'a str,
    /// `pending`, `in_progress`, `completed` or `failed`. The object is readable in each.
    #[schema(example = "pending")]
    status: &'static str,
    /// Why it is queued: `deferred` (its client did not want to wait), `failover`, `migration`, or `copy` (operators alone see those).
    #[schema(example = "deferred")]
    reason: &'static str,
    /// The provider that has it, or had it. For the service role alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    source_provider: Option<&'a str>,
    /// The provider that it is for. For the service role alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    target_provider: Option<&'a str>,
    /// Attempts that were begun.
    attempt_count: u32,
    /// Attempts after which it is given up.
    max_attempts: u32,
    /// What the last attempt met.
    error_message: Option<&'a str>,
    /// When it is tried next, where it waits.
    #[schema(value_type = String, format = DateTime)]
    next_attempt_at: Time,
    #[schema(value_type = String, format = DateTime)]
    queued_at: Time,
    /// When the last attempt began.
    #[schema(value_type = Option<String>, format = DateTime)]
    started_at: Option<Time>,
    /// When it was completed, or given up.
    #[schema(value_type = Option<String>, format = DateTime)]
    completed_at: Option<Time>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Time,
}

impl<'a> QueueEntryPage<'a> {
    pub(in crate::rest::dialect) fn new(
        entries: &'a [QueueEntry],
        next: Option<Uuid>,
        shows_providers: bool,
    ) -> Self {
        let entries = entries.iter().map(|entry| QueueEntryBody::new(entry, shows_providers)).collect();
        Self { entries, has_next: next.is_some(), next_cursor: next }
    }
}

impl<'a> QueueEntryBody<'a> {
    pub(crate) fn new(entry: &'a QueueEntry, shows_providers: bool) -> Self {
        Self {
            id: entry.id,
            user_id: entry.user_id,
            bucket_id: entry.bucket.as_str(),
            storage_path: entry.path.as_str(),
            file_name: entry.path.file_name(),
            file_size_bytes: entry.size,
            mime_type: &entry.content_type,
            status: entry.status.as_str(),
            reason: entry.reason.as_str(),
            source_provider: shows_providers.then_some(&*entry.source),
            target_provider: shows_providers.then_some(&*entry.target),
            attempt_count: entry.attempts,
            max_attempts: entry.max_attempts,
            error_message: entry.error.as_deref(),
            next_attempt_at: Time(entry.next_attempt_at),
            queued_at: Time(entry.queued_at),
            started_at: entry.started_at.map(Time),
            completed_at: entry.completed_at.map(Time),
            created_at: Time(entry.created_at),
            updated_at: Time(entry.updated_at),
        }
    }
}
