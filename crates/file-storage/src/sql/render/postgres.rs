//! PostgreSQL, and the form in which expressions are kept and shown, which is PostgreSQL's with Supabase's names.
//!
//! Every literal has its type and every operation its parentheses. Texts are ordered by their bytes, and letters
//! folded as in ASCII (`COLLATE "C"`), whatever the database's own locale is.

use chrono::DateTime;

use super::quote::{identifier, quote_postgres};
use crate::sql::{ColumnRef, Expr, Fact, Function, Type, Value};

/// How functions are named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Names<'a> {
    /// By our own schema of this name: `"aerostore".uid()`.
    Schema(&'a str),
    /// As callers write them: `auth.uid()`, `storage.foldername(name)`.
    Public,
}

/// Renders for PostgreSQL.
pub struct Postgres<'a> {
    /// Where functions are.
    pub names: Names<'a>,
    /// How a column is named; `None` names it by its own name alone.
    pub column: Option<&'a dyn Fn(ColumnRef) -> String>,
}

impl Postgres<'_> {
    /// The expression as SQL.
    pub fn render(&self, expr: &Expr) -> String {
        let sql = |expr: &Expr| self.render(expr);
        match expr {
            Expr::Literal(value, ty) => literal(value, *ty),
            Expr::Column(column) => match self.column {
                Some(name) => name(*column),
                None => identifier(column.column.name),
            },
            Expr::Caller(fact) => self.fact(*fact),
            Expr::Now => "now()".to_owned(),
            Expr::Not(operand) => format!("(NOT {})", sql(operand)),
            Expr::And(all) => format!("({})", self.list(all, " AND ")),
            Expr::Or(all) => format!("({})", self.list(all, " OR ")),
            Expr::Compare(comparison, left, right) => {
                let collate = if comparison.is_order() { self.collate(left.ty()) } else { "" };
                format!("({}{collate} {} {})", sql(left), comparison.sign(), sql(right))
            }
            Expr::Is(test, operand) => format!("({} {})", sql(operand), test.words()),
            Expr::Arithmetic(op, left, right, _) => format!("({} {} {})", sql(left), op.sign(), sql(right)),
            Expr::Negate(operand) => format!("(- {})", sql(operand)),
            Expr::Concat(left, right) => format!("({} || {})", sql(left), sql(right)),
            Expr::Like { negated, fold_case, text, pattern, escape } => {
                let not = if *negated { "NOT " } else { "" };
                let (word, collate) =
                    if *fold_case { ("ILIKE", self.collate(Type::Text)) } else { ("LIKE", "") };
                let escape = match escape {
                    Some('\\') => String::new(),
                    other => {
                        let sign = other.map(String::from).unwrap_or_default();
                        format!(" ESCAPE {}", quote_postgres(&sign))
                    }
                };
                format!("({}{collate} {not}{word} {}{escape})", sql(text), sql(pattern))
            }
            Expr::In { negated, value, list } => {
                let not = if *negated { "NOT " } else { "" };
                format!("({} {not}IN ({}))", sql(value), self.list(list, ", "))
            }
            Expr::AnyOf(value, array) => format!("({} = ANY ({}))", sql(value), sql(array)),
            Expr::Case(branches, otherwise, _) => {
                let branches = branches
                    .iter()
                    .map(|(condition, result)| format!(" WHEN {} THEN {}", sql(condition), sql(result)))
                    .collect::<String>();
                let otherwise = otherwise.as_deref().map(|expr| format!(" ELSE {}", sql(expr)));
                format!("(CASE{branches}{} END)", otherwise.unwrap_or_default())
            }
            Expr::Coalesce(all, _) => format!("COALESCE({})", self.list(all, ", ")),
            Expr::NullIf(left, right, _) => format!("NULLIF({}, {})", sql(left), sql(right)),
            Expr::Cast(operand, to) => format!("({}::{to})", sql(operand)),
            Expr::Json(as_text, json, key) => {
                format!("({} {} {})", sql(json), if *as_text { "->>" } else { "->" }, sql(key))
            }
            Expr::Element(array, index) => format!("(({})[{}])", sql(array), sql(index)),
            Expr::Array(all) => format!("(ARRAY[{}]::text[])", self.list(all, ", ")),
            Expr::Call(function, arguments) => self.call(*function, arguments),
        }
    }

    fn list(&self, all: &[Expr], between: &str) -> String {
        all.iter().map(|expr| self.render(expr)).collect::<Vec<_>>().join(between)
    }

    /// In a subselect, so that PostgreSQL asks once for a statement and not for each row.
    fn fact(&self, fact: Fact) -> String {
        match (&self.names, fact) {
            (Names::Schema(schema), Fact::UserId) => format!("(SELECT {}.uid())", identifier(schema)),
            (Names::Schema(schema), Fact::Role) => format!("(SELECT {}.role())", identifier(schema)),
            (Names::Schema(schema), Fact::Claims) => format!("(SELECT {}.jwt())", identifier(schema)),
            (Names::Public, Fact::UserId) => "auth.uid()".to_owned(),
            (Names::Public, Fact::Role) => "auth.role()".to_owned(),
            (Names::Public, Fact::Claims) => "auth.jwt()".to_owned(),
        }
    }

    /// What puts texts into the order of their bytes; where we ourselves read the text, that goes without saying.
    fn collate(&self, ty: Type) -> &'static str {
        match (&self.names, ty) {
            (Names::Schema(_), Type::Text) => " COLLATE \"C\"",
            _ => "",
        }
    }

    fn call(&self, function: Function, arguments: &[Expr]) -> String {
        let between = |sign: &str| format!("({})", self.list(arguments, &format!(" {sign} ")));
        let (name, ours, folds) = match function {
            Function::Foldername => ("foldername", true, false),
            Function::Filename => ("filename", true, false),
            Function::Extension => ("extension", true, false),
            Function::Lower => ("lower", false, true),
            Function::Upper => ("upper", false, true),
            Function::Length => ("length", false, false),
            Function::SplitPart => ("split_part", false, false),
            Function::StartsWith => ("starts_with", false, false),
            Function::ArrayLength => ("array_length", false, false),
            Function::Cardinality => ("cardinality", false, false),
            Function::JsonHas => return between("?"),
            Function::JsonContains => return between("@>"),
        };
        let schema = match &self.names {
            _ if !ours => String::new(),
            Names::Schema(schema) => format!("{}.", identifier(schema)),
            Names::Public => "storage.".to_owned(),
        };
        let collate = if folds { self.collate(Type::Text) } else { "" };
        format!("{schema}{name}({}{collate})", self.list(arguments, ", "))
    }
}

