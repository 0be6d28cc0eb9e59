//! Every key of the configuration, defined once. Only what this server really does stands here.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use file_storage::executor::postgres::SchemaName;
use file_storage::lifecycle::LifecycleRule;
use ipnet::IpNet;

use super::define::settings;
use super::{
    Address, AuditFailure, AuditedOperations, BucketCreation, ByteSize, Database, Dialect, Durability,
    Enforcement, LogFormat, LogLevel, MetricsAccess, ProviderConfig, PublicUrl, TimeOfDay, WebUrl,
};
use crate::secrets::Secret;

settings! {
    /// How a server is configured, checked and with all defaults.
    Config {
        /// Where the server listens. A port of 0 takes a free one and says which.
        listen: Address = "127.0.0.1:8000";
        /// Where everything is kept that has no place of its own: database, bytes, secrets.
        data_dir: PathBuf = "./aerostore-data";
        /// Where the metadata is: SQLite, in the data directory if no path is given, or PostgreSQL, which several servers may share.
        database: Database = "sqlite";
    }
    besides {
        /// Providers of bytes, by name.
        providers: BTreeMap<String, ProviderConfig> = "providers";
        /// Rules that let old files go.
        #[live = true]
        lifecycle_rules: Vec<LifecycleRule> = "lifecycle.rules";
    }

    /// The HTTP server itself.
    server: ServerConfig {
        /// Where clients see the server, for absolute URLs in answers, up to `/storage/v1`. Without it, a trusted proxy's
        /// `X-Forwarded-Proto`, `-Host` and `-Prefix` say so, or the request's `Host`.
        public_url: Option<PublicUrl> = "";
        /// Proxies in front of the server. Only from them do `X-Forwarded-*` and `Forwarded` count.
        trusted_proxies: Vec<IpNet> = "";
        /// Connections that are open at once; more wait in the kernel's queue.
        max_connections: u32 = "10000", at_least_one;
        /// How long a client may take to send the head of a request.
        request_header_timeout: Duration = "30s", positive;
        /// How long a body may stand still before the request is given up.
        body_idle_timeout: Duration = "1m", positive;
        /// How long a server that is told to stop goes on taking requests while `/readyz` says 503, so that a load balancer sends no
        /// more of them: somewhat longer than it takes to notice; 10m at most. A second signal ends the waiting.
        drain: Duration = "0s", drain_limit;
        /// How long running requests may take to finish when the server is stopped, once it takes no more.
        shutdown_grace: Duration = "30s";
    }

    /// PostgreSQL, where `database` is one.
    postgres: PostgresConfig {
        /// The schema that all tables are in. Another one, with `_inner` at its end, stands beside it.
        schema: SchemaName = "aerostore";
        /// Most connections of this server.
        connections: u32 = "32", at_least_one;
        /// How long an operation waits for a connection before the server says that it is overloaded.
        connection_wait: Duration = "5s", positive;
        /// How long the database may take for one statement.
        statement_timeout: Duration = "30s", positive;
        /// Certificates (PEM) of the authorities that the database's certificate is verified with, instead of the system's. It is verified if the address has `sslmode=require`.
        root_certificates: Option<PathBuf> = "";
        /// How long bytes that nothing refers to any more are kept for downloads that other servers have begun.
        deletion_grace: Duration = "10m";
    }

    /// The REST API.
    rest: RestConfig {
        /// `native` answers with true HTTP statuses, `supabase` to the letter as Supabase Storage does.
        dialect: Dialect = "native";
    }

    /// Amazon's S3 protocol, at `/storage/v1/s3`.
    s3: S3Config {
        /// Where S3 is served besides, at `/`: for clients that can't be told a path. A port of 0 takes a free one and says which.
        listen: Option<Address> = "";
        /// Hosts below which a bucket may be named as part of the host (`BUCKET.HOST`), without a port.
        domain: Vec<String> = "", hosts;
        /// What clients are told where buckets are. Any region that a client signs for is accepted.
        region: String = "us-east-1", region_name;
        /// How far a client's clock may be off; signed requests are refused beyond that.
        clock_skew: Duration = "15m", positive;
    }

    /// What the server writes to standard error.
    log: LogConfig {
        /// Lines for people, or one JSON object per line.
        format: LogFormat = "text";
        /// The least important lines that are written.
        #[live = true]
        level: LogLevel = "info";
    }

    /// Who is asking: the tokens of callers.
    auth: AuthConfig {
        /// Secret of HS256 tokens. Without it, the one that the first start generated is used.
        #[live = true]
        jwt_secret: Option<Secret> = "";
        /// Secrets that were current once: their tokens are accepted until they expire.
        #[live = true]
        previous_jwt_secrets: Vec<Secret> = "";
        /// File with a JSON Web Key Set whose keys (RS256, ES256, EdDSA) also sign tokens.
        #[live = true]
        jwks_file: Option<PathBuf> = "";
        /// The same from a URL.
        #[live = true]
        jwks_url: Option<WebUrl> = "";
        /// How often the key set is read again.
        #[live = true]
        jwks_refresh: Duration = "10m", positive;
        /// Values of `aud` that are accepted, one of which a token must then have. Without any, `aud` is not looked at.
        #[live = true]
        audience: Vec<String> = "";
        /// Values of `iss` that are accepted, one of which a token must then have. Without any, `iss` is not looked at.
        #[live = true]
        issuer: Vec<String> = "";
    }

    /// Signed URLs.
    signing: SigningConfig {
        /// Secret that signs URLs. Without it, the one that the first start generated is used.
        #[live = true]
        secret: Option<Secret> = "";
        /// Secrets that were current once: their URLs are served until they expire.
        #[live = true]
        previous_secrets: Vec<Secret> = "";
        /// How long a signed URL is valid if its maker does not say.
        #[live = true]
        default_expiry: Duration = "1h", expiry;
        /// The longest that a signed URL can be valid; 3650d at most.
        #[live = true]
        max_expiry: Duration = "365d", expiry;
        /// How long a signed upload URL is valid.
        #[live = true]
        upload_expiry: Duration = "2h", expiry;
    }

    /// Bytes and their limits.
    storage: StorageConfig {
        /// The provider that new bytes go to: `local`, or the name of one below `providers`. Older bytes stay where they are, and are read there.
        active_provider: String = "local";
        /// Providers that new bytes go to while the active one is not well, best first.
        failover_providers: Vec<String> = "";
        /// Providers that keep a copy of every blob which is elsewhere. Reads fall back to copies where a blob's own provider does not answer.
        backup_providers: Vec<String> = "";
        /// A provider of the kind `local`, not the active one, that takes uploads whose clients do not want to wait for the active
        /// one (`Prefer: respond-async`). The upload queue moves them on. Servers that share a database must share that directory.
        spool: Option<String> = "";
        /// Most bytes that wait there. Beyond them, uploads go to the active provider as others do; so does what is said to be larger.
        spool_max_size: ByteSize = "10GB";
        /// The largest object, whatever its bucket allows; 0 for no limit. Large enough for a disk image or a film, and still an end to a client that never stops sending.
        #[live = true]
        max_file_size: ByteSize = "50GB";
        /// Objects up to this size are kept in the database, beside their row.
        #[live = true]
        inline_threshold: ByteSize = "16KiB", inline_limit;
        /// `full`: a success is answered when bytes and metadata are on stable storage. `relaxed`: a power failure may take the last seconds.
        durability: Durability = "full";
        /// Whether every whole download is compared with the object's SHA-256.
        #[live = true]
        verify_on_read: bool = "false";
        /// Whether the first bytes of an upload must fit its declared content type where its bucket restricts types.
        #[live = true]
        verify_content: bool = "false";
        /// What is done about a write that does not fit into a quota: `enforce` refuses it, `warn` lets it in and tells by the event `storage.quota.warning`, once at each step (80%, 95%, past it), and the log names those writes whose size was announced, `off` does nothing. Servers that share a database share this: the one that started last, or read its configuration again last, decides.
        #[live = true]
        quota_enforcement: Enforcement = "enforce";
    }

    /// Quotas that hold where none was set by the API. Servers that share a database share them: the one that started last, or read its configuration again last, decides.
    quotas: QuotasConfig {
        /// How much may be stored in all; 0 for no limit.
        #[live = true]
        global: ByteSize = "0";
        /// How much a user may own; 0 for no limit.
        #[live = true]
        default_user: ByteSize = "0";
    }

    /// The queue that moves bytes to the provider where they belong: from the spool, after a failover, and where an operator says so.
    upload_queue: UploadQueueConfig {
        /// How often the move of a file is tried before it is given up. Its bytes stay where they are, and readable.
        max_attempts: u32 = "20", at_least_one;
        /// Files that this server moves to one provider at once.
        concurrency: u32 = "4", at_least_one;
        /// How long it is known of a file that it was moved.
        keep_completed: Duration = "7d", positive;
    }

    /// Many files in one request.
    batch: BatchConfig {
        /// Most files, or paths, of one request.
        #[live = true]
        max_files: u32 = "1000", at_least_one;
        /// Files of one request that are written at once.
        #[live = true]
        concurrency: u32 = "8", at_least_one;
    }

    /// Long work that callers ask for, and wait for or not: deleting, moving and copying folders.
    jobs: JobsConfig {
        /// Jobs that this server runs at once.
        #[live = true]
        concurrency: u32 = "2", at_least_one;
        /// How long it is known of a job what came of it.
        #[live = true]
        keep: Duration = "7d", positive;
    }

    /// Uploads in several pieces, before they are objects.
    uploads: UploadsConfig {
        /// How long an upload in numbered parts (S3) may stand without a new part before it is given up.
        #[live = true]
        multipart_expiry: Duration = "7d", positive;
        /// The same of a resumable upload (TUS), and how long it is known that one came.
        #[live = true]
        resumable_expiry: Duration = "1d", positive;
        /// How many uploads of either kind a user may have unfinished in a bucket; all anonymous callers together count as
        /// one user. The service role may have any number.
        #[live = true]
        max_unfinished: u32 = "10000", at_least_one;
    }

    /// Buckets.
    buckets: BucketsConfig {
        /// Who creates buckets: any authenticated user, or the service role alone.
        #[live = true]
        creation: BucketCreation = "authenticated";
    }

    /// Queries in SQL over the rows that a caller may see.
    query: QueryConfig {
        /// Rows of an answer to a query that asks for no number of them.
        #[live = true]
        default_rows: u32 = "1000", at_least_one;
        /// Most rows of an answer, whatever is asked for.
        #[live = true]
        max_rows: u32 = "10000", at_least_one;
        /// Most bytes of an answer's rows.
        #[live = true]
        max_bytes: ByteSize = "8MiB";
        /// How long a query may run, and how long it waits for its turn.
        #[live = true]
        timeout: Duration = "5s", positive;
        /// Queries that run at once; more wait for their turn.
        concurrency: u32 = "4", at_least_one;
        /// Queries of one caller that run at once: a user, the service role, or an address without a token. 16 more wait for their turn.
        per_caller: u32 = "2", at_least_one;
    }

    /// What happens to buckets and objects, as it is told to others.
    events: EventsConfig {
        /// How long events are kept: a subscriber who comes back later than that is told so, and has missed some.
        #[live = true]
        retention: Duration = "7d", positive;
        /// Most events that are kept, however young.
        #[live = true]
        max_kept: u32 = "10000000", at_least_one;
        /// Streams of events that are open at once, of all callers together.
        #[live = true]
        max_subscribers: u32 = "1000", at_least_one;
        /// Streams of one caller: a user, the service role, or an address without a token.
        #[live = true]
        per_caller: u32 = "20", at_least_one;
    }

    /// Receivers of events that the service role configures.
    webhooks: WebhooksConfig {
        /// Networks that are not the public internet and that messages may go to all the same, also without TLS. Who makes webhooks reaches what is in them.
        allow_private_networks: Vec<IpNet> = "";
        /// Waits before a message that was not taken is sent again, one for each time. A webhook whose message was not taken after the last of them is paused.
        retries: Vec<Duration> = "5s, 30s, 2m, 10m, 30m, 1h, 2h, 6h, 12h, 12h, 12h", some_waits;
    }

    /// The job that removes bytes without metadata and reports metadata without bytes.
    cleanup: CleanupConfig {
        /// Whether the job runs by itself.
        #[live = true]
        enabled: bool = "true";
        /// How often it runs.
        #[live = true]
        interval: Duration = "1h", positive;
        /// Younger bytes are left alone: their upload may still be running. With several servers, not less than 2 minutes and three times
        /// `postgres.statement_timeout` together.
        #[live = true]
        grace: Duration = "5m", positive;
        /// The most it removes in one run.
        #[live = true]
        max_per_run: u32 = "1000", at_least_one;
    }

    /// Lists that were answered before, and on PostgreSQL rows of objects, kept in memory for who asks again. Whoever writes, in whichever server: what is given is never out of
    /// date, and never what another caller was shown.
    cache: CacheConfig {
        /// Whether they are kept.
        #[live = true]
        enabled: bool = "true";
        /// How long one is kept at most.
        #[live = true]
        ttl: Duration = "5m", positive;
        /// The most memory that they take together; 0 keeps none.
        #[live = true]
        max_size: ByteSize = "100MB";
        /// How many of them, those that are asked for most, are read again after a change, and after a start, before somebody asks; 0 for none, and 256 at
        /// most. After a start, only those of callers without a token and of the service key.
        #[live = true]
        warm: u32 = "16", some_lists;
    }

    /// The job that reads everything and compares it with its SHA-256: `aerostore scrub`.
    scrub: ScrubConfig {
        /// Bytes that it reads in a second, of all providers together; 0 for no bound. A day at 20MB is 1.7 TB.
        #[live = true]
        rate: ByteSize = "20MB";
        /// How often one begins by itself, counted from the beginning of the last. Without it, none does. Servers that share a database have one
        /// at a time. It repairs nothing: that is for `aerostore scrub --repair`.
        #[live = true]
        interval: Option<Duration> = "", interval_between_runs;
    }

    /// Making objects of files that are there already (`aerostore adopt`).
    adopt: AdoptConfig {
        /// Directories of this machine whose files, and those below them, holders of the service key may have adopted. None by default. No
        /// link is followed, and the server's own directories are left out.
        #[live = true]
        directories: Vec<PathBuf> = "", absolute_paths;
    }

    /// When rules that let old files go are followed. The rules themselves stand below `lifecycle.rules`, or are made by the API and by S3.
    lifecycle: LifecycleConfig {
        /// Whether rules are followed by themselves: once a day, by one of the servers that share a database.
        #[live = true]
        enabled: bool = "true";
        /// The time of the day at which they are, in UTC.
        #[live = true]
        at: TimeOfDay = "03:00";
        /// Time between two runs, in place of once a day.
        #[live = true]
        interval: Option<Duration> = "", interval_between_runs;
        /// Most objects, versions and uploads that one run deals with; the next one goes on.
        #[live = true]
        max_per_run: u32 = "100000", at_least_one;
    }

    /// Browsers on other origins.
    cors: CorsConfig {
        /// Origins whose pages may call the API; `*` for any, as tokens and not cookies authenticate.
        #[live = true]
        allowed_origins: Vec<String> = "*", origins;
    }

    /// Requests per client address. Behind a proxy, set `server.trusted_proxies`, or all clients count as one.
    rate_limit: RateLimitConfig {
        /// Requests with signed URLs, per second and client; 0 for no limit. As many S3 requests may show a signature that is
        /// not good.
        #[live = true]
        signed_per_second: u32 = "100";
        /// How many may come at once after a pause.
        #[live = true]
        signed_burst: u32 = "1000", at_least_one;
        /// Requests for public objects, per second and client; 0 for no limit.
        #[live = true]
        public_per_second: u32 = "1000";
        /// How many may come at once after a pause.
        #[live = true]
        public_burst: u32 = "5000", at_least_one;
    }

    /// Who did what to which object, in order, in files that show if somebody changed them: `aerostore audit verify` and `export` read them.
    audit: AuditConfig {
        /// Where its files are. Without it, there is none. Servers may share a directory: each has its own files in it.
        directory: Option<PathBuf> = "";
        /// The name of this server in it, which its files begin with. Without it, the name of the machine.
        server: Option<String> = "", server_name;
        /// What has a line: changes, or reads, lists and refusals as well. A signed URL that is made counts as a change.
        operations: AuditedOperations = "changes";
        /// `full`: a change is answered when its line is on stable storage. `relaxed`: when it is written; a power failure may take the last lines.
        sync: Durability = "full";
        /// What becomes of changes while lines can't be written, for a full disk mostly: `refuse` answers them with 507 or 503, `continue` lets them through, and has up to 100000 lines wait in memory.
        on_failure: AuditFailure = "refuse";
        /// Length of a file at which the next one is begun. One is begun each day, too.
        rotate_at_size: ByteSize = "100MB", some_bytes;
        /// Age at which a file is deleted. Without it, none is.
        keep: Option<Duration> = "", a_day_at_least;
    }

    /// Traces for OpenTelemetry: what each request took, and what of it went to the database and to providers.
    telemetry: TelemetryConfig {
        /// Who collects traces, by OTLP over HTTP with protobuf: `http://collector:4318`. Without it, none are made.
        otlp_endpoint: Option<WebUrl> = "";
        /// What this service is called there.
        service_name: String = "aerostore";
        /// How many of a hundred traces that begin here are collected. A request with `traceparent` goes on with its caller's trace, and is collected if that is.
        sample_percent: u32 = "100", percent;
    }

    /// Figures for Prometheus.
    metrics: MetricsConfig {
        /// Who reads `/metrics`: callers from this machine and the service role, the service role alone, or anyone.
        access: MetricsAccess = "loopback";
        /// Whether there is a figure of bytes per user, too. They are bounded, but a metrics store keeps users' ids then.
        usage_per_user: bool = "false";
    }
}

