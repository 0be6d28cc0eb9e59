//! A row that is about to be written, as far as it is known.

use std::borrow::Cow;

use serde_json::Value as Json;
use uuid::Uuid;

use crate::Timestamp;
use crate::bucket::BucketName;
use crate::file::{NewObject, ObjectAttributes, StorageObject};
use crate::path::ObjectPath;
use crate::permissions::RlsContext;
use crate::sql::{Cells, ColumnRef, EvalError, Value};

/// The row. What is `None` is not known yet; inside that, NULL.
#[derive(Debug, Clone)]
pub struct Candidate {
    bucket: String,
    path: String,
    owner: Option<Uuid>,
    id: Option<Uuid>,
    size: Option<u64>,
    content_type: Option<String>,
    cache_control: Option<Option<String>>,
    checksum: Option<String>,
    etag: Option<String>,
    metadata: Option<Json>,
    version: Option<Uuid>,
    created_at: Option<Timestamp>,
    updated_at: Option<Timestamp>,
    /// Nothing of it is still to become known.
    is_whole: bool,
}

impl Candidate {
    /// What a caller announces before the bytes.
    pub fn announced(
        bucket: &BucketName,
        path: &ObjectPath,
        attributes: Option<&ObjectAttributes>,
        size: Option<u64>,
    ) -> Self {
        Self {
            bucket: bucket.as_str().to_owned(),
            path: path.as_str().to_owned(),
            owner: None,
            id: None,
            size,
            content_type: attributes.map(|attributes| attributes.content_type.clone()),
            cache_control: attributes.map(|attributes| attributes.cache_control.clone()),
            checksum: None,
            etag: None,
            metadata: attributes.map(|attributes| Json::Object(attributes.metadata.clone())),
            version: None,
            created_at: None,
            updated_at: None,
            is_whole: false,
        }
    }

    /// What is about to become visible, at this time; with this id, where it is new.
    pub fn stored(new: &NewObject, id: Uuid, now: Timestamp) -> Self {
        Self {
            id: Some(id),
            is_whole: true,
            checksum: new.checksum.map(|checksum| checksum.to_hex()),
            etag: Some(new.etag.clone()),
            version: Some(new.version),
            created_at: Some(now),
            updated_at: Some(now),
            ..Self::announced(&new.bucket, &new.path, Some(&new.attributes), Some(new.size))
        }
    }

    /// An object as it is, or is about to be.
    pub fn object(object: &StorageObject) -> Self {
        Self {
            bucket: object.bucket.as_str().to_owned(),
            path: object.path.as_str().to_owned(),
            owner: object.owner_id,
            id: Some(object.id),
            size: Some(object.size),
            content_type: Some(object.content_type.clone()),
            cache_control: Some(object.cache_control.clone()),
            checksum: object.checksum.map(|checksum| checksum.to_hex()),
            etag: Some(object.etag.clone()),
            metadata: Some(Json::Object(object.metadata.clone())),
            version: Some(object.version),
            created_at: Some(object.created_at),
            updated_at: Some(object.updated_at),
            is_whole: true,
        }
    }

    /// An object that is gone, of which is known where it was and whose, perhaps its size and content type; nothing more.
    pub fn gone(
        (bucket, path): (&str, &str),
        owner: Option<Uuid>,
        size: Option<u64>,
        content_type: Option<&str>,
    ) -> Self {
        Self {
            bucket: bucket.to_owned(),
            path: path.to_owned(),
            owner,
            id: None,
            size,
            content_type: content_type.map(str::to_owned),
            cache_control: None,
            checksum: None,
            etag: None,
            metadata: None,
            version: None,
            created_at: None,
            updated_at: None,
            is_whole: false,
        }
    }

    /// The row, of which nothing more will be known.
    #[must_use]
    pub fn whole(self) -> Self {
        Self { is_whole: true, ..self }
    }

    /// The row of a new object of a caller's.
    #[must_use]
    pub fn for_caller(&self, context: &RlsContext) -> Self {
        self.owned_by(context.user_id())
    }

    /// The row of a new object that belongs to this user.
    #[must_use]
    pub(super) fn owned_by(&self, owner: Option<Uuid>) -> Self {
        Self { owner, ..self.clone() }
    }

    /// The row as it takes the place of another, whose identity it keeps.
    #[must_use]
    pub(super) fn in_place_of(&self, old: &StorageObject) -> Self {
        Self { owner: old.owner_id, id: Some(old.id), created_at: Some(old.created_at), ..self.clone() }
    }

    /// Whether a column's value is known.
    pub(super) fn knows(&self, column: ColumnRef) -> bool {
        self.is_whole
            || match column.column.name {
                "size" => self.size.is_some(),
                "content_type" => self.content_type.is_some(),
                "cache_control" => self.cache_control.is_some(),
                "metadata" => self.metadata.is_some(),
                "id" => self.id.is_some(),
                "checksum" => self.checksum.is_some(),
                "etag" => self.etag.is_some(),
                "version" => self.version.is_some(),
                "created_at" => self.created_at.is_some(),
                "updated_at" => self.updated_at.is_some(),
                _ => true,
            }
    }
}

impl Candidate {
    /// Whether a column's value is not known yet, and may be before the bytes are there.
    pub(super) fn may_learn(&self, column: ColumnRef) -> bool {
        matches!(column.column.name, "size" | "content_type" | "cache_control" | "metadata")
            && !self.knows(column)
    }
}

impl Cells for Candidate {
    fn cell(&self, column: ColumnRef) -> Result<Value<'_>, EvalError> {
        fn text(text: Option<&String>) -> Value<'_> {
            text.map_or(Value::Null, |text| Value::Text(Cow::Borrowed(text)))
        }
        let id = |id: Option<Uuid>| id.map_or(Value::Null, Value::Uuid);
        let time =
            |time: Option<Timestamp>| time.map_or(Value::Null, |time| Value::Time(time.timestamp_micros()));
        Ok(match column.column.name {
            "id" => id(self.id),
            "bucket_id" => text(Some(&self.bucket)),
            "path" => text(Some(&self.path)),
            "size" => self.size.and_then(|size| i64::try_from(size).ok()).map_or(Value::Null, Value::Int),
            "content_type" => text(self.content_type.as_ref()),
            "cache_control" => text(self.cache_control.as_ref().and_then(Option::as_ref)),
            "checksum" => text(self.checksum.as_ref()),
            "etag" => text(self.etag.as_ref()),
            "owner_id" => id(self.owner),
            "metadata" => self.metadata.as_ref().map_or(Value::Null, |json| Value::Json(Cow::Borrowed(json))),
            "version" => id(self.version),
            "created_at" => time(self.created_at),
            "updated_at" => time(self.updated_at),
            _ => return Err(EvalError::row("the row lacks a column")),
        })
    }
}
