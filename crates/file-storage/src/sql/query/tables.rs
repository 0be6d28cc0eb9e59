//! The tables that queries read, with the columns that callers may see (SPEC 4), and what a grouped query computes.

use crate::sql::scope::column;
use crate::sql::{Column, ColumnRef, OBJECTS, Table, Type};

/// `storage_buckets`, without the identity that blobs are named by.
pub static BUCKETS: Table = Table {
    name: "storage_buckets",
    synonyms: &["buckets", "storage.buckets", "storage.storage_buckets"],
    columns: &[
        Column { name: "id", ty: Type::Text, synonyms: &["name"] },
        Column { name: "owner_id", ty: Type::Uuid, synonyms: &["owner"] },
        column("policy", Type::Text),
        column("allowed_mime_types", Type::TextArray),
        Column { name: "max_file_size", ty: Type::Int8, synonyms: &["file_size_limit"] },
        column("quota_bytes", Type::Int8),
        column("file_count", Type::Int8),
        column("total_bytes", Type::Int8),
        column("created_at", Type::Timestamptz),
        column("updated_at", Type::Timestamptz),
    ],
};

/// `storage_usage`.
pub static USAGE: Table = Table {
    name: "storage_usage",
    synonyms: &["storage.storage_usage"],
    columns: &[
        column("id", Type::Uuid),
        column("user_id", Type::Uuid),
        column("total_bytes", Type::Int8),
        column("file_count", Type::Int8),
        column("quota_bytes", Type::Int8),
        column("last_calculated_at", Type::Timestamptz),
        column("created_at", Type::Timestamptz),
        column("updated_at", Type::Timestamptz),
    ],
};

/// `upload_queue`, without the names of blobs and the leases of workers.
pub static QUEUE: Table = Table {
    name: "upload_queue",
    synonyms: &["storage.upload_queue"],
    columns: &[
        column("id", Type::Uuid),
        column("user_id", Type::Uuid),
        column("bucket_id", Type::Text),
        column("file_name", Type::Text),
        column("file_size_bytes", Type::Int8),
        column("mime_type", Type::Text),
        column("storage_path", Type::Text),
        column("source_provider", Type::Text),
        column("target_provider", Type::Text),
        column("reason", Type::Text),
        column("status", Type::Text),
        column("attempt_count", Type::Int4),
        column("max_attempts", Type::Int4),
        column("error_message", Type::Text),
        column("next_attempt_at", Type::Timestamptz),
        column("queued_at", Type::Timestamptz),
        column("started_at", Type::Timestamptz),
        column("completed_at", Type::Timestamptz),
        column("created_at", Type::Timestamptz),
        column("updated_at", Type::Timestamptz),
    ],
};

/// The same without where files are, which is nobody's business but the operator's.
pub static OWN_QUEUE: Table = Table {
    name: QUEUE.name,
    synonyms: QUEUE.synonyms,
    columns: &[
        column("id", Type::Uuid),
        column("user_id", Type::Uuid),
        column("bucket_id", Type::Text),
        column("file_name", Type::Text),
        column("file_size_bytes", Type::Int8),
        column("mime_type", Type::Text),
        column("storage_path", Type::Text),
        column("reason", Type::Text),
        column("status", Type::Text),
        column("attempt_count", Type::Int4),
        column("max_attempts", Type::Int4),
        column("error_message", Type::Text),
        column("next_attempt_at", Type::Timestamptz),
        column("queued_at", Type::Timestamptz),
        column("started_at", Type::Timestamptz),
        column("completed_at", Type::Timestamptz),
        column("created_at", Type::Timestamptz),
        column("updated_at", Type::Timestamptz),
    ],
};

/// All tables that queries read, with all columns that any caller may see.
pub static READABLE: &[&Table] = &[&OBJECTS, &BUCKETS, &USAGE, &QUEUE];

/// The same tables, as those see them who are not the service.
pub static READABLE_BY_USERS: &[&Table] = &[&OBJECTS, &BUCKETS, &USAGE, &OWN_QUEUE];

/// The columns that tell a table's rows apart.
pub(crate) fn key(table: &Table) -> &'static [&'static str] {
    match table.name {
        "storage_objects" => &["bucket_id", "path"],
        "storage_usage" => &["user_id"],
        _ => &["id"],
    }
}

/// What a grouped query computes for each group: keys and aggregates, each at a place of its own, in the column of
/// its type. No table of any engine, and no name that a caller could write.
pub(crate) static COMPUTED: Table = Table {
    name: "computed",
    synonyms: &[],
    columns: &[
        column("as_bool", Type::Bool),
        column("as_int4", Type::Int4),
        column("as_int8", Type::Int8),
        column("as_text", Type::Text),
        column("as_uuid", Type::Uuid),
        column("as_timestamptz", Type::Timestamptz),
        column("as_interval", Type::Interval),
        column("as_sum", Type::Numeric),
        column("as_avg", Type::Numeric),
    ],
};

/// Most keys and aggregates of a query.
pub(crate) const MAX_COMPUTED: usize = 64;

/// A computed value's column; `None` for a type whose values are not gathered.
pub(crate) fn computed(place: usize, ty: Type, is_average: bool) -> Option<ColumnRef> {
    let fits = |column: &&Column| {
        column.ty == ty && (ty != Type::Numeric || (column.name == "as_avg") == is_average)
    };
    let column = COMPUTED.columns.iter().find(fits)?;
    Some(ColumnRef { source: place, table: &COMPUTED, column })
}

/// Most digits of a computed number before its point and after it, where that is known. A sum of bigints needs ten
/// more than a bigint; an average is not larger than what it is of.
pub(crate) fn digits(column: ColumnRef) -> Option<(u32, u32)> {
    match column.column.name {
        "as_sum" => Some((29, 0)),
        "as_avg" => Some((19, 19)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_told_all_of_the_queue_but_where_files_are() {
        let is_told = |column: &&Column| !matches!(column.name, "source_provider" | "target_provider");
        let expected: Vec<_> = QUEUE.columns.iter().filter(is_told).collect();
        assert_eq!(OWN_QUEUE.columns.iter().collect::<Vec<_>>(), expected);
    }
}
