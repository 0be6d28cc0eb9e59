//! `CREATE POLICY` and `DROP POLICY`, one at a time.

use std::sync::Arc;

use sqlparser::ast::{self, Ident, ObjectName, ObjectNamePart, Owner, Spanned, Statement};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::Token;

use super::{Command, Policy, PolicyStatement, told};
use crate::sql::{Expr, Lowering, OBJECTS, Scope, SqlFault, end, fault, parser};

/// Longest name, in bytes, as PostgreSQL has it.
const MAX_NAME: usize = 63;

/// How the policies of the table itself are named where it has native ones.
const OWN: &str = "~aerostore_";

impl PolicyStatement {
    /// Reads a statement.
    ///
    /// # Errors
    /// [`SqlFault`], with the place, for what is no such statement or has a condition that is not known.
    pub fn parse(sql: &str) -> Result<Self, SqlFault> {
        let mut parser = parser(sql)?;
        let start = parser.peek_token().span.start;
        let known = matches!(
            parser.peek_tokens::<2>(),
            [Token::Word(verb), Token::Word(noun)]
                if matches!(verb.keyword, Keyword::CREATE | Keyword::DROP) && noun.keyword == Keyword::POLICY
        );
        if !known {
            return Err(SqlFault::at(start, "this is neither CREATE POLICY nor DROP POLICY"));
        }
        let statement = parser.parse_statement().map_err(|error| fault(&parser, &error))?;
        let _ends = parser.consume_token(&Token::SemiColon);
        end(&parser)?;
        match statement {
            Statement::CreatePolicy(create) => Policy::of(&create, sql).map(Box::new).map(Self::Create),
            Statement::DropPolicy(drop) => {
                is_objects(&drop.table_name)?;
                Ok(Self::Drop { name: name(&drop.name)?, if_exists: drop.if_exists })
            }
            _ => Err(SqlFault::at(start, "this is neither CREATE POLICY nor DROP POLICY")),
        }
    }
}

impl Policy {
    /// Reads a `CREATE POLICY`.
    ///
    /// # Errors
    /// As [`PolicyStatement::parse`].
    pub fn parse(sql: &str) -> Result<Self, SqlFault> {
        match PolicyStatement::parse(sql)? {
            PolicyStatement::Create(policy) => Ok(*policy),
            PolicyStatement::Drop { .. } => Err(SqlFault::of_text("this is no CREATE POLICY")),
        }
    }

    fn of(create: &ast::CreatePolicy, sql: &str) -> Result<Self, SqlFault> {
        is_objects(&create.table_name)?;
        let command = match create.command {
            None | Some(ast::CreatePolicyCommand::All) => Command::All,
            Some(ast::CreatePolicyCommand::Select) => Command::Select,
            Some(ast::CreatePolicyCommand::Insert) => Command::Insert,
            Some(ast::CreatePolicyCommand::Update) => Command::Update,
            Some(ast::CreatePolicyCommand::Delete) => Command::Delete,
        };
        match (command, &create.using, &create.with_check) {
            (Command::Select | Command::Delete, _, Some(check)) => {
                let reason = format!("WITH CHECK can't be applied to {command}");
                return Err(SqlFault::at(check.span().start, reason).hint("use USING"));
            }
            (Command::Insert, Some(using), _) => {
                return Err(SqlFault::at(using.span().start, "USING can't be applied to INSERT")
                    .hint("use WITH CHECK"));
            }
            (_, None, None) => {
                let reason = "the policy has no condition, and would never grant anything";
                return Err(
                    SqlFault::at(create.name.span.start, reason).hint("add USING (…) or WITH CHECK (…)")
                );
            }
            _ => {}
        }
        let (anon, authenticated) = roles(create)?;
        let scope = Scope::of(&OBJECTS);
        let mut lowering = Lowering::new(&scope);
        let mut condition = |expr: &Option<ast::Expr>| -> Result<Option<Expr>, SqlFault> {
            let Some(expr) = expr else { return Ok(None) };
            let mut condition = lowering.filter(expr)?;
            told::by_the_server(&mut condition).map_err(|fault| {
                let at = SqlFault::at(expr.span().start, fault.reason);
                SqlFault { hint: fault.hint, ..at }
            })?;
            Ok(Some(condition))
        };
        Ok(Self {
            name: name(&create.name)?,
            command,
            permissive: !matches!(create.policy_type, Some(ast::CreatePolicyType::Restrictive)),
            anon,
            authenticated,
            using: condition(&create.using)?,
            check: condition(&create.with_check)?,
            definition: sql.trim().into(),
        })
    }
}

fn name(ident: &Ident) -> Result<Arc<str>, SqlFault> {
    let name = if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() };
    if name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
        let reason = format!("a policy's name has 1 to {MAX_NAME} bytes and no control characters");
        return Err(SqlFault::at(ident.span.start, reason));
    }
    if name.starts_with(OWN) {
        let reason = format!("names that begin with {OWN} are the server's own");
        return Err(SqlFault::at(ident.span.start, reason));
    }
    Ok(name.into())
}

/// Which of anon and authenticated are meant.
fn roles(create: &ast::CreatePolicy) -> Result<(bool, bool), SqlFault> {
    let Some(to) = &create.to else { return Ok((true, true)) };
    let (mut anon, mut authenticated) = (false, false);
    for owner in to {
        let Owner::Ident(ident) = owner else {
            return Err(SqlFault::at(create.name.span.start, format!("the role {owner} is not known")));
        };
        match ident.value.to_ascii_lowercase().as_str() {
            "anon" => anon = true,
            "authenticated" => authenticated = true,
            "public" => (anon, authenticated) = (true, true),
            "service_role" => {
                return Err(SqlFault::at(ident.span.start, "the service role is never subject to policies"));
            }
            other => {
                let reason = format!("the role {other} is not known");
                return Err(SqlFault::at(ident.span.start, reason).hint("anon, authenticated and public are"));
            }
        }
    }
    Ok((anon, authenticated))
}

fn is_objects(table: &ObjectName) -> Result<(), SqlFault> {
    let parts = table.0.iter().filter_map(|part| match part {
        ObjectNamePart::Identifier(ident) => Some(ident.clone()),
        ObjectNamePart::Function(_) => None,
    });
    let parts = parts.collect::<Vec<_>>();
    if parts.len() == table.0.len() && OBJECTS.is_named(&parts) {
        return Ok(());
    }
    let reason = format!("policies are on storage_objects, not on {table}");
    Err(SqlFault::at(table.span().start, reason).hint("write ON storage_objects, or ON storage.objects"))
}
