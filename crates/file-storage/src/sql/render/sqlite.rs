//! SQLite: its own operators where they mean what PostgreSQL's mean, and else our function.
//!
//! Rows keep times as microseconds, uuids as hyphenated lower-case text and JSON as text. The caller comes as the
//! parameters `:uid`, `:role` and `:caller`; the last one is JSON, for the function (`executor/sqlite/functions.rs`).

use super::postgres::{Names, Postgres};
use super::quote::quote_sqlite;
use crate::sql::{ColumnRef, Comparison, Expr, Fact, Type, Value};

/// Renders for SQLite.
pub struct Sqlite<'a> {
    /// How a column is named.
    pub column: &'a dyn Fn(ColumnRef) -> String,
}

/// The function's name.
pub(crate) const FUNCTION: &str = "aerostore_evaluate";

impl Sqlite<'_> {
    /// The expression as SQL: in SQLite's own operators if all of it can be, else as one call of the function. Parts
    /// that can fail must keep their order, which SQLite's own AND and OR would not.
    pub fn render(&self, expr: &Expr) -> String {
        self.native(expr).unwrap_or_else(|| self.called(expr))
    }

    /// As [`Sqlite::render`], but each condition of a conjunction on its own, so that an index serves one while the
    /// function decides another. For filters whose order is free, as it is in a WHERE of PostgreSQL. What the function
    /// decides, which can fail and takes its time, is put behind a `guard`: in SQLite's own order it could be asked of
    /// rows that the caller may not see, and tell of them by failing.
    pub fn render_filter(&self, expr: &Expr, guard: &dyn Fn(&Expr) -> Option<String>) -> String {
        match expr {
            Expr::And(all) => {
                let all = all.iter().map(|expr| self.render_filter(expr, guard)).collect::<Vec<_>>();
                format!("({})", all.join(" AND "))
            }
            expr => self.native(expr).unwrap_or_else(|| match guard(expr) {
                Some(guard) => format!("(CASE WHEN {guard} THEN {} END)", self.called(expr)),
                None => self.called(expr),
            }),
        }
    }

    /// A call of the function: the expression's text, the caller, and the columns in the order of [`Expr::columns`].
    fn called(&self, expr: &Expr) -> String {
        let text = Postgres { names: Names::Public, column: Some(&ColumnRef::numbered) }.render(expr);
        let columns = expr.columns().into_iter().map(|column| format!(", {}", (self.column)(column)));
        format!("{FUNCTION}({}, :caller{})", quote_sqlite(&text), columns.collect::<String>())
    }

    /// The expression in SQLite's own operators; `None` where they differ, or could fail.
    fn native(&self, expr: &Expr) -> Option<String> {
        let sql = |expr: &Expr| self.native(expr);
        Some(match expr {
            Expr::Literal(value, ty) => literal(value, *ty)?,
            Expr::Column(column) if column.column.ty.is_native_to_sqlite() => (self.column)(*column),
            Expr::Caller(Fact::UserId) => ":uid".to_owned(),
            Expr::Caller(Fact::Role) => ":role".to_owned(),
            Expr::Not(operand) => format!("(NOT {})", sql(operand)?),
            Expr::And(all) => format!("({})", self.list(all, " AND ")?),
            Expr::Or(all) => format!("({})", self.list(all, " OR ")?),
            Expr::Compare(comparison, left, right) if left.ty().is_native_to_sqlite() => {
                let sign = match comparison {
                    Comparison::Distinct => "IS NOT",
                    Comparison::NotDistinct => "IS",
                    other => other.sign(),
                };
                format!("({} {sign} {})", sql(left)?, sql(right)?)
            }
            Expr::Is(test, operand) => format!("({} {})", sql(operand)?, test.words()),
            Expr::In { negated, value, list } if value.ty().is_native_to_sqlite() => {
                let not = if *negated { "NOT " } else { "" };
                format!("({} {not}IN ({}))", sql(value)?, self.list(list, ", ")?)
            }
            Expr::Case(branches, otherwise, ty) if ty.is_native_to_sqlite() => {
                let branches = branches
                    .iter()
                    .map(|(condition, result)| {
                        Some(format!(" WHEN {} THEN {}", sql(condition)?, sql(result)?))
                    })
                    .collect::<Option<String>>()?;
                let otherwise = match otherwise.as_deref() {
                    Some(expr) => format!(" ELSE {}", sql(expr)?),
                    None => String::new(),
                };
                format!("(CASE{branches}{otherwise} END)")
            }
            Expr::Coalesce(all, ty) if ty.is_native_to_sqlite() => {
                format!("coalesce({})", self.list(all, ", ")?)
            }
            Expr::NullIf(left, right, ty) if ty.is_native_to_sqlite() => {
                format!("nullif({}, {})", sql(left)?, sql(right)?)
            }
            // A uuid is kept as its text.
            Expr::Cast(operand, Type::Text) if operand.ty() == Type::Uuid => sql(operand)?,
            Expr::Cast(operand, Type::Int8) if operand.ty() == Type::Int4 => sql(operand)?,
            _ => return None,
        })
    }

    fn list(&self, all: &[Expr], between: &str) -> Option<String> {
        Some(all.iter().map(|expr| self.native(expr)).collect::<Option<Vec<_>>>()?.join(between))
    }
}

fn literal(value: &Value<'_>, ty: Type) -> Option<String> {
    Some(match value {
        Value::Null if ty.is_native_to_sqlite() => "NULL".to_owned(),
        Value::Bool(value) => if *value { "1" } else { "0" }.to_owned(),
        // SQLite has no literal for the smallest one.
        Value::Int(number) | Value::Time(number) | Value::Interval(number) if *number > i64::MIN => {
            format!("({number})")
        }
        Value::Text(text) => quote_sqlite(text),
        Value::Uuid(id) => quote_sqlite(&id.hyphenated().to_string()),
        _ => return None,
    })
}