fn literal(value: &Value<'_>, ty: Type) -> String {
    match value {
        Value::Null => format!("NULL::{ty}"),
        Value::Bool(value) => value.to_string(),
        Value::Int(number) if ty == Type::Int4 && *number >= 0 => number.to_string(),
        Value::Int(number) => format!("'{number}'::{ty}"),
        Value::Numeric(number) => format!("'{number}'::numeric"),
        Value::Text(text) => format!("{}::text", quote_postgres(text)),
        Value::Uuid(id) => format!("'{}'::uuid", id.hyphenated()),
        Value::Time(micros) => match DateTime::from_timestamp_micros(*micros) {
            Some(time) => format!("'{}'::timestamptz", time.format("%Y-%m-%dT%H:%M:%S%.6f+00:00")),
            // Beyond what a literal can be.
            None => "NULL::timestamptz".to_owned(),
        },
        Value::Interval(micros) => format!("'{}'::interval", interval(*micros)),
        Value::Json(json) => format!("{}::jsonb", quote_postgres(&json.to_string())),
        Value::Array(elements) => {
            let elements = elements.iter().map(|element| match element {
                Some(text) => format!("{}::text", quote_postgres(text)),
                None => "NULL::text".to_owned(),
            });
            format!("(ARRAY[{}]::text[])", elements.collect::<Vec<_>>().join(", "))
        }
    }
}

/// Hours, minutes and seconds: days would have the length that a time zone gives them.
fn interval(micros: i64) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    let all = micros.unsigned_abs();
    let (seconds, fraction) = (all / 1_000_000, all % 1_000_000);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{sign}{hours:02}:{minutes:02}:{seconds:02}.{fraction:06}")
}
