//! From the parser's tree to the typed one, by an allow-list: what is not known here is refused, with its place.

mod aggregates;
mod case;
mod casts;
mod fold;
mod functions;
mod literals;
mod operators;
mod predicates;
mod unify;

use sqlparser::ast::{self, AccessExpr, Subscript};

use super::parse::position;
use super::query::Aggregates;
use super::scope::Scope;
use super::{Expr, Position, SqlFault, Test, Type, Value};

/// Most nodes of a typed expression.
const MAX_NODES: usize = 4000;

/// Deepest nesting of a typed expression.
const MAX_DEPTH: usize = 100;

/// Lowers an expression of any type.
///
/// # Errors
/// [`SqlFault`] for what is not known, or has types that do not fit.
pub fn lower(expr: &ast::Expr, scope: &Scope) -> Result<Expr, SqlFault> {
    let mut lowering = Lowering::new(scope);
    let lowered = lowering.expr(expr)?;
    // A text that nothing gave a type is a text.
    if lowered.ty() == Type::Unknown { lowering.coerce(lowered, Type::Text) } else { Ok(lowered) }
}

/// The work of lowering: what is in reach, and how much was made so far.
#[derive(Debug)]
pub struct Lowering<'s> {
    scope: &'s Scope,
    depth: usize,
    nodes: usize,
    /// Where the innermost expression with a known place begins.
    at: Position,
    /// Where aggregate functions may stand, those that were met.
    aggregates: Option<Aggregates>,
}

impl<'s> Lowering<'s> {
    /// Lowers expressions over a scope; their sizes add up to one limit.
    pub fn new(scope: &'s Scope) -> Self {
        Self { scope, depth: 0, nodes: 0, at: Position { line: 1, column: 1 }, aggregates: None }
    }

    /// Lowers a condition.
    ///
    /// # Errors
    /// [`SqlFault`], also for an expression that is no condition.
    pub fn condition(&mut self, expr: &ast::Expr) -> Result<Expr, SqlFault> {
        let at = position(expr).unwrap_or(self.at);
        let lowered = self.expr(expr)?;
        let ty = lowered.ty();
        self.at = at;
        self.coerce(lowered, Type::Bool).map_err(|fault| match ty {
            Type::Unknown => fault,
            ty => SqlFault::at(at, format!("a condition must be boolean, and this is {ty}")),
        })
    }

    /// Lowers a condition of which only counts whether it holds, as in `WHERE` and in policies.
    ///
    /// # Errors
    /// As [`Lowering::condition`].
    pub fn filter(&mut self, expr: &ast::Expr) -> Result<Expr, SqlFault> {
        self.condition(expr).map(fold::filter)
    }

