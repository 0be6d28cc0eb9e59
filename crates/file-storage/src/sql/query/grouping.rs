//! `GROUP BY`: after gathering, a row has the keys and the aggregates, and nothing else.

use sqlparser::ast::{self, GroupByExpr};

use super::computed;
use super::select::{Item, Named};
use crate::sql::parse::position;
use crate::sql::{Expr, Lowering, Position, Scope, SqlFault};

/// Lowers the keys: expressions, names of columns of the answer, or their numbers.
pub(super) fn keys(clause: &GroupByExpr, items: &[Named<'_>], scope: &Scope) -> Result<Vec<Expr>, SqlFault> {
    let exprs = match clause {
        GroupByExpr::Expressions(exprs, modifiers) if modifiers.is_empty() => exprs,
        GroupByExpr::Expressions(..) | GroupByExpr::All(_) => {
            return Err(SqlFault::of_text("of GROUP BY, only a list of expressions is known"));
        }
    };
    let mut keys = Vec::with_capacity(exprs.len());
    for expr in exprs {
        let at = position(expr);
        let key = match by_number(expr, items)? {
            Some(Item::Expr(meant)) => Lowering::new(scope).value(meant)?,
            Some(Item::Column(column)) => Expr::Column(*column),
            None => by_name(expr, items, scope)?,
        };
        let fault = |reason: String| SqlFault { position: at, reason, hint: None };
        if matches!(key, Expr::Literal(..)) {
            return Err(fault(
                "a constant gathers nothing: GROUP BY takes expressions of columns".to_owned(),
            ));
        }
        if !key.ty().is_native_to_sqlite() {
            return Err(fault(format!("rows can't be gathered by {}", key.ty())));
        }
        keys.push(key);
    }
    Ok(keys)
}

/// The item of the answer that a whole number means, as it does in GROUP BY and ORDER BY.
pub(super) fn by_number<'i, 'a>(
    expr: &ast::Expr,
    items: &'i [Named<'a>],
) -> Result<Option<&'i Item<'a>>, SqlFault> {
    let ast::Expr::Value(value) = expr else { return Ok(None) };
    let ast::Value::Number(digits, _) = &value.value else { return Ok(None) };
    let at = digits.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
    match at.and_then(|at| items.get(at)) {
        Some(named) => Ok(Some(&named.item)),
        None => Err(SqlFault::at(value.span.start, format!("there is no column {digits} in the list"))),
    }
}

/// A column of a table goes before one of the answer, as PostgreSQL has it.
fn by_name(expr: &ast::Expr, items: &[Named<'_>], scope: &Scope) -> Result<Expr, SqlFault> {
    let lowered = Lowering::new(scope).value(expr);
    let ast::Expr::Identifier(ident) = expr else { return lowered };
    match (lowered, items.iter().find(|named| named.is(ident)).map(|named| &named.item)) {
        (Err(_), Some(Item::Expr(meant))) => Lowering::new(scope).value(meant),
        (lowered, _) => lowered,
    }
}

/// Puts the computed columns in the place of the keys, and refuses what is left of the rows themselves.
pub(super) fn gathered(expr: &mut Expr, keys: &[Expr], at: Option<Position>) -> Result<(), SqlFault> {
    if let Some(place) = keys.iter().position(|key| key == expr)
        && let Some(column) = computed(place, expr.ty(), false)
    {
        *expr = Expr::Column(column);
        return Ok(());
    }
    if let Expr::Column(column) = expr
        && column.table.name != super::COMPUTED.name
    {
        let name = column.column.name;
        let reason = format!(
            "column \"{name}\" must appear in the GROUP BY clause or be used in an aggregate function"
        );
        return Err(SqlFault { position: at, reason, hint: None });
    }
    for child in expr.children_mut() {
        gathered(child, keys, at)?;
    }
    Ok(())
}
