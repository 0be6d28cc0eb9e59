//! From text to the parser's tree: bounded before a single node is made.

use sqlparser::ast;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use super::{Expr, Position, Scope, SqlFault, lower};

/// Longest text, in bytes.
pub const MAX_TEXT: usize = 16 * 1024;

/// Most tokens. The parser builds chains of operators as deep trees, so that this bounds their depth.
const MAX_TOKENS: usize = 2000;

/// Deepest nesting that the parser follows.
const MAX_NESTING: usize = 40;

/// A parser at the beginning of a text.
///
/// # Errors
/// [`SqlFault`] for a text that is too long, or not made of PostgreSQL's tokens.
pub fn parser(text: &str) -> Result<Parser<'static>, SqlFault> {
    static DIALECT: PostgreSqlDialect = PostgreSqlDialect {};
    if text.len() > MAX_TEXT {
        return Err(SqlFault::of_text(format!("the text is longer than {MAX_TEXT} bytes")));
    }
    if text.contains('\0') {
        return Err(SqlFault::of_text("the text holds a NUL character"));
    }
    let tokens = Tokenizer::new(&DIALECT, text)
        .tokenize_with_location()
        .map_err(|error| SqlFault::at(error.location, error.message))?;
    let mut counted = tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_)));
    if let Some(beyond) = counted.nth(MAX_TOKENS) {
        let reason = format!("the text has more than {MAX_TOKENS} words and signs");
        return Err(SqlFault::at(beyond.span.start, reason));
    }
    Ok(Parser::new(&DIALECT).with_recursion_limit(MAX_NESTING).with_tokens_with_locations(tokens))
}

/// An expression that stands alone.
///
/// # Errors
/// [`SqlFault`] for what is no expression, or none of those that are known.
pub fn expression(text: &str, scope: &Scope) -> Result<Expr, SqlFault> {
    let mut parser = parser(text)?;
    let parsed = parser.parse_expr().map_err(|error| fault(&parser, &error))?;
    end(&parser)?;
    lower(&parsed, scope)
}

/// Refuses what follows the end of a statement or expression.
pub(crate) fn end(parser: &Parser<'_>) -> Result<(), SqlFault> {
    let next = parser.peek_token();
    match next.token {
        Token::EOF => Ok(()),
        _ => Err(SqlFault::at(next.span.start, format!("unexpected {}", shown(&next)))),
    }
}

/// The parser's own error, with its place.
pub(crate) fn fault(parser: &Parser<'_>, error: &ParserError) -> SqlFault {
    match error {
        ParserError::RecursionLimitExceeded => {
            let fault = SqlFault::of_text("the text is nested too deeply");
            SqlFault { position: here(parser), ..fault }
        }
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => {
            let (reason, position) = located(message);
            let position = position.or_else(|| here(parser));
            SqlFault { position, reason: reason.to_owned(), hint: None }
        }
    }
}

/// Where the parser is; at the end of a text, nowhere.
fn here(parser: &Parser<'_>) -> Option<Position> {
    let start = parser.peek_token().span.start;
    (start.line > 0).then(|| start.into())
}

/// Splits the place off a message that ends in ` at Line: 1, Column: 5`.
fn located(message: &str) -> (&str, Option<Position>) {
    let Some((reason, place)) = message.rsplit_once(" at Line: ") else { return (message, None) };
    let Some((line, column)) = place.split_once(", Column: ") else { return (message, None) };
    match (line.parse(), column.trim().parse()) {
        (Ok(line), Ok(column)) => (reason, Some(Position { line, column })),
        _ => (message, None),
    }
}

fn shown(token: &TokenWithSpan) -> String {
    match &token.token {
        Token::SemiColon => "';': one statement at a time".to_owned(),
        token => format!("'{token}'"),
    }
}

/// Where an expression begins.
pub(super) fn position(expr: &ast::Expr) -> Option<Position> {
    use ast::Spanned;
    let start = expr.span().start;
    (start.line > 0).then(|| start.into())
}
