//! `aerostore bucket …`: the life of a bucket.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};

use super::{Context, confirmed};
use crate::client::buckets;
use crate::failure::Failure;
use crate::output::table;
use crate::units;

/// What to do with buckets.
#[derive(Debug, Subcommand)]
pub(crate) enum Bucket {
    /// Create a bucket
    Create(Create),
    /// List the buckets you may see
    #[command(visible_alias = "ls")]
    List,
    /// Show one bucket
    Show(Name),
    /// Change settings; what is not named stays as it is
    Update(Update),
    /// Delete every object of a bucket
    Empty(Empty),
    /// Delete a bucket
    #[command(visible_alias = "rm")]
    Delete(Delete),
}

/// A bucket's name.
#[derive(Debug, Args)]
pub(crate) struct Name {
    /// The bucket's name
    #[arg(value_parser = name)]
    bucket: String,
}

/// Options of `bucket create`.
#[derive(Debug, Args)]
pub(crate) struct Create {
    #[command(flatten)]
    name: Name,
    #[command(flatten)]
    settings: Settings,
    /// Succeed also if the bucket is there already (its settings then stay as they are)
    #[arg(long)]
    if_not_exists: bool,
}

/// Options of `bucket update`.
#[derive(Debug, Args)]
pub(crate) struct Update {
    #[command(flatten)]
    name: Name,
    #[command(flatten)]
    settings: Settings,
}

