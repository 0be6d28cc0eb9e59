//! `aerostore policy`: access policies in SQL, added, listed, dropped, and tried out.

use std::io::Read;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::Value;
use server::PolicyStatement;

use super::Context;
use super::explain::{self, Explain};
use crate::failure::Failure;

/// What to do with policies.
#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// Add policies: CREATE POLICY …, also several of them and DROP POLICY, each ended by a semicolon
    Add(Add),
    /// List the policies in force
    #[command(alias = "ls")]
    List,
    /// Drop a policy
    #[command(alias = "rm")]
    Remove(Remove),
    /// Try the policies out as somebody, and say what each of them says
    Test(Explain),
}

/// Options of `policy add`.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Add {
    /// The statements; `-` reads them from stdin
    sql: Option<String>,
    /// A file with the statements
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Options of `policy remove`.
#[derive(Debug, Args)]
pub(crate) struct Remove {
    /// The policy's name
    name: String,
}

/// Runs `aerostore policy`.
pub(crate) async fn run(policy: Policy, context: &Context<'_>) -> Result<(), Failure> {
    match policy {
        Policy::Add(add) => {
            let text = text(add)?;
            match PolicyStatement::script(&text) {
                Ok(statements) if statements.len() > 1 => change_all(&statements, context).await,
                // Of several, none is sent before all are known to be statements; of one, the server says what is wrong.
                Err(fault) if has_several(&text) => Err(Failure::Usage(format!("nothing was sent: {fault}"))),
                Ok(_) | Err(_) => {
                    let changed = context.client.change_policies(&text).await?;
                    context.out.result(&changed, describe_change)
                }
            }
        }
        Policy::List => {
            let policies = context.client.policies().await?;
            if context.out.is_json() {
                return context.out.json(&policies);
            }
            let all: String = policies.iter().map(|policy| ended(field(policy, "definition"))).collect();
            context.out.text(&all)
        }
        Policy::Remove(Remove { name }) => {
            let changed = context.client.drop_policy(&name).await?;
            context.out.result(&changed, describe_change)
        }
        Policy::Test(test) => explain::run(&test, context).await,
    }
}

/// Runs statements in their order, up to the first that fails: those before it stay in force.
async fn change_all(statements: &[(PolicyStatement, String)], context: &Context<'_>) -> Result<(), Failure> {
    let (total, mut done) = (statements.len(), Vec::with_capacity(statements.len()));
    let mut outcome = Ok(());
    for (statement, text) in statements {
        match context.client.change_policies(text).await {
            Ok(changed) if context.out.is_json() => done.push(changed),
            Ok(changed) => {
                context.out.line(&describe_change(&changed))?;
                done.push(changed);
            }
            Err(failure) => {
                let name = match statement {
                    PolicyStatement::Create(policy) => &policy.name,
                    PolicyStatement::Drop { name, .. } => name,
                };
                let (before, after) = (done.len(), total - done.len() - 1);
                let item = format!(
                    "statement {} of {total}, policy {name} ({before} before it done, {after} after it not tried)",
                    before + 1
                );
                context.out.item_failure(&item, &failure);
                let exit_code = failure.exit_code();
                outcome = Err(Failure::Several { failed: 1, total: total as u64, exit_code });
                break;
            }
        }
    }
    if context.out.is_json() {
        context.out.json(&done)?;
    }
    outcome
}

/// Whether a text seems to have more than one statement.
fn has_several(text: &str) -> bool {
    text.trim_end().trim_end_matches(';').contains(';')
}

fn text(add: Add) -> Result<String, Failure> {
    match (add.sql, add.file) {
        (Some(sql), _) if sql == "-" => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("cannot read the statement from stdin")?;
            Ok(text)
        }
        (Some(sql), _) => Ok(sql),
        (None, Some(file)) => {
            let text = std::fs::read_to_string(&file);
            Ok(text.with_context(|| format!("cannot read {}", file.display()))?)
        }
        (None, None) => Err(Failure::Usage("say a statement, or --file".to_owned())),
    }
}

/// A statement with its end, which must not be part of a comment.
fn ended(statement: &str) -> String {
    let statement = statement.trim_end_matches(';');
    let last = statement.lines().last().unwrap_or_default();
    format!("{statement}{};\n", if last.contains("--") { "\n" } else { "" })
}

fn field<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn describe_change(changed: &Value) -> String {
    match (changed.get("created"), field(changed, "dropped")) {
        (Some(created), _) => format!("policy {} is in force", field(created, "name")),
        (None, "") => "there was no such policy".to_owned(),
        (None, name) => format!("policy {name} is gone"),
    }
}