    /// Lowers an expression of any type; a quoted literal on its own stays [`Type::Unknown`].
    ///
    /// # Errors
    /// [`SqlFault`].
    pub fn expr(&mut self, expr: &ast::Expr) -> Result<Expr, SqlFault> {
        let outer = self.at;
        if let Some(at) = leaf_position(expr) {
            self.at = at;
        }
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.fault("the expression is nested too deeply"));
        }
        let lowered = self.node(expr)?;
        self.depth -= 1;
        self.at = outer;
        Ok(lowered)
    }

    fn node(&mut self, expr: &ast::Expr) -> Result<Expr, SqlFault> {
        use ast::Expr as A;
        match expr {
            A::Nested(inner) => self.expr(inner),
            A::Identifier(ident) => self.column(std::slice::from_ref(ident)),
            A::CompoundIdentifier(parts) => self.column(parts),
            A::Value(value) => self.literal(&value.value),
            A::TypedString(typed) => self.typed_string(typed),
            A::Interval(interval) => self.interval(interval),
            A::Array(array) => self.array(array),
            A::Cast { kind, expr, data_type, format } => self.cast(kind, expr, data_type, format.is_some()),
            A::BinaryOp { left, op, right } => self.binary(left, op, right),
            A::UnaryOp { op, expr } => self.unary(*op, expr),
            A::IsNull(operand) => self.is(Test::Null, operand),
            A::IsNotNull(operand) => self.is(Test::NotNull, operand),
            A::IsTrue(operand) => self.is(Test::True, operand),
            A::IsNotTrue(operand) => self.is(Test::NotTrue, operand),
            A::IsFalse(operand) => self.is(Test::False, operand),
            A::IsNotFalse(operand) => self.is(Test::NotFalse, operand),
            A::IsUnknown(operand) => self.is_unknown(Test::Null, operand),
            A::IsNotUnknown(operand) => self.is_unknown(Test::NotNull, operand),
            A::IsDistinctFrom(left, right) => self.distinct(true, left, right),
            A::IsNotDistinctFrom(left, right) => self.distinct(false, left, right),
            A::InList { expr, list, negated } => self.in_list(expr, list, *negated),
            A::Between { expr, negated, low, high } => self.between(expr, *negated, low, high),
            A::Like { negated, any: false, expr, pattern, escape_char } => {
                self.like((*negated, false), expr, pattern, escape_char.as_deref())
            }
            A::ILike { negated, any: false, expr, pattern, escape_char } => {
                self.like((*negated, true), expr, pattern, escape_char.as_deref())
            }
            A::AnyOp { left, compare_op: ast::BinaryOperator::Eq, right, .. } => self.any_of(left, right),
            A::Case { operand, conditions, else_result, .. } => {
                self.case(operand.as_deref(), conditions, else_result.as_deref())
            }
            A::Function(function) => self.function(function),
            A::Subquery(query) => self.wrapped(query),
            A::CompoundFieldAccess { root, access_chain } => self.elements(root, access_chain),
            other => Err(self.refused(other)),
        }
    }

    fn refused(&self, expr: &ast::Expr) -> SqlFault {
        use ast::Expr as A;
        let at = position(expr).unwrap_or(self.at);
        match expr {
            A::Exists { .. } | A::InSubquery { .. } => {
                SqlFault::at(at, "a subquery over rows can't be part of an expression here")
                    .hint("only a wrapped value such as (select auth.uid()) is known")
            }
            A::AnyOp { .. } | A::AllOp { .. } => {
                SqlFault::at(at, "of the forms with ANY and ALL, only '= ANY (array)' is known")
            }
            A::SimilarTo { .. } | A::RLike { .. } => {
                SqlFault::at(at, "regular expressions are not known").hint("use LIKE or ILIKE")
            }
            A::Collate { .. } => {
                SqlFault::at(at, "COLLATE is not known").hint("texts are compared by their bytes")
            }
            A::AtTimeZone { .. } | A::Extract { .. } => {
                SqlFault::at(at, "calendars and time zones are not known")
                    .hint("compare with timestamps, and with intervals of days and shorter")
            }
            A::Tuple(_) => {
                SqlFault::at(at, "rows of values are not known").hint("compare the values one by one")
            }
            A::Substring { .. } => {
                SqlFault::at(at, "substring is not known").hint("use split_part or starts_with")
            }
            _ => SqlFault::at(
                at,
                format!("this kind of expression is not known: {}", clipped(&expr.to_string())),
            ),
        }
    }

    fn column(&mut self, parts: &[ast::Ident]) -> Result<Expr, SqlFault> {
        let column = self.scope.resolve(parts)?;
        self.made(Expr::Column(column))
    }

    /// `(select auth.uid())`: a value in a subquery without rows is the value.
    fn wrapped(&mut self, query: &ast::Query) -> Result<Expr, SqlFault> {
        let value = match (&*query.body, query) {
            (
                ast::SetExpr::Select(select),
                ast::Query { with: None, order_by: None, limit_clause: None, fetch: None, .. },
            ) if query.locks.is_empty() && query.for_clause.is_none() && query.pipe_operators.is_empty() => {
                plain(select)
            }
            _ => None,
        };
        match value {
            Some(value) => self.expr(value),
            None => Err(self
                .fault("a subquery over rows can't be part of an expression here")
                .hint("only a wrapped value such as (select auth.uid()) is known")),
        }
    }

    fn elements(&mut self, root: &ast::Expr, chain: &[AccessExpr]) -> Result<Expr, SqlFault> {
        let [AccessExpr::Subscript(Subscript::Index { index })] = chain else {
            return Err(self.fault("of the ways into an array, only array[index] is known"));
        };
        let array = self.expr(root)?;
        if array.ty() != Type::TextArray {
            let reason = format!("{} has no elements", array.ty());
            return Err(self.fault(reason).hint("use -> or ->> for jsonb"));
        }
        let index = self.expr(index)?;
        let index = self.coerce(index, Type::Int4)?;
        self.made(Expr::Element(array.into(), index.into()))
    }

    /// Counts a new expression, and computes it where nothing in it depends on a row or caller.
    fn made(&mut self, expr: Expr) -> Result<Expr, SqlFault> {
        self.count(1)?;
        fold::fold(expr).map_err(|error| self.fault(error.to_string()))
    }

    fn count(&mut self, nodes: usize) -> Result<(), SqlFault> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES {
            return Err(self.fault(format!("the expression has more than {MAX_NODES} parts")));
        }
        Ok(())
    }

    fn fault(&self, reason: impl Into<String>) -> SqlFault {
        SqlFault::at(self.at, reason)
    }
}

