//! The names of columns in an answer: as given, or as PostgreSQL makes them up.

use sqlparser::ast::{self, ObjectNamePart};

use super::Output;
use crate::sql::SqlFault;
use crate::sql::scope::folded;

/// What PostgreSQL calls what has no name.
const NAMELESS: &str = "?column?";

/// The name of an expression without alias.
pub(super) fn of(expr: &ast::Expr) -> String {
    named(expr).unwrap_or_else(|| NAMELESS.to_owned())
}

fn named(expr: &ast::Expr) -> Option<String> {
    use ast::Expr as A;
    Some(match expr {
        A::Identifier(ident) => folded(ident),
        A::CompoundIdentifier(parts) => folded(parts.last()?),
        A::Nested(inner) => return named(inner),
        A::CompoundFieldAccess { root, .. } => return named(root),
        A::Function(function) => match function.name.0.last()? {
            ObjectNamePart::Identifier(ident) => folded(ident),
            ObjectNamePart::Function(_) => return None,
        },
        A::Cast { expr, data_type, .. } => {
            named(expr).unwrap_or_else(|| data_type.to_string().to_ascii_lowercase())
        }
        A::Case { else_result, .. } => {
            let last = else_result
                .as_deref()
                .filter(|last| matches!(last, A::Identifier(_) | A::CompoundIdentifier(_)));
            return last.and_then(named).or_else(|| Some("case".to_owned()));
        }
        A::Array(_) => "array".to_owned(),
        A::TypedString(typed) => typed.data_type.to_string().to_ascii_lowercase(),
        A::Interval(_) => "interval".to_owned(),
        A::Value(value) if matches!(value.value, ast::Value::Boolean(_)) => "bool".to_owned(),
        _ => return None,
    })
}

/// Refuses two columns of one name: an answer's rows are objects.
pub(super) fn check_unique(outputs: &[Output]) -> Result<(), SqlFault> {
    let mut seen = std::collections::HashSet::new();
    match outputs.iter().find(|output| !seen.insert(output.name.as_str())) {
        None => Ok(()),
        Some(output) => {
            let reason = format!("two columns of the answer have the name \"{}\"", output.name);
            Err(SqlFault::of_text(reason).hint("give one of them another by AS"))
        }
    }
}
