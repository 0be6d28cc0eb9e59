//! `aerostore quota`: how much a user, a bucket, a folder or the whole server may hold.

use clap::{Args, Subcommand};
use serde_json::Value;
use uuid::Uuid;

use super::{Context, bucket};
use crate::address::Remote;
use crate::client::QuotaOf;
use crate::failure::Failure;
use crate::output::table;
use crate::units::{parse_size, size};

/// What to do with quotas.
#[derive(Debug, Subcommand)]
pub(crate) enum Quota {
    /// Show a quota, and what is in use of it
    Get(Of),
    /// Set a quota; it may be less than what is in use
    Set(Set),
    /// Take a quota off
    #[command(alias = "remove")]
    Rm(Of),
    /// List the quotas that are set
    #[command(alias = "ls")]
    List,
}

/// What a quota is for.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Of {
    /// All that a user owns
    #[arg(long, value_name = "UUID")]
    user: Option<Uuid>,
    /// All that is in a bucket
    #[arg(long, value_name = "NAME", value_parser = whole_bucket)]
    bucket: Option<String>,
    /// All that is in a folder of a bucket
    #[arg(long, value_name = "BUCKET/PATH")]
    folder: Option<Remote>,
    /// All that is stored
    #[arg(long)]
    global: bool,
}

/// Options of `quota set`.
#[derive(Debug, Args)]
pub(crate) struct Set {
    #[command(flatten)]
    of: Of,
    /// The quota, as 500MB or 2GiB
    #[arg(value_parser = parse_size)]
    size: u64,
}

/// A bucket's name. Who names more of it means a folder.
fn whole_bucket(text: &str) -> Result<String, String> {
    bucket::name(text).map_err(|wrong| format!("{wrong}; say --folder for a folder in it"))
}

impl Of {
    fn scope(self) -> Result<QuotaOf, Failure> {
        let usage = |text: &str| Err(Failure::Usage(text.to_owned()));
        match self {
            Self { user: Some(user), .. } => Ok(QuotaOf::User(user)),
            Self { bucket: Some(bucket), .. } => Ok(QuotaOf::Folder(bucket)),
            Self { folder: Some(folder), .. } if folder.path.is_empty() => {
                usage("a folder is BUCKET/PATH; say --bucket for all of a bucket")
            }
            Self { folder: Some(folder), .. } => Ok(QuotaOf::Folder(folder.name())),
            Self { global: true, .. } => Ok(QuotaOf::Global),
            Self { global: false, .. } => usage("say --user, --bucket, --folder or --global"),
        }
    }
}

/// Runs `aerostore quota`.
pub(crate) async fn run(quota: Quota, context: &Context<'_>) -> Result<(), Failure> {
    let Context { client, out } = context;
    let shown = match quota {
        Quota::Get(of) => client.quota(&of.scope()?).await?,
        Quota::Set(Set { of, size }) => client.set_quota(&of.scope()?, size).await?,
        Quota::Rm(of) => client.remove_quota(&of.scope()?).await?,
        Quota::List => client.quotas().await?,
    };
    out.result(&shown, |shown| match shown {
        Value::Array(all) => describe(all),
        one => describe(std::slice::from_ref(one)),
    })
}

fn describe(quotas: &[Value]) -> String {
    let mut rows = vec![["SCOPE", "NAME", "USED", "QUOTA", "%"].map(str::to_owned).to_vec()];
    rows.extend(quotas.iter().map(|quota| {
        let word = |key: &str| match quota.get(key).and_then(Value::as_str) {
            None | Some("") => "-".to_owned(),
            Some(word) => word.to_owned(),
        };
        let number = |key: &str| quota.get(key).and_then(Value::as_u64);
        let (used, limit) = (number("used_bytes").unwrap_or(0), number("quota_bytes"));
        let percent = limit.and_then(|limit| used.saturating_mul(100).checked_div(limit));
        vec![
            word("scope"),
            word("name"),
            size(used),
            limit.map_or("-".to_owned(), size),
            percent.map_or("-".to_owned(), |percent| percent.to_string()),
        ]
    }));
    table(&rows, &[2, 3, 4])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn quotas_are_a_table() {
        let quotas = [
            json!({ "scope": "global", "name": "", "used_bytes": 5, "quota_bytes": 10 }),
            json!({ "scope": "folder", "name": "box/in", "used_bytes": 2_000_000, "quota_bytes": null }),
        ];
        let expected = "SCOPE   NAME       USED  QUOTA   %\n\
                        global  -           5 B   10 B  50\n\
                        folder  box/in  2.00 MB      -   -";
        assert_eq!(describe(&quotas), expected);
    }

    #[test]
    fn a_folder_is_a_bucket_and_a_path() {
        let none = || Of { user: None, bucket: None, folder: None, global: false };
        let folder = |text: &str| -> Result<QuotaOf, String> {
            let folder = Some(text.parse()?);
            Of { folder, ..none() }.scope().map_err(|failure| failure.to_string())
        };
        assert_eq!(folder("aero://box/in").unwrap(), QuotaOf::Folder("box/in".to_owned()));
        assert!(folder("box").is_err() && folder("box/").is_err());
        // As part of a route, they would name something else.
        for elsewhere in ["box/../logs", "box/in/..", "../user-quotas/x", "box/./in"] {
            assert!(folder(elsewhere).is_err() && whole_bucket(elsewhere).is_err(), "{elsewhere}");
        }
        assert!(whole_bucket("..").is_err() && whole_bucket("box").is_ok());
    }
}