/// Where an expression begins, if that costs nothing to know.
fn leaf_position(expr: &ast::Expr) -> Option<Position> {
    use ast::Expr as A;
    let start = match expr {
        A::Identifier(ident) => ident.span.start,
        A::CompoundIdentifier(parts) => parts.first()?.span.start,
        A::Value(value) => value.span.start,
        A::TypedString(typed) => typed.value.span.start,
        A::Case { case_token, .. } => case_token.0.span.start,
        A::Function(function) => match function.name.0.first()? {
            ast::ObjectNamePart::Identifier(ident) => ident.span.start,
            ast::ObjectNamePart::Function(_) => return None,
        },
        A::BinaryOp { .. } => return None,
        A::Cast { expr, .. } | A::IsNull(expr) | A::IsNotNull(expr) | A::Nested(expr) => {
            return leaf_of_leaf(expr);
        }
        A::Like { expr, .. } | A::ILike { expr, .. } | A::InList { expr, .. } | A::Between { expr, .. } => {
            return leaf_of_leaf(expr);
        }
        _ => return None,
    };
    (start.line > 0).then(|| start.into())
}

/// One step further, and no more: places are looked for at every node.
fn leaf_of_leaf(expr: &ast::Expr) -> Option<Position> {
    match expr {
        ast::Expr::Identifier(ident) => Some(ident.span.start.into()),
        ast::Expr::Value(value) => Some(value.span.start.into()),
        ast::Expr::Function(_) => leaf_position(expr),
        _ => None,
    }
}

/// The one value of a `SELECT` that has nothing else.
fn plain(select: &ast::Select) -> Option<&ast::Expr> {
    let bare = select.from.is_empty()
        && select.selection.is_none()
        && select.distinct.is_none()
        && select.having.is_none()
        && select.into.is_none()
        && select.qualify.is_none()
        && select.top.is_none()
        && select.prewhere.is_none()
        && select.lateral_views.is_empty()
        && select.connect_by.is_empty()
        && select.named_window.is_empty()
        && matches!(&select.group_by, ast::GroupByExpr::Expressions(all, more) if all.is_empty() && more.is_empty());
    match select.projection.as_slice() {
        [ast::SelectItem::UnnamedExpr(value) | ast::SelectItem::ExprWithAlias { expr: value, .. }]
            if bare =>
        {
            Some(value)
        }
        _ => None,
    }
}

/// The beginning of a text, for messages.
fn clipped(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// A value of a type as an expression.
fn literal(value: Value<'static>, ty: Type) -> Expr {
    Expr::Literal(value, ty)
}
