//! `POST /object/list/{bucket}`: the folders and objects directly in a folder.

use axum::response::Response;
use file_storage::Operation;
use file_storage::executor::{Delimiter, Listing, ObjectSort, PageStart, SortOrder};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::errors::ApiError;
use crate::rest::call::{Call, Token};
use crate::rest::dialect::{Dialect, ErrorBody, ListEntry, Listed};
use crate::rest::json::{self, Whole};

/// Entries of a page unless asked otherwise.
const DEFAULT_LIMIT: u64 = 100;
/// Most entries of a page; a larger limit counts as this one, as at Supabase.
const MAX_LIMIT: u64 = 1500;

/// What to list.
#[derive(Default, Deserialize, ToSchema)]
pub(in crate::rest) struct ListObjects {
    /// The folder, with or without a slash at its end; empty for the bucket itself.
    prefix: Option<String>,
    /// Most entries to answer: 100 by default, 1500 at most.
    #[schema(value_type = Option<u32>)]
    limit: Option<Whole>,
    /// Entries to skip.
    #[schema(value_type = Option<u64>)]
    offset: Option<Whole>,
    /// The order.
    #[serde(rename = "sortBy")]
    sort_by: Option<SortBy>,
    /// Only names that start with this.
    search: Option<String>,
}

/// An order.
#[derive(Default, Deserialize, ToSchema)]
pub(in crate::rest) struct SortBy {
    /// By what: the name by default. By a time, folders come first.
    column: Option<SortColumn>,
    /// Which way.
    order: Option<Order>,
}

/// By what a list is sorted.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::rest) enum SortColumn {
    /// By name.
    Name,
    /// By the time of the last change.
    UpdatedAt,
    /// By the time of creation.
    CreatedAt,
    /// Accesses are not recorded: the same as `updated_at`.
    LastAccessedAt,
}

/// Which way a list is sorted.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::rest) enum Order {
    /// Smallest first.
    Asc,
    /// Largest first.
    Desc,
}

impl SortBy {
    /// The same in the storage's terms.
    pub(super) fn sort(&self) -> (ObjectSort, SortOrder) {
        let column = match self.column {
            None | Some(SortColumn::Name) => ObjectSort::Name,
            Some(SortColumn::CreatedAt) => ObjectSort::CreatedAt,
            Some(SortColumn::UpdatedAt | SortColumn::LastAccessedAt) => ObjectSort::UpdatedAt,
        };
        let order = match self.order {
            None | Some(Order::Asc) => SortOrder::Ascending,
            Some(Order::Desc) => SortOrder::Descending,
        };
        (column, order)
    }
}

/// Lists what the caller may see of a folder: nothing, where it is closed or missing.
#[utoipa::path(
    post, path = "/object/list/{bucket}", tag = "Lists", operation_id = "listObjects",
    params(("bucket" = String, Path, description = "The bucket")),
    request_body = ListObjects,
    responses(
        (status = 200, description = "Objects and folders", body = Vec<ListEntry<'static>>),
        (status = 400, description = "A bad body", body = ErrorBody),
        (status = 401, description = "A bad token", body = ErrorBody),
    ),
)]
pub(in crate::rest) async fn list(mut call: Call<Token>) -> Result<Response, ApiError> {
    call.begin(Operation::List);
    let bucket = call.bucket("/object/list/")?;
    let asked: ListObjects = json::read_optional(call.body()).await?;
    let listing = asked.listing(call.dialect())?;
    let page = call.storage().list(call.context(), &bucket, &listing).await?;
    let listed = Listed { page: &page, prefix: &listing.prefix, next: None, with_delimiter: true };
    Ok(call.dialect().listed(&listed))
}

impl ListObjects {
    fn listing(self, dialect: Dialect) -> Result<Listing, ApiError> {
        if self.prefix.is_none() && dialect.is_strict_about_fields() {
            return Err(ApiError::schema("body must have required property 'prefix'"));
        }
        let mut prefix = self.prefix.unwrap_or_default();
        // A prefix names a folder here.
        if !prefix.is_empty() && !prefix.ends_with('/') {
            prefix.push('/');
        }
        Ok(Listing {
            prefix,
            delimiter: Some(Delimiter::SLASH),
            search: self.search.unwrap_or_default(),
            collation: dialect.collation(),
            sort: self.sort_by.unwrap_or_default().sort(),
            limit: limit(self.limit, DEFAULT_LIMIT)?.min(MAX_LIMIT).try_into().unwrap_or(u32::MAX),
            start: match self.offset {
                None | Some(Whole(0)) => PageStart::First,
                Some(Whole(offset)) => PageStart::Offset(offset),
            },
        })
    }
}

/// A limit of at least 1.
pub(super) fn limit(asked: Option<Whole>, default: u64) -> Result<u64, ApiError> {
    match asked {
        None => Ok(default),
        Some(Whole(0)) => Err(ApiError::schema("body/limit must be >= 1")),
        Some(Whole(limit)) => Ok(limit),
    }
}