/// Options of `bucket empty`.
#[derive(Debug, Args)]
pub(crate) struct Empty {
    #[command(flatten)]
    name: Name,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

/// Options of `bucket delete`.
#[derive(Debug, Args)]
pub(crate) struct Delete {
    #[command(flatten)]
    name: Name,
    /// Also if it holds objects: they are deleted with it
    #[arg(long)]
    force: bool,
    /// With --force: do not ask
    #[arg(long, short)]
    yes: bool,
}

#[derive(Debug, Args)]
struct Settings {
    /// Who may read and write
    #[arg(long)]
    policy: Option<Policy>,
    /// The largest object allowed, like 100MB; `none` for no limit but the server's
    #[arg(long, value_name = "SIZE", value_parser = limit)]
    max_file_size: Option<u64>,
    /// A content type to allow, like image/png or `image/*`; may be given several times; `any` allows all
    #[arg(long = "mime-type", value_name = "TYPE")]
    mime_types: Vec<String>,
    /// Keep what is overwritten and deleted, or (suspended) only what was kept so far
    #[arg(long)]
    versioning: Option<Versioning>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Versioning {
    /// Every write makes a version
    Enabled,
    /// No more versions; those that are there stay
    Suspended,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Policy {
    /// Only the owner
    Private,
    /// Any signed-in user reads and creates
    Authenticated,
    /// Everybody reads
    Public,
}

impl Settings {
    fn to_json(&self) -> Result<Map<String, Value>, Failure> {
        let mut settings = Map::new();
        if let Some(policy) = self.policy.as_ref().and_then(ValueEnum::to_possible_value) {
            settings.insert("policy".to_owned(), policy.get_name().into());
        }
        if let Some(versioning) = self.versioning.as_ref().and_then(ValueEnum::to_possible_value) {
            settings.insert("versioning".to_owned(), versioning.get_name().into());
        }
        if let Some(limit) = self.max_file_size {
            let value = if limit == 0 { Value::Null } else { limit.into() };
            settings.insert("file_size_limit".to_owned(), value);
        }
        let any = self.mime_types.iter().any(|kind| kind == "any");
        if any && self.mime_types.len() > 1 {
            return Err(Failure::Usage("--mime-type any excludes all others".to_owned()));
        }
        if any {
            settings.insert("allowed_mime_types".to_owned(), Value::Null);
        } else if !self.mime_types.is_empty() {
            settings.insert("allowed_mime_types".to_owned(), self.mime_types.clone().into());
        }
        Ok(settings)
    }
}

/// Runs `aerostore bucket`.
pub(crate) async fn run(command: Bucket, context: &Context<'_>) -> Result<(), Failure> {
    match command {
        Bucket::Create(create) => self::create(&create, context).await,
        Bucket::List => list(context).await,
        Bucket::Show(name) => show(&name.bucket, context).await,
        Bucket::Update(update) => self::update(&update, context).await,
        Bucket::Empty(empty) => {
            let bucket = &empty.name.bucket;
            confirmed(empty.yes, &format!("delete every object in {bucket}"))?;
            context.client.empty_bucket(bucket).await?;
            told(context, bucket, "emptied")
        }
        Bucket::Delete(delete) => {
            let bucket = &delete.name.bucket;
            if delete.force {
                confirmed(delete.yes, &format!("delete {bucket} with every object in it"))?;
            }
            context.client.delete_bucket(bucket, delete.force).await?;
            told(context, bucket, "deleted")
        }
    }
}

/// Shows all buckets; also what `ls` without an address does.
pub(super) async fn list(context: &Context<'_>) -> Result<(), Failure> {
    let buckets = context.client.list_buckets().await?;
    if context.out.is_json() {
        return context.out.json(&buckets);
    }
    if buckets.is_empty() {
        context.out.note("no buckets that you may see");
        return Ok(());
    }
    let mut rows = vec![["NAME", "POLICY", "FILES", "SIZE", "CREATED"].map(str::to_owned).to_vec()];
    rows.extend(buckets.iter().map(|bucket| {
        vec![
            bucket.id.clone(),
            bucket.policy().to_owned(),
            bucket.file_count.map_or("-".to_owned(), |count| count.to_string()),
            bucket.total_size.map_or("-".to_owned(), units::size),
            bucket.created_at.clone().unwrap_or_default(),
        ]
    }));
    context.out.line(&table(&rows, &[2, 3]))
}

async fn create(create: &Create, context: &Context<'_>) -> Result<(), Failure> {
    let bucket = &create.name.bucket;
    match context.client.create_bucket(bucket, create.settings.to_json()?).await {
        Ok(_) => told(context, bucket, "created"),
        Err(failure) if create.if_not_exists && failure.status() == Some(409) => {
            told(context, bucket, "exists")
        }
        Err(failure) => Err(failure),
    }
}

async fn update(update: &Update, context: &Context<'_>) -> Result<(), Failure> {
    let settings = update.settings.to_json()?;
    if settings.is_empty() {
        return Err(Failure::Usage(
            "name what to change: --policy, --max-file-size or --mime-type".to_owned(),
        ));
    }
    context.client.update_bucket(&update.name.bucket, settings).await?;
    told(context, &update.name.bucket, "updated")
}

async fn show(name: &str, context: &Context<'_>) -> Result<(), Failure> {
    let bucket = context.client.bucket(name).await?;
    context.out.result(&bucket, describe)
}

fn describe(bucket: &buckets::Bucket) -> String {
    let extra = |key: &str| bucket.rest.get(key).filter(|value| !value.is_null());
    let limit = extra("file_size_limit").and_then(Value::as_u64).filter(|limit| *limit > 0);
    let types = extra("allowed_mime_types").and_then(Value::as_array).filter(|types| !types.is_empty());
    let types = types.map(|types| types.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "));
    let unknown = || "-".to_owned();
    let rows = [
        ("name", bucket.id.clone()),
        ("policy", bucket.policy().to_owned()),
        (
            "owner",
            bucket
                .owner_id
                .clone()
                .filter(|id| !id.is_empty())
                .unwrap_or_else(|| "none (system bucket)".into()),
        ),
        ("files", bucket.file_count.map_or_else(unknown, |count| count.to_string())),
        ("size", bucket.total_size.map_or_else(unknown, units::size)),
        ("max file size", limit.map_or("no limit".to_owned(), units::size)),
        ("content types", types.unwrap_or_else(|| "any".to_owned())),
        ("created", bucket.created_at.clone().unwrap_or_else(unknown)),
    ];
    table(&rows.map(|(name, value)| vec![name.to_owned(), value]), &[])
}

fn told(context: &Context<'_>, bucket: &str, did: &str) -> Result<(), Failure> {
    context.out.result(&json!({ "bucket": bucket, "result": did }), |_| format!("{bucket}: {did}"))
}

/// A bucket's name, with or without the scheme, and nothing behind it.
pub(super) fn name(text: &str) -> Result<String, String> {
    let remote: crate::address::Remote = text.parse()?;
    if remote.path.is_empty() { Ok(remote.bucket) } else { Err(format!("`{text}` is no bucket's name")) }
}

/// A size limit; 0 stands for none.
fn limit(text: &str) -> Result<u64, String> {
    if text == "none" { Ok(0) } else { units::parse_size(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_send_only_what_was_said() {
        let check = |limit: Option<u64>, types: &[&str], expected: Option<Value>| {
            let mime_types = types.iter().map(|kind| (*kind).to_owned()).collect();
            let settings = Settings { policy: None, max_file_size: limit, mime_types, versioning: None };
            assert_eq!(settings.to_json().ok().map(Value::Object), expected);
        };
        check(None, &[], Some(json!({})));
        check(Some(0), &["any"], Some(json!({ "file_size_limit": null, "allowed_mime_types": null })));
        check(
            Some(5),
            &["image/*"],
            Some(json!({ "file_size_limit": 5, "allowed_mime_types": ["image/*"] })),
        );
        check(None, &["any", "image/*"], None);
    }

    #[test]
    fn a_bucket_name_has_nothing_behind_it() {
        let check = |text: &str, expected: Option<&str>| assert_eq!(name(text).ok().as_deref(), expected);
        check("avatars", Some("avatars"));
        check("aero://avatars/", Some("avatars"));
        check("avatars/x", None);
    }
}
