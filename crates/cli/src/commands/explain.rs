//! `aerostore explain`: which rules let somebody do something, or not.

use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::Context;
use crate::address::Remote;
use crate::failure::Failure;
use crate::output::table;

/// Options of `explain` and of `policy test`.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// What would be done
    #[arg(value_enum)]
    operation: Operation,
    /// BUCKET/PATH of the object
    address: Remote,
    /// The user who would do it; without one, and without --role, the caller
    #[arg(long, value_name = "UUID")]
    user: Option<Uuid>,
    /// The role: anon, authenticated or service_role
    #[arg(long)]
    role: Option<String>,
    /// What else the user's token says, as a JSON object
    #[arg(long, value_name = "JSON", value_parser = claims)]
    claims: Option<Claims>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Operation {
    #[value(aliases = ["select", "download"])]
    Read,
    #[value(aliases = ["insert", "upload"])]
    Create,
    #[value(alias = "update")]
    Overwrite,
    Delete,
}

#[derive(Debug, Clone)]
struct Claims(Map<String, Value>);

fn claims(text: &str) -> Result<Claims, String> {
    serde_json::from_str(text).map(Claims).map_err(|error| format!("not a JSON object: {error}"))
}

/// Runs `aerostore explain`.
pub(crate) async fn run(explain: &Explain, context: &Context<'_>) -> Result<(), Failure> {
    let object = explain.address.clone().object().map_err(Failure::Usage)?;
    let operation = match explain.operation {
        Operation::Read => "read",
        Operation::Create => "create",
        Operation::Overwrite => "overwrite",
        Operation::Delete => "delete",
    };
    let mut question = json!({ "operation": operation, "bucket": object.bucket, "path": object.path });
    let somebody = explain.user.is_some() || explain.role.is_some() || explain.claims.is_some();
    if let (true, Value::Object(question)) = (somebody, &mut question) {
        let claims = explain.claims.clone().map(|claims| claims.0).unwrap_or_default();
        let caller = json!({ "user_id": explain.user, "role": explain.role, "claims": claims });
        question.insert("as".to_owned(), caller);
    }
    let answer = context.client.explain(&question).await?;
    context.out.result(&answer, describe)?;
    if is_allowed(&answer) { Ok(()) } else { Err(Failure::Refused) }
}

fn is_allowed(answer: &Value) -> bool {
    answer.get("allowed").and_then(Value::as_bool) == Some(true)
}

fn describe(answer: &Value) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let field = |reason: &Value, name: &str| reason.get(name).map(text).unwrap_or_default();
    let reasons = answer.get("because").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let rows: Vec<Vec<String>> = reasons
        .iter()
        .map(|reason| ["value", "effect", "rule", "expression"].map(|name| field(reason, name)).to_vec())
        .collect();
    let verdict = if is_allowed(answer) { "allowed" } else { "refused" };
    format!("{verdict}\n{}", table(&rows, &[]))
}
