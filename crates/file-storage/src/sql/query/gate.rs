//! The gate: from a caller's text to a [`Query`], or a word on why not and where.
//!
//! Everything is refused that is not named here: statements, clauses, tables, functions. The text is bounded before it
//! is parsed, and what is accepted is bounded again, in the form in which engines compute it.

use serde_json::Value as Json;
use sqlparser::ast::{self, SetExpr};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

use super::{Query, READABLE, parameters, select};
use crate::sql::parse::{end, fault, parser};
use crate::sql::scope::Scope;
use crate::sql::{ColumnRef, Expr, Names, Position, Postgres, SqlFault, Table, expression};

/// Most columns that one expression reads.
const MAX_COLUMNS: usize = 100;

/// Reads one `SELECT`, in which `$1` and so on stand for values.
///
/// # Errors
/// [`SqlFault`] for everything else, with its place and what to write instead.
pub fn parse(text: &str, parameters: &[Json]) -> Result<Query, SqlFault> {
    parse_over(READABLE, text, parameters)
}

/// Reads one `SELECT` over these tables, which are among those that can be queried, perhaps with fewer columns.
///
/// # Errors
/// As [`parse`].
pub fn parse_over(
    tables: &'static [&'static Table],
    text: &str,
    parameters: &[Json],
) -> Result<Query, SqlFault> {
    // The bounds stand in `parser`, before anything is looked at.
    let mut parser = parser(text)?;
    let tokens = tokens(text)?;
    begins_with_select(&tokens)?;
    let values = parameters::values(parameters)?;
    all_used(&tokens, values.len())?;
    let parsed = parser.parse_query().map_err(|error| fault(&parser, &error))?;
    let _ended = parser.consume_token(&Token::SemiColon);
    end(&parser)?;

    let select = one_select(&parsed, &tokens)?;
    let mut scope = Scope { tables, sources: Vec::new(), parameters: values };
    let query = select::lower(select, &parsed, &mut scope)?;
    query.exprs().try_for_each(can_be_computed)?;
    Ok(query)
}

fn tokens(text: &str) -> Result<Vec<TokenWithSpan>, SqlFault> {
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, text).tokenize_with_location();
    let mut tokens = tokens.map_err(|error| SqlFault::at(error.location, error.message))?;
    tokens.retain(|token| !matches!(token.token, Token::Whitespace(_)));
    Ok(tokens)
}

fn begins_with_select(tokens: &[TokenWithSpan]) -> Result<(), SqlFault> {
    let Some(first) = tokens.first().filter(|first| first.token != Token::EOF) else {
        return Err(SqlFault::of_text("there is no query").hint("write SELECT … FROM storage_objects"));
    };
    match &first.token {
        Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case("select") => {
            Ok(())
        }
        Token::Word(word) if word.value.eq_ignore_ascii_case("with") => {
            Err(SqlFault::at(first.span.start, "WITH is not known").hint("write one SELECT"))
        }
        other => {
            let reason = format!("a query begins with SELECT, and not with '{other}'");
            Err(SqlFault::at(first.span.start, reason).hint("queries only read"))
        }
    }
}

/// Refuses a parameter that nothing stands for or that stands for nothing.
fn all_used(tokens: &[TokenWithSpan], count: usize) -> Result<(), SqlFault> {
    let mut used = vec![false; count];
    for token in tokens {
        let Token::Placeholder(name) = &token.token else { continue };
        let number = name.strip_prefix('$').and_then(|number| number.parse::<usize>().ok());
        match number.and_then(|number| used.get_mut(number.checked_sub(1)?)) {
            Some(used) => *used = true,
            None => {
                let reason = format!("there is no parameter {name}");
                return Err(SqlFault::at(token.span.start, reason).hint(format!("{count} were sent")));
            }
        }
    }
    match used.iter().position(|used| !used) {
        None => Ok(()),
        Some(at) => Err(SqlFault::of_text(format!("the parameter ${} is not used", at.saturating_add(1)))),
    }
}

/// The one plain `SELECT` of a query.
fn one_select<'q>(query: &'q ast::Query, tokens: &[TokenWithSpan]) -> Result<&'q ast::Select, SqlFault> {
    let refuse = |words: &[&str], reason: &str| SqlFault {
        position: place(tokens, words),
        reason: reason.to_owned(),
        hint: None,
    };
    if query.with.is_some() {
        return Err(refuse(&["with"], "WITH is not known"));
    }
    if !query.locks.is_empty() || query.for_clause.is_some() {
        return Err(refuse(&["for"], "a query locks nothing: FOR is not known"));
    }
    if query.fetch.is_some() {
        return Err(refuse(&["fetch"], "FETCH is not known").hint("write LIMIT"));
    }
    if query.settings.is_some() || query.format_clause.is_some() || !query.pipe_operators.is_empty() {
        return Err(refuse(&["settings", "format"], "a query has no clauses of other databases"));
    }
    let select = match &*query.body {
        SetExpr::Select(select) => select,
        SetExpr::SetOperation { .. } => {
            return Err(refuse(
                &["union", "intersect", "except", "minus"],
                "only one SELECT at a time is known",
            )
            .hint("send a query for each"));
        }
        _ => return Err(refuse(&["select"], "only a plain SELECT is known")),
    };
    if select.into.is_some() {
        return Err(refuse(&["into"], "a query only reads: INTO is not known"));
    }
    if !select.named_window.is_empty() || select.qualify.is_some() {
        return Err(refuse(&["window", "qualify"], "window functions are not known"));
    }
    let plain = select.optimizer_hints.is_empty()
        && select.select_modifiers.is_none()
        && select.top.is_none()
        && select.exclude.is_none()
        && select.lateral_views.is_empty()
        && select.prewhere.is_none()
        && select.connect_by.is_empty()
        && select.cluster_by.is_empty()
        && select.distribute_by.is_empty()
        && select.sort_by.is_empty()
        && select.value_table_mode.is_none()
        && matches!(select.flavor, ast::SelectFlavor::Standard);
    if plain { Ok(select) } else { Err(refuse(&["select"], "a query has no clauses of other databases")) }
}

/// Where one of these words stands first, outside of quotes.
fn place(tokens: &[TokenWithSpan], words: &[&str]) -> Option<Position> {
    let is_word = |token: &&TokenWithSpan| match &token.token {
        Token::Word(word) => {
            word.quote_style.is_none() && words.iter().any(|wanted| word.value.eq_ignore_ascii_case(wanted))
        }
        _ => false,
    };
    let start: Location = tokens.iter().find(is_word)?.span.start;
    Some(start.into())
}

/// Refuses what could not be read again in the form in which it is computed where an engine has no operator of its
/// own for it: types and parentheses make that longer and deeper than what was written.
fn can_be_computed(expr: &Expr) -> Result<(), SqlFault> {
    let written = Postgres { names: Names::Public, column: Some(&ColumnRef::numbered) }.render(expr);
    let too_large = || SqlFault::of_text("an expression is too long or nested too deeply");
    let again = expression(&written, numbered()).map_err(|_| too_large())?;
    if again.columns().len() > MAX_COLUMNS || again.ty() != expr.ty() {
        return Err(too_large());
    }
    Ok(())
}

fn numbered() -> &'static Scope {
    static SCOPE: std::sync::LazyLock<Scope> = std::sync::LazyLock::new(Scope::numbered);
    &SCOPE
}
