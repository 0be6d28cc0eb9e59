//! `aerostore lifecycle`: rules that let old files go, made, shown, removed and followed.

use clap::{ArgGroup, Args, Subcommand};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{Context, job};
use crate::failure::Failure;
use crate::output::{plain, table};
use crate::units;

/// What to do with lifecycle rules.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    arg_required_else_help = true,
    group(ArgGroup::new("run").args(["check", "apply"]).required(true))
)]
pub(crate) struct Lifecycle {
    #[command(subcommand)]
    rules: Option<Rules>,
    /// Say what the rules would do now, and do none of it
    #[arg(long)]
    check: bool,
    /// Follow the rules now, and wait until that is done
    #[arg(long)]
    apply: bool,
    /// Follow them although the clock is more than a day ahead of when the server last looked at it
    // NOTE: what conflicts with an argument that is there is not missing, to clap: `requires` alone lets `--check --force` pass.
    #[arg(long, requires = "apply", conflicts_with = "check")]
    force: bool,
}

#[derive(Debug, Subcommand)]
enum Rules {
    /// List the rules, whoever made them
    #[command(alias = "ls")]
    List {
        /// Only those of this bucket
        #[arg(long)]
        bucket: Option<String>,
    },
    /// Make a rule, or put it in place of another one
    Set(Box<Set>),
    /// Remove a rule
    #[command(alias = "rm")]
    Remove {
        /// The rule
        id: Uuid,
    },
}

/// Options of `lifecycle set`.
#[derive(Debug, Args)]
struct Set {
    /// The bucket that it is about
    bucket: String,
    /// The rule that it takes the place of
    #[arg(long)]
    id: Option<Uuid>,
    /// What to call it
    #[arg(long)]
    name: Option<String>,
    /// How the paths begin that it is about: `logs/` for a folder
    #[arg(long)]
    prefix: Option<String>,
    /// A tag that an object must have; several, for all of them
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = tag)]
    tags: Vec<(String, String)>,
    /// Days since an object was written, after which the action is due
    #[arg(long, value_name = "DAYS")]
    max_age_days: Option<u32>,
    /// What is done then: delete, archive or warn
    #[arg(long, requires = "max_age_days")]
    action: Option<String>,
    /// The provider that the bytes of archived objects go to
    #[arg(long, value_name = "NAME")]
    archive_to_provider: Option<String>,
    /// The folder that archived objects are moved to, under their whole paths
    #[arg(long, value_name = "BUCKET/FOLDER", conflicts_with = "archive_to_provider")]
    archive_to: Option<String>,
    /// Days before the action, on which it is told of
    #[arg(long, value_name = "DAYS")]
    warn_before_days: Option<u32>,
    /// Days since a version was replaced or deleted, after which it goes for good
    #[arg(long, value_name = "DAYS")]
    noncurrent_days: Option<u32>,
    /// The newest of such versions that stay at each path
    #[arg(long, value_name = "NUMBER")]
    noncurrent_keep: Option<u32>,
    /// Remove delete markers that hide nothing any more
    #[arg(long)]
    expired_delete_markers: bool,
    /// Days since an upload began, after which it is given up
    #[arg(long, value_name = "DAYS")]
    abort_incomplete_days: Option<u32>,
    /// Keep the rule, and do not follow it
    #[arg(long)]
    disabled: bool,
}

fn tag(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').ok_or("a tag is KEY=VALUE")?;
    Ok((pair.0.to_owned(), pair.1.to_owned()))
}

impl Set {
    fn rule(&self) -> Value {
        let mut rule = Map::new();
        let mut add = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                rule.insert(key.to_owned(), value);
            }
        };
        add("bucket", Some(self.bucket.clone().into()));
        add("enabled", Some((!self.disabled).into()));
        add("name", self.name.clone().map(Value::from));
        add("prefix", self.prefix.clone().map(Value::from));
        let tags: Map<String, Value> =
            self.tags.iter().map(|(key, value)| (key.clone(), Value::from(value.as_str()))).collect();
        add("tags", Some(tags.into()));
        add("max_age_days", self.max_age_days.map(Value::from));
        add("action", self.action.clone().map(Value::from));
        let to = match (&self.archive_to_provider, &self.archive_to) {
            (Some(provider), _) => Some(json!({ "provider": provider })),
            (None, Some(folder)) => {
                let (bucket, prefix) = folder.split_once('/').unwrap_or((folder, ""));
                Some(json!({ "bucket": bucket, "prefix": prefix }))
            }
            (None, None) => None,
        };
        add("archive_to", to);
        add("warn_before_days", self.warn_before_days.map(Value::from));
        add("noncurrent_days", self.noncurrent_days.map(Value::from));
        add("noncurrent_keep", self.noncurrent_keep.map(Value::from));
        add("expired_delete_markers", self.expired_delete_markers.then_some(Value::from(true)));
        add("abort_incomplete_days", self.abort_incomplete_days.map(Value::from));
        rule.into()
    }
}

