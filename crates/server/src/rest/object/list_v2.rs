//! `POST /object/list-v2/{bucket}`: pages by cursor, by plain prefix, with folders only if asked for.

use axum::response::Response;
use file_storage::Operation;
use file_storage::executor::{Collation, Delimiter, Listing, PageStart};
use serde::Deserialize;
use utoipa::ToSchema;

use super::list::{SortBy, limit};
use crate::errors::ApiError;
use crate::rest::call::{Call, Token};
use crate::rest::dialect::{ErrorBody, ListV2Body, Listed, decode_cursor, encode_cursor};
use crate::rest::json::{self, Whole};

/// Most entries of a page, and how many there are unless asked otherwise.
const MAX_LIMIT: u64 = 1000;

/// What to list.
#[derive(Default, Deserialize, ToSchema)]
pub(in crate::rest) struct ListObjectsV2 {
    /// What paths start with, letter by letter.
    prefix: Option<String>,
    /// Most objects and folders of a page: 1000 by default and at most.
    #[schema(value_type = Option<u32>)]
    limit: Option<Whole>,
    /// `nextCursor` of the page before. Its order then holds.
    cursor: Option<String>,
    /// Whether to stop at the next slash, and answer folders for what lies below.
    with_delimiter: Option<bool>,
    /// The order.
    #[serde(rename = "sortBy")]
    sort_by: Option<SortBy>,
}

/// Lists what the caller may see of a bucket, page by page.
#[utoipa::path(
    post, path = "/object/list-v2/{bucket}", tag = "Lists", operation_id = "listObjectsV2",
    params(("bucket" = String, Path, description = "The bucket")),
    request_body = ListObjectsV2,
    responses(
        (status = 200, description = "A page", body = ListV2Body<'static>),
        (status = 400, description = "A bad body", body = ErrorBody),
        (status = 401, description = "A bad token", body = ErrorBody),
    ),
)]
pub(in crate::rest) async fn list(mut call: Call<Token>) -> Result<Response, ApiError> {
    call.begin(Operation::List);
    let bucket = call.bucket("/object/list-v2/")?;
    let asked: ListObjectsV2 = json::read_optional(call.body()).await?;
    let listing = asked.listing()?;
    let page = call.storage().list(call.context(), &bucket, &listing).await?;
    let listed = Listed {
        page: &page,
        prefix: &listing.prefix,
        next: page.next.as_ref().map(|cursor| encode_cursor(cursor, listing.sort)),
        with_delimiter: listing.delimiter.is_some(),
    };
    Ok(call.dialect().listed_v2(&listed))
}

impl ListObjectsV2 {
    fn listing(self) -> Result<Listing, ApiError> {
        let limit = limit(self.limit, MAX_LIMIT)?;
        if limit > MAX_LIMIT {
            return Err(ApiError::schema(format!("body/limit must be <= {MAX_LIMIT}")));
        }
        let (start, sort) = match self.cursor.as_deref() {
            None | Some("") => (PageStart::First, self.sort_by.unwrap_or_default().sort()),
            Some(cursor) => {
                let (cursor, sort) = decode_cursor(cursor)?;
                (PageStart::After(cursor), sort)
            }
        };
        Ok(Listing {
            prefix: self.prefix.unwrap_or_default(),
            delimiter: self.with_delimiter.unwrap_or(false).then_some(Delimiter::SLASH),
            search: String::new(),
            collation: Collation::Bytes,
            sort,
            limit: limit.try_into().unwrap_or(u32::MAX),
            start,
        })
    }
}
