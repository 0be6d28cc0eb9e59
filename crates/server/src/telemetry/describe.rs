//! What each figure means: for Prometheus, and for `docs/operations.md`, whose table a test compares with this one.

use metrics::{describe_counter, describe_gauge, describe_histogram};

/// What a figure is to Prometheus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution.
    Histogram,
}

/// A figure: name, labels, kind, meaning.
pub type Description = (&'static str, &'static [&'static str], Kind, &'static str);

/// All figures.
pub static DESCRIPTIONS: &[Description] = &[
    (
        "storage_cache_hits_total",
        &["kind"],
        Kind::Counter,
        "Answers from memory: a `list`, or an `object`'s row",
    ),
    ("storage_cache_misses_total", &["kind"], Kind::Counter, "Those that were read from the database"),
    (
        "storage_cache_invalidations_total",
        &["kind"],
        Kind::Counter,
        "Of those, what was kept and had changed, or whose policies had",
    ),
    (
        "storage_cache_evictions_total",
        &["kind"],
        Kind::Counter,
        "Kept answers that went for lack of room, or as they were too old",
    ),
    ("storage_cache_bytes", &[], Kind::Gauge, "Memory that kept lists and objects take, more or less"),
    (
        "storage_cache_entries",
        &[],
        Kind::Gauge,
        "Lists and objects that are kept, or known to have been asked for",
    ),
    ("storage_cache_warmed_total", &[], Kind::Counter, "Lists that were read before somebody asked for them"),
    ("storage_upload_total", &["bucket", "status"], Kind::Counter, "Uploads, by `success` or `error`"),
    ("storage_upload_bytes_total", &["bucket"], Kind::Counter, "Bytes of successful uploads"),
    ("storage_upload_errors_total", &["error"], Kind::Counter, "Failed uploads, by the error's code"),
    ("storage_download_total", &["bucket", "status"], Kind::Counter, "Downloads, by `success` or `error`"),
    ("storage_download_bytes_total", &["bucket"], Kind::Counter, "Bytes that downloads were answered with"),
    ("storage_download_errors_total", &["error"], Kind::Counter, "Failed downloads, by the error's code"),
    (
        "storage_backend_latency_seconds",
        &["operation", "backend"],
        Kind::Histogram,
        "Time that an operation took in a provider of bytes; of a read, the time to its stream. Without those that were given up",
    ),
    (
        "storage_backend_errors_total",
        &["operation", "backend"],
        Kind::Counter,
        "Operations that failed in a provider of bytes, with those that were given up",
    ),
    (
        "storage_backend_retries_total",
        &["operation", "backend"],
        Kind::Counter,
        "Times that something was tried again, as a provider failed for now",
    ),
    (
        "storage_backend_timeouts_total",
        &["operation", "backend"],
        Kind::Counter,
        "Operations that were given up, as a provider took too long",
    ),
    (
        "storage_backend_waiting",
        &["operation", "backend"],
        Kind::Gauge,
        "Uploads, downloads and deletions that wait for a slot of a provider",
    ),
    (
        "storage_backend_overloaded_total",
        &["operation", "backend"],
        Kind::Counter,
        "Operations that were refused, as too many wait for a provider",
    ),
    (
        "storage_backend_circuit_state",
        &["backend"],
        Kind::Gauge,
        "Whether a provider is asked: 0 closed (it is), 1 half-open (one call tries), 2 open (it is left alone)",
    ),
    (
        "storage_backend_healthy",
        &["backend"],
        Kind::Gauge,
        "Whether the last probe of a provider succeeded: 1, or 0",
    ),
    (
        "storage_failover_total",
        &["from", "to"],
        Kind::Counter,
        "Times that new blobs began to go to another provider, as one was not well or is again",
    ),
    (
        "storage_backend_circuit_opened_total",
        &["backend"],
        Kind::Counter,
        "Times that a provider failed so often that it was left alone",
    ),
    (
        "storage_usage_bytes",
        &["bucket"],
        Kind::Gauge,
        "Bytes of a bucket's objects, taken every minute; of all servers over one database each says the same",
    ),
    (
        "storage_user_usage_bytes",
        &["user"],
        Kind::Gauge,
        "Bytes of a user's objects, of those 100 that had most at first; only with `metrics.usage_per_user`",
    ),
    (
        "storage_quota_used_bytes",
        &["scope", "bucket"],
        Kind::Gauge,
        "What counts against a quota, taken every minute: of each `bucket` that has one, those 100 that were fullest at first, and later ones as they come to be among the 100 fullest, up to 1000; and, where there is one, of all that is stored (`global`, without a bucket); 0 of one that was taken off",
    ),
    ("storage_quota_limit_bytes", &["scope", "bucket"], Kind::Gauge, "The same quota"),
    (
        "storage_quota_fullest_ratio",
        &[],
        Kind::Gauge,
        "How full the fullest quota is, of all buckets and of all that is stored, taken every minute: 1 where it is used up, 0 where nothing is in use or there is none; a quota of 0 is used up by anything; of all servers over one database each says the same",
    ),
    (
        "storage_disk_free_bytes",
        &["place"],
        Kind::Gauge,
        "Room that is left on the disk of the `blobs`, of the `database`, where it has a directory of its own, and of the `audit` log",
    ),
    ("storage_disk_size_bytes", &["place"], Kind::Gauge, "Size of the same disk"),
    (
        "storage_database_up",
        &[],
        Kind::Gauge,
        "Whether the database answered this server's last look at it, every minute: 1, or 0",
    ),
    (
        "storage_deletions_pending",
        &[],
        Kind::Gauge,
        "Blobs that nothing refers to any more, and that are still to be deleted; of all servers over one database each says the same",
    ),
    (
        "storage_deletions_oldest_seconds",
        &[],
        Kind::Gauge,
        "How long the oldest of them waits, on PostgreSQL at least `postgres.deletion_grace`; 0 where there is none. It grows while a backup is made, while a provider is away, or where deletion fails",
    ),
    (
        "storage_last_backup_timestamp_seconds",
        &[],
        Kind::Gauge,
        "When the last backup was made that the data directory knows of, in Unix time; absent where none was",
    ),
    (
        "storage_copies_missing",
        &["backend"],
        Kind::Gauge,
        "Copies that are still to be made on a provider of `storage.backup_providers`",
    ),
    (
        "storage_reads_from_copies_total",
        &["backend", "instead_of"],
        Kind::Counter,
        "Reads that a copy served, as the provider of the blob itself did not answer or gave wrong bytes",
    ),
    (
        "upload_queue_depth",
        &["status"],
        Kind::Gauge,
        "Blobs that are not where they belong, and copies that are to be made, by `pending`, `in_progress` or `failed`",
    ),
    (
        "upload_queue_attempts_total",
        &["outcome"],
        Kind::Counter,
        "Attempts to bring a blob where it belongs: `moved`, `copied`, `failed`, `given_up`, `overtaken` or `stopped`",
    ),
    ("upload_queue_completed_total", &[], Kind::Counter, "Blobs that this server brought where they belong"),
    ("upload_queue_failed_total", &[], Kind::Counter, "Blobs that were given up, and stay where they are"),
    ("storage_orphan_files_total", &[], Kind::Counter, "Blobs without metadata that the orphan job found"),
    (
        "storage_orphan_job_halted_total",
        &[],
        Kind::Counter,
        "Runs of the orphan job that refused to delete rows, as too many blobs looked missing, or blobs, as the database knows far fewer",
    ),
    ("storage_scrub_bytes_total", &[], Kind::Counter, "Bytes that scrubs have read"),
    (
        "storage_scrub_blobs_total",
        &["outcome"],
        Kind::Counter,
        "Blobs that scrubs have looked at: `good`, `bad`, `skipped` (their provider was not well) or `gone` (deleted meanwhile)",
    ),
    (
        "storage_scrub_findings_total",
        &["problem"],
        Kind::Counter,
        "Bad bytes that scrubs have found: `mismatch`, `missing` or `read_error`",
    ),
    ("storage_scrub_repaired_total", &[], Kind::Counter, "Of them, those that were repaired"),
    (
        "storage_scrub_last_end_seconds",
        &[],
        Kind::Gauge,
        "When the last scrub ended, in Unix time: on this server, or on another one before this one started; with `scrub.interval`, on any",
    ),
    ("storage_scrub_last_left", &[], Kind::Gauge, "Bad bytes that it found and left"),
    (
        "storage_scrub_last_skipped",
        &[],
        Kind::Gauge,
        "Blobs that it could not read, as their provider was not well",
    ),
    (
        "storage_lifecycle_total",
        &["action"],
        Kind::Counter,
        "What lifecycle rules did: `delete`, `delete_version`, `delete_marker`, `archive`, `move`, `warn`, `abort_upload`",
    ),
    (
        "storage_lifecycle_held",
        &[],
        Kind::Gauge,
        "1 while lifecycle rules wait, as the clock is more than a day ahead of when it was last looked at",
    ),
    (
        "storage_jobs",
        &["status"],
        Kind::Gauge,
        "Jobs that are `pending` or `running`; of all servers over one database each says the same",
    ),
    (
        "storage_jobs_oldest_seconds",
        &["status"],
        Kind::Gauge,
        "How long ago the oldest of them was asked for; 0 where there is none",
    ),
    (
        "storage_jobs_ended_total",
        &["kind", "status"],
        Kind::Counter,
        "Jobs that ended on this server: `completed`, `failed` or `cancelled`",
    ),
    ("storage_audit_lines_total", &[], Kind::Counter, "Lines written to the audit log"),
    (
        "storage_audit_lost_total",
        &[],
        Kind::Counter,
        "Lines that are lost, as it could not be written for long",
    ),
    ("storage_audit_failing", &[], Kind::Gauge, "1 while the audit log can't be written"),
    ("storage_event_subscribers", &[], Kind::Gauge, "Streams of events that are open"),
    (
        "storage_webhook_deliveries_total",
        &["outcome"],
        Kind::Counter,
        "Attempts to deliver a message to a webhook: `delivered`, `failed`, `paused` (the last attempt failed), `gone` or `stopped`",
    ),
    (
        "storage_webhook_backlog",
        &["webhook"],
        Kind::Gauge,
        "Events that a webhook has still to be told of, or to pass by; of all servers over one database each says the same. Of webhooks beyond the first 1000 of a server's life the most is told, as `other`",
    ),
    ("storage_webhooks_stopped", &[], Kind::Gauge, "Webhooks that are paused, or whose receivers are gone"),
    ("storage_group_commit_size", &[], Kind::Histogram, "Writes that shared one commit of the database"),
    ("storage_group_commit_seconds", &[], Kind::Histogram, "Time that a commit of the database took"),
    (
        "http_request_duration_seconds",
        &["operation", "status"],
        Kind::Histogram,
        "Time from a request's head to the end of its answer, by operation and class of status. What clients cause is no `5xx`: 501 is `501`, and 507 for a quota `quota`; 507 for a full disk is `5xx`",
    ),
    (
        "http_interrupted_total",
        &["operation"],
        Kind::Counter,
        "Answers that ended early, as the client went away or the bytes failed",
    ),
    ("http_connections", &[], Kind::Gauge, "Open connections"),
    (
        "http_accept_errors_total",
        &[],
        Kind::Counter,
        "Times that a connection could not be accepted, for lack of file descriptors or memory",
    ),
    ("http_panics_total", &[], Kind::Counter, "Handlers that panicked. Each is a bug: please report it"),
    (
        "log_lines_dropped_total",
        &[],
        Kind::Counter,
        "Log lines lost because standard error was read too slowly",
    ),
    ("trace_spans_sent_total", &[], Kind::Counter, "Spans of traces that were sent to who collects them"),
    (
        "trace_spans_dropped_total",
        &[],
        Kind::Counter,
        "Spans that are lost, as there were too many at once, or nobody took them",
    ),
    ("process_resident_memory_bytes", &[], Kind::Gauge, "Memory in use"),
    ("process_open_fds", &[], Kind::Gauge, "Open file descriptors"),
    ("process_max_fds", &[], Kind::Gauge, "Most file descriptors that the process may open (`ulimit -n`)"),
    ("process_start_time_seconds", &[], Kind::Gauge, "When the process started, in Unix time"),
    ("process_uptime_seconds", &[], Kind::Gauge, "How long the process has been running"),
    ("aerostore_build_info", &["version"], Kind::Gauge, "Always 1; its label names the version"),
];

/// Tells the recorder what each figure means. Counters without labels are there from the start, at 0: of one that comes to be
/// with its first event, Prometheus does not see that event.
pub(super) fn describe_all() {
    for (name, labels, kind, meaning) in DESCRIPTIONS {
        match kind {
            Kind::Counter => {
                describe_counter!(*name, *meaning);
                if labels.is_empty() {
                    metrics::counter!(*name).increment(0);
                }
            }
            Kind::Gauge => describe_gauge!(*name, *meaning),
            Kind::Histogram => describe_histogram!(*name, *meaning),
        }
    }
}