/// Runs `aerostore lifecycle`.
pub(crate) async fn run(asked: Lifecycle, context: &Context<'_>) -> Result<(), Failure> {
    let Context { client, out } = context;
    match asked.rules {
        Some(Rules::List { bucket }) => {
            let rules = client.lifecycle_rules(bucket.as_deref()).await?;
            out.result(&rules, |rules| describe(rules.as_array().map_or(&[], Vec::as_slice)))
        }
        Some(Rules::Set(set)) => {
            let rule = client.set_lifecycle_rule(set.id, &set.rule()).await?;
            out.result(&rule, |rule| describe(std::slice::from_ref(rule)))
        }
        Some(Rules::Remove { id }) => {
            let gone = client.remove_lifecycle_rule(id).await?;
            out.result(&gone, |_| format!("{id} is removed"))
        }
        None => {
            let started = client.run_lifecycle(!asked.apply, asked.force).await?;
            let ended = job::wait_or_leave(started, context).await?;
            out.result(&ended, report)?;
            job::outcome(&ended)
        }
    }
}

fn text<'a>(of: &'a Value, key: &str) -> &'a str {
    of.get(key).and_then(Value::as_str).unwrap_or("-")
}

fn describe(rules: &[Value]) -> String {
    let mut rows = vec![["ID", "BUCKET", "PREFIX", "NAME", "MADE BY", "WHAT"].map(str::to_owned).to_vec()];
    rows.extend(rules.iter().map(|rule| {
        let prefix = Some(text(rule, "prefix")).filter(|prefix| !prefix.is_empty()).unwrap_or("*");
        let cells =
            [text(rule, "id"), text(rule, "bucket"), prefix, text(rule, "name"), text(rule, "source")];
        let mut row = cells.map(str::to_owned).to_vec();
        row.push(what(rule));
        row
    }));
    table(&rows, &[])
}

/// What a rule does, in a few words.
fn what(rule: &Value) -> String {
    let days = |key: &str| rule.get(key).and_then(Value::as_u64);
    let mut words = Vec::new();
    if rule.get("enabled").and_then(Value::as_bool) == Some(false) {
        words.push("disabled".to_owned());
    }
    let tags = rule.get("tags").and_then(Value::as_object);
    for (key, value) in tags.into_iter().flatten() {
        words.push(format!("tag {}={}", plain(key), plain(value.as_str().unwrap_or("-"))));
    }
    if let Some(age) = days("max_age_days") {
        let to = archive(rule).map_or(String::new(), |to| format!(" to {to}"));
        words.push(format!("{}{to} after {age}d", text(rule, "action")));
    }
    if let Some(before) = days("warn_before_days") {
        words.push(format!("told of {before}d before"));
    }
    if let Some(age) = days("noncurrent_days") {
        let keeps = days("noncurrent_keep").map_or(String::new(), |keep| format!(" but {keep}"));
        words.push(format!("old versions{keeps} after {age}d"));
    }
    if rule.get("expired_delete_markers").and_then(Value::as_bool) == Some(true) {
        words.push("expired delete markers".to_owned());
    }
    if let Some(age) = days("abort_incomplete_days") {
        words.push(format!("unfinished uploads after {age}d"));
    }
    words.join(", ")
}

/// Where a rule archives to.
fn archive(rule: &Value) -> Option<String> {
    let to = |key: &str| rule.pointer(&format!("/archive_to/{key}")).and_then(Value::as_str);
    match (to("provider"), to("bucket")) {
        (Some(provider), _) => Some(format!("the provider {}", plain(provider))),
        (None, Some(bucket)) => Some(format!("{bucket}/{}", plain(to("prefix").unwrap_or_default()))),
        (None, None) => None,
    }
}

