//! `aerostore webhook`: receivers of events, made, listed, changed, tried out, deleted.

use clap::{Args, Subcommand};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{Context, confirmed};
use crate::failure::Failure;

/// What to do with webhooks.
#[derive(Debug, Subcommand)]
pub(crate) enum Webhook {
    /// Make a webhook, and show its secret this once
    Create(Create),
    /// List webhooks, without their secrets
    #[command(alias = "ls")]
    List,
    /// Show where a webhook stands, and how its last attempts went
    Show(One),
    /// Change a webhook, from its next message on
    Set(Set),
    /// Give a webhook another secret; the one before signs as well for 24 hours
    Rotate(One),
    /// Delete a webhook
    #[command(alias = "rm")]
    Delete(Delete),
    /// Send a message that tells of nothing, and show what the receiver says
    Test(One),
}

/// Options of `webhook create`.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Where messages go
    // IMPORTANT: a name of its own. By that of the global `--url`, the command would talk to the receiver, with the service key.
    #[arg(id = "receiver", value_name = "URL")]
    receiver: String,
    /// Only events of this kind, as storage.object.created; may be repeated
    #[arg(long = "event", value_name = "KIND")]
    events: Vec<String>,
    /// Only events of this bucket
    #[arg(long, value_name = "NAME")]
    bucket: Option<String>,
    /// Only events of objects whose paths start so
    #[arg(long, value_name = "PATH")]
    prefix: Option<String>,
    /// Begin after the event of this number, and not with what happens from now on
    #[arg(long, value_name = "NUMBER")]
    from: Option<u64>,
    /// Send nothing until it is enabled
    #[arg(long)]
    disabled: bool,
}

/// Options of `webhook set`.
#[derive(Debug, Args)]
pub(crate) struct Set {
    /// The webhook
    id: Uuid,
    /// Where messages go
    #[arg(long, value_name = "URL")]
    receiver: Option<String>,
    /// Only events of this kind; may be repeated
    #[arg(long = "event", value_name = "KIND", conflicts_with = "all_events")]
    events: Vec<String>,
    /// Events of all kinds
    #[arg(long)]
    all_events: bool,
    /// Only events of this bucket
    #[arg(long, value_name = "NAME", conflicts_with = "all_buckets")]
    bucket: Option<String>,
    /// Events of all buckets
    #[arg(long)]
    all_buckets: bool,
    /// Only events of objects whose paths start so; empty for all
    #[arg(long, value_name = "PATH")]
    prefix: Option<String>,
    /// Go on sending, from where it stood
    #[arg(long, conflicts_with = "disable")]
    enable: bool,
    /// Send nothing any more
    #[arg(long)]
    disable: bool,
}

/// One webhook.
#[derive(Debug, Args)]
pub(crate) struct One {
    /// The webhook
    id: Uuid,
}

/// Options of `webhook delete`.
#[derive(Debug, Args)]
pub(crate) struct Delete {
    /// The webhook
    id: Uuid,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

impl Create {
    fn body(self) -> Value {
        let mut members = Map::new();
        members.insert("url".to_owned(), self.receiver.into());
        members.insert("events".to_owned(), self.events.into());
        members.insert("enabled".to_owned(), (!self.disabled).into());
        let others = [
            ("bucket", self.bucket.map(Value::from)),
            ("prefix", self.prefix.map(Value::from)),
            ("from", self.from.map(Value::from)),
        ];
        members.extend(others.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
        Value::Object(members)
    }
}

impl Set {
    fn body(self) -> Result<Value, Failure> {
        let all = self.all_events || !self.events.is_empty();
        let enabled = (self.enable || self.disable).then_some(self.enable);
        let bucket = if self.all_buckets { Some(Value::Null) } else { self.bucket.map(Value::from) };
        let members: Map<_, _> = [
            ("url", self.receiver.map(Value::from)),
            ("events", all.then(|| Value::from(self.events))),
            ("bucket", bucket),
            ("prefix", self.prefix.map(Value::from)),
            ("enabled", enabled.map(Value::from)),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect();
        if members.is_empty() {
            return Err(Failure::Usage("say what is to change".to_owned()));
        }
        Ok(Value::Object(members))
    }
}

/// Runs `aerostore webhook`.
pub(crate) async fn run(webhook: Webhook, context: &Context<'_>) -> Result<(), Failure> {
    let Context { client, out } = context;
    match webhook {
        Webhook::Create(create) => out.result(&client.create_webhook(&create.body()).await?, with_secret),
        Webhook::List => {
            let all = client.webhooks().await?;
            if out.is_json() {
                return out.json(&all);
            }
            let lines: String = all.iter().map(|one| format!("{}\n", line(one))).collect();
            out.text(&lines)
        }
        Webhook::Show(One { id }) => out.result(&client.webhook(id).await?, details),
        Webhook::Set(set) => {
            let id = set.id;
            out.result(&client.change_webhook(id, &set.body()?).await?, details)
        }
        Webhook::Rotate(One { id }) => out.result(&client.rotate_webhook(id).await?, with_secret),
        Webhook::Delete(Delete { id, yes }) => {
            confirmed(yes, &format!("Delete the webhook {id}, and forget where it stood"))?;
            out.result(&client.delete_webhook(id).await?, |gone| format!("{} is deleted", field(gone, "id")))
        }
        Webhook::Test(One { id }) => {
            let told = client.test_webhook(id).await?;
            out.result(&told, tested)?;
            match told.get("delivered") {
                Some(Value::Bool(true)) => Ok(()),
                _ => Err(Failure::Other(anyhow::anyhow!("the receiver did not take the message"))),
            }
        }
    }
}

fn with_secret(made: &Value) -> String {
    let (id, secret) = (field(made, "id"), field(made, "secret"));
    format!("webhook  {id}\nsecret   {secret}\nThe secret is shown this once.")
}

fn line(one: &Value) -> String {
    let backlog = one.get("backlog").and_then(Value::as_u64).unwrap_or_default();
    let (id, status, url) = (field(one, "id"), field(one, "status"), field(one, "url"));
    format!("{id}  {status:<8}  {backlog:>8} behind  {url}")
}

/// Every field that there is, one a line.
fn details(one: &Value) -> String {
    let names = [
        "id",
        "url",
        "events",
        "bucket",
        "prefix",
        "status",
        "position",
        "backlog",
        "attempts",
        "next_attempt_at",
        "last_success_at",
        "last_error",
        "last_error_at",
        "previous_secret_until",
        "created_at",
    ];
    let lines = names.iter().filter_map(|name| {
        let text = match one.get(*name)? {
            Value::Null => return None,
            Value::String(text) => text.clone(),
            Value::Array(words) => words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
            other => other.to_string(),
        };
        (!text.is_empty()).then(|| format!("{:<21}  {text}", name.replace('_', " ")))
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn tested(told: &Value) -> String {
    match told.get("status").and_then(Value::as_u64) {
        Some(status) => {
            let took = told.get("duration_ms").and_then(Value::as_u64).unwrap_or_default();
            format!("the receiver answered {status} within {took} ms\n{}", field(told, "answer"))
        }
        None => field(told, "error").to_owned(),
    }
}

fn field<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}
