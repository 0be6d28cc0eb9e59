//! `ORDER BY`, `LIMIT` and `OFFSET`. An order goes on until no two rows are alike, so that pages fit together and
//! every engine answers alike.

use sqlparser::ast::{self, LimitClause, OrderByKind, OrderBySort};

use super::grouping::{by_number, gathered};
use super::select::{Item, Named};
use super::{From, OrderKey, Output, computed, key};
use crate::sql::parse::position;
use crate::sql::{ColumnRef, Expr, Lowering, Scope, SqlFault, Type, Value};

/// Lowers what a caller wants rows ordered by.
pub(super) fn lower(
    clause: Option<&ast::OrderBy>,
    items: &[Named<'_>],
    lowering: &mut Lowering<'_>,
) -> Result<Vec<(OrderKey, Option<crate::sql::Position>)>, SqlFault> {
    let exprs = match clause {
        None => return Ok(Vec::new()),
        Some(ast::OrderBy { kind: OrderByKind::Expressions(exprs), interpolate: None }) => exprs,
        Some(_) => return Err(SqlFault::of_text("of ORDER BY, only a list of expressions is known")),
    };
    let mut keys = Vec::with_capacity(exprs.len());
    for ordered in exprs {
        let at = position(&ordered.expr);
        let fault = |reason: String| SqlFault { position: at, reason, hint: None };
        let descending = match &ordered.options.sort {
            None | Some(OrderBySort::Asc) => false,
            Some(OrderBySort::Desc) => true,
            Some(OrderBySort::Using(_)) => {
                return Err(fault("USING is not known: write ASC or DESC".to_owned()));
            }
        };
        if ordered.with_fill.is_some() {
            return Err(fault("WITH FILL is not known".to_owned()));
        }
        let expr = meant(&ordered.expr, items, lowering)?;
        if !expr.ty().is_native_to_sqlite() && expr.ty() != Type::Numeric {
            return Err(fault(format!("values of {} have no order here", expr.ty())));
        }
        // NULLs are largest, as PostgreSQL has it.
        let nulls_first = Some(ordered.options.nulls_first.unwrap_or(descending));
        keys.push((OrderKey { expr, descending, nulls_first }, at));
    }
    Ok(keys)
}

/// A column of the answer, by its number or name, goes before one of a table, as PostgreSQL has it.
fn meant(expr: &ast::Expr, items: &[Named<'_>], lowering: &mut Lowering<'_>) -> Result<Expr, SqlFault> {
    let named = match expr {
        ast::Expr::Identifier(ident) => items.iter().find(|named| named.is(ident)).map(|named| &named.item),
        _ => None,
    };
    match named.map_or_else(|| by_number(expr, items), |item| Ok(Some(item)))? {
        Some(Item::Expr(meant)) => lowering.value(meant),
        Some(Item::Column(column)) => Ok(Expr::Column(*column)),
        None => lowering.value(expr),
    }
}

/// Brings keys into the terms of gathered rows.
pub(super) fn gather(
    keys: &mut [(OrderKey, Option<crate::sql::Position>)],
    groups: &[Expr],
) -> Result<(), SqlFault> {
    keys.iter_mut().try_for_each(|(key, at)| gathered(&mut key.expr, groups, *at))
}

/// Of rows that are each there once, only what is shown can be an order.
pub(super) fn check_distinct(
    keys: &[(OrderKey, Option<crate::sql::Position>)],
    outputs: &[Output],
) -> Result<(), SqlFault> {
    let shown = |expr: &Expr| outputs.iter().any(|output| output.expr == *expr);
    match keys.iter().find(|(key, _)| !shown(&key.expr) && !matches!(key.expr, Expr::Literal(..))) {
        None => Ok(()),
        Some((_, at)) => {
            let reason =
                "for SELECT DISTINCT, ORDER BY expressions must appear in the list of columns".to_owned();
            Err(SqlFault { position: *at, reason, hint: None })
        }
    }
}

/// Goes on with what tells rows apart: what is shown of distinct rows, the keys of groups, or the tables' own.
pub(super) fn complete(
    keys: Vec<(OrderKey, Option<crate::sql::Position>)>,
    distinct: Option<&[Output]>,
    groups: Option<&[Expr]>,
    from: &[From],
) -> Vec<OrderKey> {
    // A constant orders nothing, and as a number it would mean a column.
    let constant = |key: &OrderKey| matches!(key.expr, Expr::Literal(..));
    let mut order: Vec<OrderKey> =
        keys.into_iter().map(|(key, _)| key).filter(|key| !constant(key)).collect();
    let more = |expr: Expr, nulls| OrderKey { expr, descending: false, nulls_first: nulls };
    let rest: Vec<OrderKey> = match (distinct, groups) {
        (Some(outputs), _) => outputs.iter().map(|output| more(output.expr.clone(), Some(false))).collect(),
        (None, Some(groups)) => groups
            .iter()
            .enumerate()
            .filter_map(|(place, group)| computed(place, group.ty(), false))
            .map(|column| more(Expr::Column(column), Some(false)))
            .collect(),
        (None, None) => from
            .iter()
            .enumerate()
            .flat_map(|(source, from)| {
                let columns = key(from.table).iter();
                let found =
                    columns.filter_map(|name| from.table.columns.iter().find(|column| column.name == *name));
                found.map(move |column| ColumnRef { source, table: from.table, column })
            })
            .map(|column| more(Expr::Column(column), None))
            .collect(),
    };
    for key in rest {
        if !constant(&key) && !order.iter().any(|known| known.expr == key.expr) {
            order.push(key);
        }
    }
    order
}

/// `LIMIT` and `OFFSET`: whole numbers, or parameters that are.
pub(super) fn limits(clause: Option<&LimitClause>, scope: &Scope) -> Result<(Option<u64>, u64), SqlFault> {
    match clause {
        None => Ok((None, 0)),
        Some(LimitClause::LimitOffset { limit, offset, limit_by }) if limit_by.is_empty() => {
            let limit = limit.as_ref().map(|limit| number(limit, "LIMIT", scope)).transpose()?.flatten();
            let offset =
                offset.as_ref().map(|offset| number(&offset.value, "OFFSET", scope)).transpose()?.flatten();
            Ok((limit, offset.unwrap_or(0)))
        }
        Some(_) => Err(SqlFault::of_text("this form of LIMIT is not known").hint("write LIMIT 10 OFFSET 20")),
    }
}

fn number(expr: &ast::Expr, word: &str, scope: &Scope) -> Result<Option<u64>, SqlFault> {
    let at = position(expr);
    let fault = |reason: String| SqlFault { position: at, reason, hint: None };
    match Lowering::new(&Scope { tables: &[], sources: Vec::new(), parameters: scope.parameters.clone() })
        .value(expr)?
    {
        Expr::Literal(Value::Null, _) => Ok(None),
        Expr::Literal(Value::Int(number), _) => {
            u64::try_from(number).map(Some).map_err(|_| fault(format!("{word} must not be negative")))
        }
        _ => Err(fault(format!("{word} takes a whole number"))),
    }
}
