//! What there is to move: every table of SQLite's schema, with its columns as PostgreSQL has them. One more table is one
//! more entry; a test, and every migration, refuses a source that has what does not stand here.

use tokio_postgres::types::Type;

/// A table that both engines have.
#[derive(Debug)]
pub(in crate::executor) struct Table {
    pub(in crate::executor) name: &'static str,
    /// All columns that SQLite has, the first ones naming the row.
    pub(in crate::executor) columns: &'static [(&'static str, Type)],
    /// The column that numbers rows, and never gives a number twice.
    pub(in crate::executor) sequence: Option<&'static str>,
}

impl Table {
    /// The names of the columns, quoted: some are words of SQL.
    pub(in crate::executor) fn list(&self) -> String {
        let names: Vec<String> = self.columns.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        names.join(", ")
    }

    pub(in crate::executor) fn types(&self) -> Vec<Type> {
        self.columns.iter().map(|(_, ty)| ty.clone()).collect()
    }
}

/// In an order in which no row comes before one that it refers to.
pub(in crate::executor) const TABLES: &[Table] = &[
    Table {
        name: "storage_buckets",
        columns: &[
            ("id", Type::TEXT),
            ("uuid", Type::UUID),
            ("owner_id", Type::UUID),
            ("policy", Type::TEXT),
            ("allowed_mime_types", Type::TEXT_ARRAY),
            ("max_file_size", Type::INT8),
            ("quota_bytes", Type::INT8),
            ("file_count", Type::INT8),
            ("total_bytes", Type::INT8),
            ("created_at", Type::TIMESTAMPTZ),
            ("updated_at", Type::TIMESTAMPTZ),
            ("unfinished_bytes", Type::INT8),
            ("extra", Type::JSONB),
            ("versioning", Type::TEXT),
        ],
        sequence: None,
    },
    Table {
        name: "storage_objects",
        columns: &[
            ("bucket_id", Type::TEXT),
            ("path", Type::TEXT),
            ("id", Type::UUID),
            ("size", Type::INT8),
            ("content_type", Type::TEXT),
            ("cache_control", Type::TEXT),
            ("checksum", Type::TEXT),
            ("etag", Type::TEXT),
            ("owner_id", Type::UUID),
            ("metadata", Type::JSONB),
            ("version", Type::UUID),
            ("created_at", Type::TIMESTAMPTZ),
            ("updated_at", Type::TIMESTAMPTZ),
            ("extra", Type::JSONB),
            ("versioned", Type::BOOL),
        ],
        sequence: None,
    },
    Table {
        name: "storage_object_versions",
        columns: &[
            ("sequence", Type::INT8),
            ("bucket_id", Type::TEXT),
            ("path", Type::TEXT),
            ("id", Type::UUID),
            ("size", Type::INT8),
            ("content_type", Type::TEXT),
            ("cache_control", Type::TEXT),
            ("checksum", Type::TEXT),
            ("etag", Type::TEXT),
            ("owner_id", Type::UUID),
            ("metadata", Type::JSONB),
            ("version", Type::UUID),
            ("created_at", Type::TIMESTAMPTZ),
            ("updated_at", Type::TIMESTAMPTZ),
            ("extra", Type::JSONB),
            ("versioned", Type::BOOL),
            ("is_delete_marker", Type::BOOL),
            ("noncurrent_at", Type::TIMESTAMPTZ),
        ],
        sequence: Some("sequence"),
    },
    Table {
        name: "storage_segments",
        columns: &[
            ("version", Type::UUID),
            ("ordinal", Type::INT4),
            ("offset", Type::INT8),
            ("size", Type::INT8),
            ("sha256", Type::TEXT),
            ("provider", Type::TEXT),
            ("blob_key", Type::TEXT),
            ("bytes", Type::BYTEA),
        ],
        sequence: None,
    },
    Table {
        name: "multipart_uploads",
        columns: &[
            ("id", Type::UUID),
            ("bucket_id", Type::TEXT),
            ("path", Type::TEXT),
            ("role", Type::TEXT),
            ("owner_id", Type::UUID),
            ("replaces", Type::BOOL),
            ("content_type", Type::TEXT),
            ("cache_control", Type::TEXT),
            ("metadata", Type::JSONB),
            ("checksum", Type::JSONB),
            ("held_bytes", Type::INT8),
            ("created_at", Type::TIMESTAMPTZ),
            ("expires_at", Type::TIMESTAMPTZ),
            ("extra", Type::JSONB),
            ("ended", Type::BOOL),
            ("nonce", Type::UUID),
        ],
        sequence: None,
    },
    Table {
        name: "multipart_parts",
        columns: &[
            ("upload_id", Type::UUID),
            ("number", Type::INT4),
            ("size", Type::INT8),
            ("sha256", Type::TEXT),
            ("etag", Type::TEXT),
            ("checksums", Type::JSONB),
            ("provider", Type::TEXT),
            ("blob_key", Type::TEXT),
            ("bytes", Type::BYTEA),
            ("created_at", Type::TIMESTAMPTZ),
        ],
        sequence: None,
    },
    Table {
        name: "resumable_uploads",
        columns: &[
            ("upload_id", Type::UUID),
            ("length", Type::INT8),
            ("epoch", Type::INT8),
            ("is_partial", Type::BOOL),
            ("told", Type::TEXT),
            ("completed_at", Type::TIMESTAMPTZ),
        ],
        sequence: None,
    },
    Table {
        name: "storage_usage",
        columns: &[
            ("user_id", Type::UUID),
            ("id", Type::UUID),
            ("total_bytes", Type::INT8),
            ("file_count", Type::INT8),
            ("quota_bytes", Type::INT8),
            ("last_calculated_at", Type::TIMESTAMPTZ),
            ("created_at", Type::TIMESTAMPTZ),
            ("updated_at", Type::TIMESTAMPTZ),
            ("unfinished_bytes", Type::INT8),
        ],
        sequence: None,
    },
    Table {
        name: "storage_folder_quotas",
        columns: &[
            ("bucket_id", Type::TEXT),
            ("prefix", Type::TEXT),
            ("quota_bytes", Type::INT8),
            ("used_bytes", Type::INT8),
            ("created_at", Type::TIMESTAMPTZ),
            ("updated_at", Type::TIMESTAMPTZ),
        ],
        sequence: None,
    },
    Table {
        name: "storage_quota_settings",
        columns: &[
            ("id", Type::INT4),
            ("enforcement", Type::TEXT),
            ("default_user_bytes", Type::INT8),
            ("configured_global_bytes", Type::INT8),
            ("global_bytes", Type::INT8),
            ("global_used_bytes", Type::INT8),
        ],
        sequence: None,
    },
    // Empty, but within a transaction.
    Table {
        name: "quota_changes",
        columns: &[
            ("scope", Type::TEXT),
            ("name", Type::TEXT),
            ("bucket_id", Type::TEXT),
            ("bytes", Type::INT8),
        ],
        sequence: None,
    },
    Table {
        name: "blob_deletions",
        columns: &[
            ("blob_key", Type::TEXT),
            ("provider", Type::TEXT),
            ("size", Type::INT8),
            ("attempts", Type::INT4),
            ("queued_at", Type::TIMESTAMPTZ),
        ],
        sequence: None,
    },
    Table {
        name: "storage_events",
        columns: &[
            ("sequence", Type::INT8),
            ("id", Type::UUID),
            ("kind", Type::TEXT),
            ("bucket_id", Type::TEXT),
            ("path", Type::TEXT),
            ("owner_id", Type::UUID),
            ("payload", Type::JSONB),
            ("created_at", Type::TIMESTAMPTZ),
        ],
        sequence: Some("sequence"),
    },
    Table {
        name: "used_nonces",
        columns: &[("nonce", Type::UUID), ("expires_at", Type::TIMESTAMPTZ)],
        sequence: None,
    },
    Table {
        name: "upload_queue",
        columns: &[
            ("id", Type::UUID),
            ("user_id", Type::UUID),
            ("bucket_id", Type::TEXT),
            ("file_name", Type::TEXT),
            ("file_size_bytes", Type::INT8),
            ("mime_type", Type::TEXT),
            ("storage_path", Type::TEXT),
            ("blob_key", Type::TEXT),
            ("source_provider", Type::TEXT),
            ("target_provider", Type::TEXT),
            ("reason", Type::TEXT),
            ("status", Type::TEXT),
            ("attempt_count", Type::INT4),
            ("max_attempts", Type::INT4),
            ("error_message", Type::TEXT),
            ("next_attempt_at", Type::TIMESTAMPTZ),
            ("leased_by", Type::UUID),
            ("leased_until", Type::TIMESTAMPTZ),
            ("queued_at", Type::TIMESTAMPTZ),
            ("started_at", Type::TIMESTAMPTZ),
            ("completed_at", Type::TIMESTAMPTZ),
            ("created_at", Type::TIMESTAMPTZ),
            ("updated_at", Type::TIMESTAMPTZ),
        ],
        sequence: None,
    },
    Table {
        name: "provider_identities",
        columns: &[("provider", Type::TEXT), ("identity", Type::UUID)],
        sequence: None,
    },
    Table {
        name: "storage_policies",
        columns: &[
            ("name", Type::TEXT),
            ("command", Type::TEXT),
            ("permissive", Type::BOOL),
            ("roles", Type::TEXT_ARRAY),
            ("definition", Type::TEXT),
            ("created_at", Type::TIMESTAMPTZ),
        ],
        sequence: None,
    },
    Table {
        name: "s3_credentials",
        columns: &[
            ("access_key_id", Type::TEXT),
            ("name", Type::TEXT),
            ("role", Type::TEXT),
            ("user_id", Type::UUID),
            ("enabled", Type::BOOL),
            ("sealed_secret", Type::TEXT),
            ("created_at", Type::TIMESTAMPTZ),
            ("last_used_at", Type::TIMESTAMPTZ),
        ],
        sequence: None,
    },
    Table {
        name: "lifecycle_rules",
        columns: &[
            ("id", Type::UUID),
            ("bucket_id", Type::TEXT),
            ("source", Type::TEXT),
            ("name", Type::TEXT),
            ("spec", Type::JSONB),
            ("created_at", Type::TIMESTAMPTZ),
            ("updated_at", Type::TIMESTAMPTZ),
        ],
        sequence: None,
    },
    Table {
        name: "lifecycle_warnings",
        columns: &[
            ("version", Type::UUID),
            ("rule_id", Type::UUID),
            ("due_at", Type::TIMESTAMPTZ),
            ("warned_at", Type::TIMESTAMPTZ),
        ],
        sequence: None,
    },
    Table {
        name: "lifecycle_state",
        columns: &[
            ("id", Type::INT4),
            ("seen_at", Type::TIMESTAMPTZ),
            ("held_until", Type::TIMESTAMPTZ),
            ("turn_at", Type::TIMESTAMPTZ),
        ],
        sequence: None,
    },
    Table {
        name: "storage_events_gone",
        columns: &[("id", Type::INT4), ("position", Type::INT8)],
        sequence: None,
    },
];