/// What a run did, or would do.
fn report(job: &Value) -> String {
    let number =
        |key: &str| job.pointer(&format!("/report/totals/{key}")).and_then(Value::as_u64).unwrap_or(0);
    let names = [
        ("objects deleted", "deleted"),
        ("old versions deleted", "versions"),
        ("delete markers removed", "markers"),
        ("objects to be archived", "archived"),
        ("objects moved to an archive", "moved"),
        ("objects told of", "warned"),
        ("unfinished uploads given up", "aborted"),
        ("failed", "failed"),
    ];
    let mut rows: Vec<Vec<String>> =
        names.iter().map(|(name, key)| vec![(*name).to_owned(), number(key).to_string()]).collect();
    rows.push(vec!["bytes of all that goes".to_owned(), units::size(number("bytes"))]);
    let mut shown = table(&rows, &[1]);
    let done = names.iter().filter(|(_, key)| *key != "failed");
    let done = done.fold(0_u64, |all, (_, key)| all.saturating_add(number(key)));
    for (key, all, what) in [("actions", done, "more"), ("failed", number("failed"), "more that failed")] {
        let listed = job.pointer(&format!("/report/{key}")).and_then(Value::as_array);
        let listed = listed.map(Vec::as_slice).unwrap_or_default();
        for one in listed {
            let error =
                one.get("error").and_then(Value::as_str).map_or(String::new(), |code| format!(": {code}"));
            let (action, bucket, path) = (text(one, "action"), text(one, "bucket"), plain(text(one, "path")));
            let target = one.get("target").and_then(Value::as_str);
            let target = target.map_or(String::new(), |target| format!(" to {}", plain(target)));
            shown.push_str(&format!("\n{action} {bucket}/{path}{target}{error}"));
        }
        // The report names the first hundred.
        let more = all.saturating_sub(listed.len() as u64);
        if more > 0 {
            shown.push_str(&format!("\n… and {more} {what}"));
        }
    }
    if job.pointer("/report/limited").and_then(Value::as_bool) == Some(true) {
        shown.push_str("\nthere is more to do than one run may: the next one goes on");
    }
    match job.pointer("/report/held_until").and_then(Value::as_str) {
        Some(until) => format!(
            "rules wait until {until}, as the clock is more than a day ahead of when the server last looked at it; \
             where it is right, --apply --force does this once, now:\n{shown}"
        ),
        None => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_a_table_and_a_report_names_what_was_done() {
        let rule = json!({
            "id": "r1", "bucket": "logs", "prefix": "", "name": null, "source": "api", "enabled": false,
            "max_age_days": 30, "action": "delete", "noncurrent_days": 3, "noncurrent_keep": 2,
        });
        assert_eq!(
            describe(&[rule]),
            "ID  BUCKET  PREFIX  NAME  MADE BY  WHAT\n\
             r1  logs    *       -     api      disabled, delete after 30d, old versions but 2 after 3d"
        );
        let archives = |to: Value| {
            what(&json!({
                "tags": { "tmp": "yes" }, "max_age_days": 5, "action": "archive", "archive_to": to,
            }))
        };
        assert_eq!(
            archives(json!({ "bucket": "attic", "prefix": "in/" })),
            "tag tmp=yes, archive to attic/in/ after 5d"
        );
        assert_eq!(
            archives(json!({ "provider": "cold" })),
            "tag tmp=yes, archive to the provider cold after 5d"
        );
        let job = json!({ "report": {
            "totals": { "deleted": 2, "warned": 3, "bytes": 2_000_000, "failed": 3 }, "limited": true,
            "actions": [{ "action": "delete", "bucket": "logs", "path": "a" }],
            "failed": [{ "action": "move", "bucket": "logs", "path": "b", "target": "attic/in/b", "error": "OBJECT_EXISTS" }],
        }});
        let shown = report(&job);
        for line in [
            "delete logs/a",
            "… and 4 more",
            "move logs/b to attic/in/b: OBJECT_EXISTS",
            "… and 2 more that failed",
            "bytes of all that goes       2.00 MB",
        ] {
            assert!(shown.lines().any(|shown| shown == line), "{line} in\n{shown}");
        }
    }

    #[test]
    fn what_was_not_said_is_not_sent() {
        let set = Set {
            bucket: "logs".to_owned(),
            id: None,
            name: None,
            prefix: None,
            tags: vec![tag("a=b=c").unwrap()],
            max_age_days: Some(3),
            action: Some("archive".to_owned()),
            archive_to_provider: None,
            archive_to: Some("attic/old/".to_owned()),
            warn_before_days: None,
            noncurrent_days: None,
            noncurrent_keep: None,
            expired_delete_markers: false,
            abort_incomplete_days: None,
            disabled: false,
        };
        let expected = json!({
            "bucket": "logs", "enabled": true, "tags": { "a": "b=c" }, "max_age_days": 3, "action": "archive",
            "archive_to": { "bucket": "attic", "prefix": "old/" },
        });
        assert_eq!(set.rule(), expected);
        assert!(tag("ab").is_err());
    }
}
