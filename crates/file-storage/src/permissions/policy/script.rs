//! Several statements in one text, as in a file: each on its own, and where it stands.

use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::tokenizer::{Token, Tokenizer};

use super::PolicyStatement;
use crate::sql::{Position, SqlFault};

/// Longest text, in bytes.
const MAX_TEXT: usize = 1024 * 1024;

impl PolicyStatement {
    /// The statements of a text, all of which are read before the first is given. Each has blanks before it, as many as put
    /// it where it stands in the text: what is said of its place, is said of the text.
    ///
    /// # Errors
    /// As [`PolicyStatement::parse`], of the first that is none.
    pub fn script(text: &str) -> Result<Vec<(Self, String)>, SqlFault> {
        if text.len() > MAX_TEXT {
            return Err(SqlFault::of_text(format!("the text is longer than {MAX_TEXT} bytes")));
        }
        let tokens = Tokenizer::new(&PostgreSqlDialect {}, text)
            .tokenize_with_location()
            .map_err(|error| SqlFault::at(error.location, error.message))?;
        let mut statements = Vec::new();
        // Where the statement begins that is being read.
        let mut start: Option<Position> = None;
        for token in tokens {
            let here = Position::from(token.span.start);
            match (token.token, start) {
                (Token::Whitespace(_) | Token::SemiColon, None) => {}
                (Token::SemiColon, Some(from)) => {
                    statements.push(statement(text, from, Some(here))?);
                    start = None;
                }
                (_, None) => start = Some(here),
                (_, Some(_)) => {}
            }
        }
        if let Some(from) = start {
            statements.push(statement(text, from, None)?);
        }
        Ok(statements)
    }
}

/// What stands between two places, at its own.
fn statement(
    text: &str,
    from: Position,
    to: Option<Position>,
) -> Result<(PolicyStatement, String), SqlFault> {
    let mut placed = "\n".repeat(usize::try_from(from.line - 1).unwrap_or(0));
    placed.push_str(&" ".repeat(usize::try_from(from.column - 1).unwrap_or(0)));
    let (mut line, mut column) = (1, 1);
    for char in text.chars() {
        let at = (line, column);
        if to.is_some_and(|to| at >= (to.line, to.column)) {
            break;
        }
        if at >= (from.line, from.column) {
            placed.push(char);
        }
        (line, column) = if char == '\n' { (line + 1, 1) } else { (line, column + 1) };
    }
    Ok((PolicyStatement::parse(&placed)?, placed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_where_its_statements_end() {
        let text = "-- two; of them\nCREATE POLICY \"a;b\" ON storage_objects USING (name = 'é;'); ;\n  DROP POLICY c ON \
                    storage_objects -- the last; one";
        let statements = PolicyStatement::script(text).unwrap();
        let names: Vec<_> = statements
            .iter()
            .map(|(statement, _)| match statement {
                PolicyStatement::Create(policy) => (policy.name.to_string(), policy.definition.to_string()),
                PolicyStatement::Drop { name, .. } => (name.to_string(), String::new()),
            })
            .collect();
        let first = "CREATE POLICY \"a;b\" ON storage_objects USING (name = 'é;')";
        assert_eq!(names, [("a;b".to_owned(), first.to_owned()), ("c".to_owned(), String::new())]);
        assert!(PolicyStatement::script("").unwrap().is_empty());
        assert!(PolicyStatement::script(" -- nothing;\n;").unwrap().is_empty());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place_in_the_whole_text() {
        let text = "DROP POLICY a ON storage_objects;\n DROP POLICY b ON other;";
        let fault = PolicyStatement::script(text).unwrap_err();
        assert_eq!(fault.position, Some(Position { line: 2, column: 19 }), "{fault}");
        PolicyStatement::script("DROP POLICY a ON storage_objects; 'unclosed").unwrap_err();
    }
}