pub(super) fn at_least_one(number: &u32) -> Result<(), String> {
    if *number == 0 { Err("is at least 1".into()) } else { Ok(()) }
}

pub(super) fn positive(duration: &Duration) -> Result<(), String> {
    if duration.as_secs() == 0 { Err("is at least 1s".into()) } else { Ok(()) }
}

fn drain_limit(duration: &Duration) -> Result<(), String> {
    if *duration > Duration::from_secs(600) { Err("is at most 10m".into()) } else { Ok(()) }
}

/// A name that can begin a file's.
#[allow(clippy::ref_option, reason = "a check takes its key's own type")]
fn server_name(name: &Option<String>) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    match name {
        Some(name)
            if name.is_empty() || name.len() > 64 || name.starts_with('.') || !name.chars().all(plain) =>
        {
            Err("is a name of up to 64 of a-z, A-Z, 0-9, -, _ and ., which does not begin with a dot".into())
        }
        Some(_) | None => Ok(()),
    }
}

fn some_lists(number: &u32) -> Result<(), String> {
    if *number > 256 { Err("is at most 256".into()) } else { Ok(()) }
}

fn percent(number: &u32) -> Result<(), String> {
    if *number > 100 { Err("is at most 100".into()) } else { Ok(()) }
}

fn some_bytes(size: &ByteSize) -> Result<(), String> {
    if size.0 < 1 << 16 { Err("is at least 64KiB".into()) } else { Ok(()) }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "a check takes its key's own type")]
