//! What objects take by a look at all of them, which the domain keeps for a while.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use chrono::{DateTime, Utc};
use file_storage::executor::{self, UsageGroup};
use file_storage::{Operation, QuotaScope, RlsContext, StorageError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::AppState;
use crate::errors::ApiError;
use crate::management::{Caller, Path, answer};

/// By what usage is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::management) enum UsageKind {
    /// By owner.
    User,
    /// By bucket.
    Bucket,
    /// By the provider that the bytes are on.
    Provider,
}

impl UsageKind {
    /// The one of a word in a query.
    pub(super) fn parse(word: &str) -> Result<Self, ApiError> {
        match word {
            "user" => Ok(Self::User),
            "bucket" => Ok(Self::Bucket),
            "provider" => Ok(Self::Provider),
            _ => Err(ApiError::schema("querystring/by must be one of user, bucket, provider")),
        }
    }
}

/// What objects take, by what was asked for.
#[derive(Serialize, ToSchema)]
pub(in crate::management) struct UsageBy {
    by: UsageKind,
    /// When it was so.
    as_of: DateTime<Utc>,
    /// Those that take most first, ten thousand at most.
    entries: Vec<UsageEntry>,
    /// Whether there are more.
    truncated: bool,
}

/// What some objects take together.
#[derive(Serialize, ToSchema)]
pub(in crate::management) struct UsageEntry {
    /// The user's id, the bucket's name, the provider's name, or the bucket and the folder; null for what nobody owns, and for what the
    /// database keeps itself.
    name: Option<String>,
    /// Number of objects.
    file_count: u64,
    /// Bytes of objects and of their older versions.
    total_bytes: u64,
    /// Bytes of older versions alone.
    version_bytes: u64,
    /// Bytes of an object on average; null where there is none.
    average_bytes: Option<u64>,
    /// When the oldest object was made; null where there is none.
    oldest: Option<DateTime<Utc>>,
    /// When the newest object was made; null where there is none.
    newest: Option<DateTime<Utc>>,
}

/// What objects in a folder take.
#[derive(Serialize, ToSchema)]
pub(in crate::management) struct FolderUsage {
    /// When it was so.
    as_of: DateTime<Utc>,
    #[serde(flatten)]
    entry: UsageEntry,
}

/// What is asked for.
#[derive(Deserialize)]
pub(in crate::management) struct Asked {
    #[serde(default)]
    refresh: bool,
}

impl From<&UsageGroup> for UsageEntry {
    fn from(group: &UsageGroup) -> Self {
        Self {
            name: group.name.clone(),
            file_count: group.file_count,
            total_bytes: group.object_bytes.saturating_add(group.version_bytes),
            version_bytes: group.version_bytes,
            average_bytes: group.object_bytes.checked_div(group.file_count),
            oldest: group.oldest,
            newest: group.newest,
        }
    }
}

/// What the caller's own objects take, or everybody's for the service role.
pub(super) async fn by(
    app: &AppState,
    context: &RlsContext,
    by: UsageKind,
    refresh: bool,
) -> Result<UsageBy, ApiError> {
    let asked = match by {
        UsageKind::User => executor::UsageBy::User,
        UsageKind::Bucket => executor::UsageBy::Bucket,
        UsageKind::Provider => executor::UsageBy::Provider,
    };
    let told = app.storage.usage_by(context, &asked, refresh).await?;
    let entries = told.groups.iter().map(UsageEntry::from).collect();
    Ok(UsageBy { by, as_of: told.as_of, entries, truncated: told.truncated })
}

/// What objects in a bucket (`BUCKET`), or in a folder of it (`BUCKET/FOLDER`), take: the caller's own, or everybody's for the service
/// role.
#[utoipa::path(
    get, path = "/usage/{folder}", tag = "Management", operation_id = "folderUsage",
    params(
        ("folder" = String, Path, description = "A bucket, or a bucket, a slash and a path in it"),
        ("refresh" = Option<bool>, Query, description = "Look anew: else an answer is kept for five minutes"),
    ),
    responses(
        (status = 200, description = "What they take; nothing, to a user, where there is no such bucket", body = FolderUsage),
        (status = 401, description = "No token, or a bad one"),
        (status = 404, description = "There is no such bucket, as the service role is told"),
        (status = 504, description = "There are too many objects to look at all of them"),
    ),
)]
pub(in crate::management) async fn of_folder(
    State(app): State<AppState>,
    caller: Caller,
    Path(folder): Path<String>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Response {
    let shown = async {
        app.storage.may_ask(caller.context(), Operation::ReadUsage, None).await?;
        let Query(Asked { refresh }) = asked.map_err(|error| ApiError::schema(error.body_text()))?;
        let by = match QuotaScope::folder(&folder)? {
            QuotaScope::Folder(bucket, folder) => executor::UsageBy::Folder(bucket, Some(folder)),
            QuotaScope::Bucket(bucket) => executor::UsageBy::Folder(bucket, None),
            QuotaScope::User(_) | QuotaScope::Global => {
                return Err(StorageError::internal("a folder that is none").into());
            }
        };
        let told = app.storage.usage_by(caller.context(), &by, refresh).await?;
        let entry = UsageEntry::from(told.groups.first().unwrap_or(&UsageGroup::default()));
        Ok::<_, ApiError>(FolderUsage { as_of: told.as_of, entry })
    };
    answer(&caller, "usage", shown.await)
}
