//! `LIKE`: PostgreSQL's own matching (`like_match.c`), on characters, with its errors.

use std::borrow::Cow;

use super::{EvalError, Outcome};
use crate::sql::Value;

pub(super) fn evaluate(
    (negated, fold_case): (bool, bool),
    text: &Value<'_>,
    pattern: &Value<'_>,
    escape: Option<char>,
) -> Outcome<'static> {
    let (Value::Text(text), Value::Text(pattern)) = (text, pattern) else { return Ok(Value::Null) };
    let pattern = normal(pattern, escape);
    let fold = |text: &str| -> Vec<char> {
        text.chars().map(|char| if fold_case { char.to_ascii_lowercase() } else { char }).collect()
    };
    let matched = matches(&fold(text), &fold(&pattern))? == Match::Yes;
    Ok(Value::Bool(matched != negated))
}

/// The pattern with a backslash as its escape, whatever it was.
fn normal(pattern: &str, escape: Option<char>) -> Cow<'_, str> {
    match escape {
        Some('\\') => Cow::Borrowed(pattern),
        None => Cow::Owned(pattern.replace('\\', "\\\\")),
        Some(sign) => {
            let mut normal = String::with_capacity(pattern.len());
            let mut after_escape = false;
            for char in pattern.chars() {
                let escapes = char == sign && !after_escape;
                match char {
                    _ if escapes => normal.push('\\'),
                    '\\' if after_escape => normal.push('\\'),
                    '\\' => normal.push_str("\\\\"),
                    other => normal.push(other),
                }
                after_escape = escapes;
            }
            Cow::Owned(normal)
        }
    }
}

#[derive(PartialEq, Eq)]
enum Match {
    Yes,
    No,
    /// No, and not with less of the text either: this keeps patterns with many `%` from taking long.
    Never,
}

fn matches(mut text: &[char], mut pattern: &[char]) -> Result<Match, EvalError> {
    while let ([char, rest @ ..], [sign, signs @ ..]) = (text, pattern) {
        match sign {
            '\\' => {
                let [literal, after @ ..] = signs else { return Err(unfinished()) };
                if literal != char {
                    return Ok(Match::No);
                }
                (text, pattern) = (rest, after);
            }
            '%' => return after_any(text, signs),
            '_' => (text, pattern) = (rest, signs),
            literal if literal == char => (text, pattern) = (rest, signs),
            _ => return Ok(Match::No),
        }
    }
    if !text.is_empty() {
        return Ok(Match::No);
    }
    Ok(if pattern.iter().all(|sign| *sign == '%') { Match::Yes } else { Match::Never })
}

/// Matches what follows a `%`.
fn after_any(mut text: &[char], mut pattern: &[char]) -> Result<Match, EvalError> {
    loop {
        match (pattern, text) {
            (['%', signs @ ..], _) => pattern = signs,
            (['_', ..], []) => return Ok(Match::Never),
            (['_', signs @ ..], [_, rest @ ..]) => (text, pattern) = (rest, signs),
            _ => break,
        }
    }
    let first = match pattern {
        [] => return Ok(Match::Yes),
        ['\\'] => return Err(unfinished()),
        ['\\', literal, ..] => literal,
        [literal, ..] => literal,
    };
    while let [char, rest @ ..] = text {
        if char == first {
            let matched = matches(text, pattern)?;
            if matched != Match::No {
                return Ok(matched);
            }
        }
        text = rest;
    }
    Ok(Match::Never)
}

fn unfinished() -> EvalError {
    EvalError::new("LIKE pattern must not end with escape character")
}