fn a_day_at_least(age: &Option<Duration>) -> Result<(), String> {
    match age {
        Some(age) if age.as_secs() < 86_400 => Err("is at least 1d".into()),
        Some(_) | None => Ok(()),
    }
}

/// As many waits as a person would write down.
#[allow(clippy::ptr_arg, reason = "a check takes its key's own type")]
fn some_waits(waits: &Vec<Duration>) -> Result<(), String> {
    match waits.len() {
        1..=30 => Ok(()),
        _ => Err("has 1 to 30 waits".into()),
    }
}

#[allow(clippy::ptr_arg, reason = "a check takes its key's own type")]
fn absolute_paths(paths: &Vec<PathBuf>) -> Result<(), String> {
    match paths.iter().find(|path| !path.is_absolute()) {
        Some(path) => Err(format!("'{}' is no absolute path", path.display())),
        None => Ok(()),
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "a check takes its key's own type")]
fn interval_between_runs(interval: &Option<Duration>) -> Result<(), String> {
    match interval {
        Some(interval) if interval.as_secs() < 60 => Err("is at least 1m".into()),
        Some(_) | None => Ok(()),
    }
}

/// The longest that anything signed is valid, in days: ten years. What shall be open for good is for a public bucket.
const LONGEST_EXPIRY_DAYS: u64 = 3650;

