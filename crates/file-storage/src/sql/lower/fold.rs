//! What an expression is before any row: PostgreSQL computes constants before it looks at rows, and so an error in
//! one is found here, and what can't be reached never fails.

use super::literal;
use crate::sql::eval::{Asker, EvalError, NoCells};
use crate::sql::{Comparison, Expr, Function, Type, Value};

/// The expression, computed as far as it depends on nothing.
///
/// # Errors
/// What computing it fails with, as it always would.
pub(super) fn fold(expr: Expr) -> Result<Expr, EvalError> {
    let ty = expr.ty();
    match expr {
        Expr::And(all) => Ok(connected(all, false)),
        Expr::Or(all) => Ok(connected(all, true)),
        Expr::Coalesce(all, ty) => Ok(coalesced(all, ty)),
        // Nothing equals NULL: the first it is, and the other is not looked at.
        Expr::NullIf(left, right, _) if is_null(&left) || is_null(&right) => Ok(*left),
        Expr::Literal(..) | Expr::Column(_) | Expr::Caller(_) | Expr::Now => Ok(expr),
        Expr::Case(branches, otherwise, ty) => Ok(chosen(branches, otherwise, ty)),
        _ if is_strict(&expr) && expr.children().into_iter().any(is_null) => Ok(literal(Value::Null, ty)),
        _ if !depends_on_zone(&expr) && expr.children().into_iter().all(is_literal) => {
            let value = expr.evaluate(&Asker::nobody(), &NoCells)?.into_owned();
            Ok(literal(value, ty))
        }
        _ => Ok(expr),
    }
}

/// A condition of which only counts whether it holds: then NULL is as good as false, and nothing is asked beside either.
pub(super) fn filter(condition: Expr) -> Expr {
    match condition {
        Expr::And(all) => {
            let all: Vec<_> = all.into_iter().map(filter).collect();
            match all.iter().any(is_null) {
                true => literal(Value::Bool(false), Type::Bool),
                false => connected(all, false),
            }
        }
        Expr::Or(all) => connected(all.into_iter().map(filter).filter(|part| !is_null(part)).collect(), true),
        condition => condition,
    }
}

/// What PostgreSQL leaves for later, as it may come to something else in another time zone. Here it is always UTC; it shows
/// where something that is certain makes needless what fails.
fn depends_on_zone(expr: &Expr) -> bool {
    match expr {
        Expr::Arithmetic(.., Type::Timestamptz) => true,
        Expr::Cast(value, Type::Text) => value.ty() == Type::Timestamptz,
        _ => false,
    }
}

fn is_literal(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(..))
}

fn is_null(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(Value::Null, _))
}

/// Whether it is NULL as soon as one of its parts is.
fn is_strict(expr: &Expr) -> bool {
    match expr {
        Expr::Compare(comparison, ..) => {
            !matches!(comparison, Comparison::Distinct | Comparison::NotDistinct)
        }
        Expr::Not(_)
        | Expr::Arithmetic(..)
        | Expr::Negate(_)
        | Expr::Concat(..)
        | Expr::Like { .. }
        | Expr::Cast(..)
        | Expr::Json(..)
        | Expr::Element(..) => true,
        Expr::Call(function, _) => *function != Function::ArrayLength,
        _ => false,
    }
}

/// AND (`winner` false) or OR (`winner` true) without what decides nothing.
fn connected(all: Vec<Expr>, winner: bool) -> Expr {
    let mut kept: Vec<Expr> = Vec::with_capacity(all.len());
    for expr in all {
        match &expr {
            Expr::Literal(Value::Bool(value), _) if *value == winner => {
                return literal(Value::Bool(winner), Type::Bool);
            }
            Expr::Literal(Value::Bool(_), _) => {}
            _ => kept.push(expr),
        }
    }
    match kept.len() {
        0 => literal(Value::Bool(!winner), Type::Bool),
        1 => kept.swap_remove(0),
        _ if kept.iter().all(is_null) => literal(Value::Null, Type::Bool),
        _ if winner => Expr::Or(kept),
        _ => Expr::And(kept),
    }
}

/// CASE without the branches that are never taken, and those behind one that always is.
fn chosen(branches: Vec<(Expr, Expr)>, otherwise: Option<Box<Expr>>, ty: Type) -> Expr {
    let (mut kept, mut otherwise) = (Vec::with_capacity(branches.len()), otherwise);
    for (condition, result) in branches {
        match condition {
            Expr::Literal(Value::Bool(true), _) => {
                otherwise = Some(result.into());
                break;
            }
            Expr::Literal(..) => {}
            condition => kept.push((condition, result)),
        }
    }
    match (kept.is_empty(), otherwise) {
        (false, otherwise) => Expr::Case(kept, otherwise, ty),
        (true, Some(otherwise)) => *otherwise,
        (true, None) => literal(Value::Null, ty),
    }
}

/// COALESCE without what is never or always passed over.
fn coalesced(all: Vec<Expr>, ty: Type) -> Expr {
    let mut kept: Vec<Expr> = Vec::with_capacity(all.len());
    for expr in all {
        if is_null(&expr) {
            continue;
        }
        let certain = matches!(expr, Expr::Literal(..));
        kept.push(expr);
        if certain {
            break;
        }
    }
    match kept.len() {
        0 => literal(Value::Null, ty),
        1 => kept.swap_remove(0),
        _ => Expr::Coalesce(kept, ty),
    }
}
