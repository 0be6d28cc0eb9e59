//! What Supabase keeps in an object's `metadata`, and what here has columns of its own.
//!
//! There, the server writes it; here, `metadata` is what users say. So a policy that is brought along and asks the one
//! would trust the other: it is taken to mean the column, and refused where there is none.

use crate::sql::{ColumnRef, Expr, Function, OBJECTS, SqlFault, Type, Value};

/// Puts columns in the place of what Supabase's server writes into `metadata`.
///
/// # Errors
/// [`SqlFault`], without its place, for what has no column, or not as JSON.
pub(super) fn by_the_server(expr: &mut Expr) -> Result<(), SqlFault> {
    for child in expr.children_mut() {
        by_the_server(child)?;
    }
    if let Expr::Call(Function::JsonHas | Function::JsonContains, operands) = &*expr {
        return is_not_asked_for(operands);
    }
    let Expr::Json(as_text, from, key) = &*expr else { return Ok(()) };
    let (Expr::Column(from), Expr::Literal(Value::Text(key), _)) = (&**from, &**key) else { return Ok(()) };
    if from.column.name != "metadata" {
        return Ok(());
    }
    let (name, is_text) = match &**key {
        "mimetype" => ("content_type", true),
        "size" | "contentLength" => ("size", false),
        "cacheControl" => ("cache_control", true),
        "eTag" => ("etag", true),
        "lastModified" | "httpStatusCode" => {
            let reason = format!("metadata is what users say: nobody but they would say \"{key}\" in it");
            return Err(SqlFault::of_text(reason).hint("there are created_at and updated_at"));
        }
        _ => return Ok(()),
    };
    let column = OBJECTS.columns.iter().find(|column| column.name == name);
    let (true, Some(column)) = (*as_text, column) else {
        let reason = format!("metadata is what users say: \"{key}\" is a column");
        return Err(SqlFault::of_text(reason).hint(format!("write {name}")));
    };
    let column = Expr::Column(ColumnRef { source: from.source, table: &OBJECTS, column });
    *expr = if is_text { column } else { Expr::Cast(column.into(), Type::Text) };
    Ok(())
}

/// `metadata ? …` and `metadata @> …` can't be taken to mean a column: they are refused where they ask for what the server
/// writes there.
fn is_not_asked_for(operands: &[Expr]) -> Result<(), SqlFault> {
    let [Expr::Column(from), Expr::Literal(sought, _)] = operands else { return Ok(()) };
    let asked = |key: &&str| match sought {
        Value::Text(text) => text == key,
        Value::Json(json) => json.get(key).is_some(),
        _ => false,
    };
    match THE_SERVERS.iter().find(|key| from.column.name == "metadata" && asked(key)) {
        Some(key) => {
            let reason = format!("metadata is what users say: nobody but they would say \"{key}\" in it");
            Err(SqlFault::of_text(reason)
                .hint("there are columns: content_type, size, cache_control, etag, updated_at"))
        }
        None => Ok(()),
    }
}

/// What Supabase's server writes.
const THE_SERVERS: [&str; 7] =
    ["mimetype", "size", "contentLength", "cacheControl", "eTag", "lastModified", "httpStatusCode"];