fn expiry(duration: &Duration) -> Result<(), String> {
    if duration.as_secs() > LONGEST_EXPIRY_DAYS * 86_400 {
        return Err(format!("is at most {LONGEST_EXPIRY_DAYS}d"));
    }
    positive(duration)
}

fn inline_limit(size: &ByteSize) -> Result<(), String> {
    if size.0 > 1 << 20 {
        Err("is at most 1MiB: the database is no place for large objects".into())
    } else {
        Ok(())
    }
}

/// A host as URLs have it, without a port.
fn hosts(hosts: &Vec<String>) -> Result<(), String> {
    for host in hosts {
        if !crate::http::is_authority(host) || host.contains([':', '[']) || *host != host.to_ascii_lowercase()
        {
            return Err(format!("'{host}' is no host in lower case and without a port, like s3.example.org"));
        }
    }
    Ok(())
}

#[allow(clippy::ptr_arg, reason = "a check takes its key's own type")]
fn region_name(region: &String) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if region.is_empty() || !region.chars().all(plain) {
        return Err("is a name of a-z, 0-9 and -, like us-east-1".into());
    }
    Ok(())
}

/// An origin is a scheme, a host and perhaps a port, as browsers send it.
fn origins(origins: &Vec<String>) -> Result<(), String> {
    for origin in origins {
        let uri = origin.parse::<http::Uri>().ok();
        let parts = uri.as_ref().and_then(|uri| Some((uri.scheme_str()?, uri.authority()?.as_str())));
        let exact = parts.is_some_and(|(scheme, authority)| *origin == format!("{scheme}://{authority}"));
        if origin != "*" && !exact {
            return Err(format!("'{origin}' is neither * nor an origin like https://app.example.org"));
        }
    }
    Ok(())
}
