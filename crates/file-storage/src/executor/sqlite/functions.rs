//! The function by which statements compute what SQLite's own operators would compute otherwise than PostgreSQL.
//!
//! `aerostore_evaluate(expression, caller, columns…)`: the expression's text is one that [`crate::sql::Sqlite`]
//! rendered from a typed tree; the caller is [`caller`]'s JSON; the columns are those of [`Expr::columns`]. It knows
//! nothing else: the same arguments give the same value, and an error fails the statement.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{ToSqlOutput, Value as Cell, ValueRef};
use rusqlite::{Connection, Error};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::rls::text;
use crate::permissions::RlsContext;
use crate::sql::{
    Asker, Cells, ColumnRef, Decimal, EvalError, Expr, FUNCTION, Names, Postgres, Scope, Type, Value,
    expression,
};

/// Most expressions that are kept parsed.
const KEPT: usize = 1024;

/// How the message of a statement begins that failed in the function.
pub(super) const FAILED: &str = "a condition failed: ";

/// What stands in it between the reason and the expression.
pub(super) const IN_EXPRESSION: &str = ", in ";

/// The caller and the time, for the parameter `:caller`.
pub(super) fn caller(context: &RlsContext, now: i64) -> String {
    json!({
        "uid": context.user_id().map(text),
        "role": context.role().as_str(),
        "claims": context.effective_claims(),
        "now": now,
    })
    .to_string()
}

/// Makes the function known to a connection.
pub(crate) fn register(conn: &Connection) -> rusqlite::Result<()> {
    // Direct only: nothing in a schema can call it.
    let flags =
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_DIRECTONLY;
    conn.create_scalar_function(FUNCTION, -1, flags, call)
}

fn call(context: &Context<'_>) -> rusqlite::Result<ToSqlOutput<'static>> {
    // What is the same for all rows of a statement is read once.
    let program = context.get_or_create_aux(0, program)?;
    let asker = context.get_or_create_aux(1, asker)?;
    let cells = Arguments { context, program: &program };
    let value = program.expr.evaluate(&asker, &cells).map_err(|error| program.failed(&error))?;
    Ok(ToSqlOutput::Owned(cell(value)))
}

/// An expression, ready to be computed.
#[derive(Debug)]
struct Program {
    expr: Expr,
    columns: Vec<ColumnRef>,
}

impl Program {
    fn failed(&self, error: &EvalError) -> Error {
        let shown = Postgres { names: Names::Public, column: None }.render(&self.expr);
        Error::UserFunctionError(Box::new(Failure(format!("{FAILED}{error}{IN_EXPRESSION}{shown}"))))
    }
}

/// The expression of a text: parsed once in a process, as all rows and all statements have the same few.
fn program(value: ValueRef<'_>) -> Result<Arc<Program>, Failure> {
    static SCOPE: LazyLock<Scope> = LazyLock::new(Scope::numbered);
    static PROGRAMS: LazyLock<Mutex<HashMap<String, Arc<Program>>>> = LazyLock::new(Mutex::default);
    let text = value.as_str().map_err(|error| Failure(error.to_string()))?;
    let known = PROGRAMS.lock().unwrap_or_else(PoisonError::into_inner).get(text).cloned();
    if let Some(program) = known {
        return Ok(program);
    }
    let expr = expression(text, &SCOPE)
        .map_err(|fault| Failure(format!("an expression is not one of ours: {fault}")))?;
    let columns = expr.columns();
    let program = Arc::new(Program { expr, columns });
    let mut programs = PROGRAMS.lock().unwrap_or_else(PoisonError::into_inner);
    if programs.len() >= KEPT {
        programs.clear();
    }
    programs.insert(text.to_owned(), Arc::clone(&program));
    Ok(program)
}

fn asker(value: ValueRef<'_>) -> Result<Asker<'static>, Failure> {
    let text = value.as_str().map_err(|error| Failure(error.to_string()))?;
    let mut caller: Json = serde_json::from_str(text).map_err(|error| Failure(error.to_string()))?;
    let uid = caller.get("uid").and_then(Json::as_str).and_then(|uid| Uuid::try_parse(uid).ok());
    let role = caller.get("role").and_then(Json::as_str).map(str::to_owned);
    let now = caller.get("now").and_then(Json::as_i64);
    let claims = caller.get_mut("claims").map(Json::take);
    match (role, now, claims) {
        (Some(role), Some(now), Some(claims)) => {
            Ok(Asker { user_id: uid, role: Cow::Owned(role), claims: Cow::Owned(claims), now })
        }
        _ => Err(Failure("the caller is not one of ours".to_owned())),
    }
}

/// The columns, from the function's third argument on.
struct Arguments<'c> {
    context: &'c Context<'c>,
    program: &'c Program,
}

impl Cells for Arguments<'_> {
    fn cell(&self, column: ColumnRef) -> Result<Value<'_>, EvalError> {
        let missing = || EvalError::row("the row lacks a column");
        let at = self.program.columns.iter().position(|known| *known == column).ok_or_else(missing)?;
        let at = at.checked_add(2).filter(|at| *at < self.context.len()).ok_or_else(missing)?;
        value(self.context.get_raw(at), column.column.ty)
    }
}

/// A column's value, as rows keep it.
pub(super) fn value(cell: ValueRef<'_>, ty: Type) -> Result<Value<'_>, EvalError> {
    let fault = |_| EvalError::row("a column holds a value of another type");
    Ok(match (cell, ty) {
        (ValueRef::Null, _) => Value::Null,
        (ValueRef::Integer(number), Type::Bool) => Value::Bool(number != 0),
        (ValueRef::Integer(number), Type::Int4 | Type::Int8) => Value::Int(number),
        (ValueRef::Integer(number), Type::Timestamptz) => Value::Time(number),
        (ValueRef::Integer(number), Type::Interval) => Value::Interval(number),
        (ValueRef::Text(_), Type::Numeric) => {
            let number = cell.as_str().ok().and_then(Decimal::read);
            Value::Numeric(number.ok_or_else(|| fault(()))?)
        }
        (ValueRef::Text(json), Type::TextArray) => {
            Value::Array(serde_json::from_slice(json).map_err(|_| fault(()))?)
        }
        (ValueRef::Text(_), Type::Text) => Value::Text(Cow::Borrowed(cell.as_str().map_err(|_| fault(()))?)),
        (ValueRef::Text(_), Type::Uuid) => {
            let id = cell.as_str().ok().and_then(|id| Uuid::try_parse(id).ok());
            Value::Uuid(id.ok_or_else(|| fault(()))?)
        }
        (ValueRef::Text(json), Type::Jsonb) => {
            Value::Json(Cow::Owned(serde_json::from_slice(json).map_err(|_| fault(()))?))
        }
        _ => return Err(fault(())),
    })
}

/// A value as SQLite has it: as rows keep it; JSON, arrays and numerics as text.
fn cell(value: Value<'_>) -> Cell {
    match value {
        Value::Null => Cell::Null,
        Value::Bool(value) => Cell::Integer(value.into()),
        Value::Int(number) | Value::Time(number) | Value::Interval(number) => Cell::Integer(number),
        Value::Numeric(number) => Cell::Text(number.to_string()),
        Value::Text(text) => Cell::Text(text.into_owned()),
        Value::Uuid(id) => Cell::Text(text(id)),
        Value::Json(json) => Cell::Text(json.to_string()),
        Value::Array(elements) => Cell::Text(json!(elements).to_string()),
    }
}

/// Why the function failed.
#[derive(Debug)]
struct Failure(String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}
