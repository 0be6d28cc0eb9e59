//! The clauses of a `SELECT`, in the order of their meaning.

use sqlparser::ast::{self, Ident, SelectItem, SelectItemQualifiedWildcardKind as Kind};

use super::from::{parts, shown};
use super::{Grouping, Output, Query, from, grouping, names, order};
use crate::sql::parse::position;
use crate::sql::scope::{Scope, folded};
use crate::sql::{ColumnRef, Expr, Lowering, Position, Source, SqlFault};

/// Most columns of an answer.
const MAX_OUTPUTS: usize = 200;

/// An item of the list, with `*` taken apart.
pub(super) struct Named<'a> {
    pub(super) name: String,
    pub(super) item: Item<'a>,
    /// Where it stands.
    at: Option<Position>,
}

/// What an item shows.
#[derive(Clone, Copy)]
pub(super) enum Item<'a> {
    /// An expression, as it was written.
    Expr(&'a ast::Expr),
    /// A column out of `*`.
    Column(ColumnRef),
}

impl Named<'_> {
    /// Whether a name means this item.
    pub(super) fn is(&self, ident: &Ident) -> bool {
        self.name == folded(ident)
    }
}

/// Lowers a `SELECT` of which only the clauses that are known here are there.
pub(super) fn lower(select: &ast::Select, query: &ast::Query, scope: &mut Scope) -> Result<Query, SqlFault> {
    let from = from::lower(&select.from, scope)?;
    let scope = &*scope;
    let filter = select.selection.as_ref().map(|filter| Lowering::new(scope).filter(filter)).transpose()?;
    let items = items(&select.projection, scope)?;
    let keys = grouping::keys(&select.group_by, &items, scope)?;

    let mut lowering = Lowering::gathering(scope, keys.len());
    let mut outputs = Vec::with_capacity(items.len());
    for named in &items {
        let expr = match named.item {
            Item::Expr(expr) => lowering.value(expr)?,
            Item::Column(column) => Expr::Column(column),
        };
        outputs.push(Output { name: named.name.clone(), expr });
    }
    let mut having = select.having.as_ref().map(|having| lowering.filter(having)).transpose()?;
    let mut ordered = order::lower(query.order_by.as_ref(), &items, &mut lowering)?;

    let is_grouped = !keys.is_empty() || having.is_some() || lowering.has_aggregates();
    if is_grouped {
        for (output, named) in outputs.iter_mut().zip(&items) {
            grouping::gathered(&mut output.expr, &keys, named.at)?;
        }
        if let (Some(expr), Some(clause)) = (&mut having, &select.having) {
            grouping::gathered(expr, &keys, position(clause))?;
        }
        order::gather(&mut ordered, &keys)?;
    }
    names::check_unique(&outputs)?;
    let distinct = distinct(select, &outputs)?;
    if distinct {
        order::check_distinct(&ordered, &outputs)?;
    }
    let shown = distinct.then_some(outputs.as_slice());
    let order = order::complete(ordered, shown, is_grouped.then_some(keys.as_slice()), &from);
    let (limit, offset) = order::limits(query.limit_clause.as_ref(), scope)?;
    let aggregates = lowering.into_aggregates();
    let grouping = is_grouped.then_some(Grouping { keys, aggregates, having });
    Ok(Query { from, filter, grouping, distinct, outputs, order, limit, offset })
}

fn distinct(select: &ast::Select, outputs: &[Output]) -> Result<bool, SqlFault> {
    match &select.distinct {
        None | Some(ast::Distinct::All) => return Ok(false),
        Some(ast::Distinct::Distinct) => {}
        Some(ast::Distinct::On(_)) => {
            return Err(SqlFault::of_text("DISTINCT ON is not known").hint("write GROUP BY, with min or max"));
        }
    }
    match outputs.iter().find(|output| !output.expr.ty().is_native_to_sqlite()) {
        None => Ok(true),
        Some(output) => {
            let reason =
                format!("DISTINCT can't tell values of {} apart (\"{}\")", output.expr.ty(), output.name);
            Err(SqlFault::of_text(reason).hint("name the columns that are to be distinct"))
        }
    }
}

/// The list, with `*` and `table.*` taken apart.
fn items<'a>(list: &'a [SelectItem], scope: &Scope) -> Result<Vec<Named<'a>>, SqlFault> {
    let mut items = Vec::new();
    for item in list {
        match item {
            SelectItem::UnnamedExpr(expr) => {
                items.push(Named { name: names::of(expr), item: Item::Expr(expr), at: position(expr) });
            }
            SelectItem::ExprWithAlias { expr, alias } => {
                items.push(Named { name: folded(alias), item: Item::Expr(expr), at: position(expr) });
            }
            SelectItem::Wildcard(options) if is_bare(options) => {
                if scope.sources.is_empty() {
                    let at = options.wildcard_token.0.span.start;
                    return Err(SqlFault::at(at, "SELECT * takes a table"));
                }
                for (source, from) in scope.sources.iter().enumerate() {
                    all_columns(source, from, options, &mut items);
                }
            }
            SelectItem::QualifiedWildcard(Kind::ObjectName(name), options) if is_bare(options) => {
                let called = parts(name).unwrap_or_default();
                let Some((source, from)) =
                    scope.sources.iter().enumerate().find(|(_, from)| is_called(from, &called))
                else {
                    let at = options.wildcard_token.0.span.start;
                    return Err(SqlFault::at(at, format!("there is no table {name} in FROM")));
                };
                all_columns(source, from, options, &mut items);
            }
            other => {
                use ast::Spanned;
                let start = other.span().start;
                return Err(SqlFault::at(start, "this form of column is not known"));
            }
        }
        if items.len() > MAX_OUTPUTS {
            return Err(SqlFault::of_text(format!("an answer has at most {MAX_OUTPUTS} columns")));
        }
    }
    Ok(items)
}

fn is_called(source: &Source, parts: &[Ident]) -> bool {
    match (&source.alias, parts) {
        (Some(_), [one]) => folded(one) == shown(source),
        (Some(_), _) => false,
        (None, parts) => source.table.is_named(parts),
    }
}

fn all_columns(
    source: usize,
    from: &Source,
    options: &ast::WildcardAdditionalOptions,
    items: &mut Vec<Named<'_>>,
) {
    let at = Some(Position::from(options.wildcard_token.0.span.start));
    items.extend(from.table.columns.iter().map(|column| {
        let item = Item::Column(ColumnRef { source, table: from.table, column });
        Named { name: column.name.to_owned(), item, at }
    }));
}

fn is_bare(options: &ast::WildcardAdditionalOptions) -> bool {
    options.opt_ilike.is_none()
        && options.opt_exclude.is_none()
        && options.opt_except.is_none()
        && options.opt_replace.is_none()
        && options.opt_rename.is_none()
        && options.opt_alias.is_none()
}
