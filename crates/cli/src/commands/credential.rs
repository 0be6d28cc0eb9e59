//! `aerostore credential`: keys of S3's clients, made, listed, disabled, deleted.

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Context;
use crate::failure::Failure;

/// What to do with keys of S3's clients.
#[derive(Debug, Subcommand)]
pub(crate) enum Credential {
    /// Make a key, and show its secret this once
    Create(Create),
    /// List keys, without their secrets
    #[command(alias = "ls")]
    List,
    /// Have a key accepted no more
    Disable(One),
    /// Have a disabled key accepted again
    Enable(One),
    /// Delete a key
    #[command(alias = "rm")]
    Delete(One),
}

/// Options of `credential create`.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// The user as whom it acts
    #[arg(long, value_name = "UUID", required_unless_present = "role")]
    user: Option<Uuid>,
    /// The role in which it acts: authenticated (where a user is given), service_role or anon
    #[arg(long)]
    role: Option<String>,
    /// What to call it
    #[arg(long, default_value = "")]
    name: String,
}

/// One key.
#[derive(Debug, Args)]
pub(crate) struct One {
    /// The access key id
    access_key_id: String,
}

/// Runs `aerostore credential`.
pub(crate) async fn run(credential: Credential, context: &Context<'_>) -> Result<(), Failure> {
    let Context { client, out } = context;
    match credential {
        Credential::Create(Create { user, role, name }) => {
            let mut new = json!({ "name": name, "user_id": user });
            if let (Some(role), Value::Object(members)) = (role, &mut new) {
                members.insert("role".to_owned(), role.into());
            }
            let made = client.create_credential(&new).await?;
            out.result(&made, |made| {
                let (id, secret) = (field(made, "access_key_id"), field(made, "secret_access_key"));
                format!(
                    "access key id      {id}\nsecret access key  {secret}\nThe secret is shown this once."
                )
            })
        }
        Credential::List => {
            let all = client.credentials().await?;
            if out.is_json() {
                return out.json(&all);
            }
            let lines: String = all.iter().map(|one| format!("{}\n", line(one))).collect();
            out.text(&lines)
        }
        Credential::Disable(One { access_key_id }) => {
            let changed = client.enable_credential(&access_key_id, false).await?;
            out.result(&changed, |changed| format!("{} is disabled", field(changed, "access_key_id")))
        }
        Credential::Enable(One { access_key_id }) => {
            let changed = client.enable_credential(&access_key_id, true).await?;
            out.result(&changed, |changed| format!("{} is enabled", field(changed, "access_key_id")))
        }
        Credential::Delete(One { access_key_id }) => {
            let gone = client.delete_credential(&access_key_id).await?;
            out.result(&gone, |gone| format!("{} is gone", field(gone, "access_key_id")))
        }
    }
}

fn line(one: &Value) -> String {
    let state = if one.get("enabled") == Some(&Value::Bool(true)) { "enabled " } else { "disabled" };
    let used = match field(one, "last_used_at") {
        "" => "never used",
        time => time,
    };
    let (id, role) = (field(one, "access_key_id"), field(one, "role"));
    format!("{id}  {state}  {role:<13}  {:<36}  {used}  {}", field(one, "user_id"), field(one, "name"))
}

fn field<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}
