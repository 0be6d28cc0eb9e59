//! What Supabase keeps in an object's `metadata`, and what here has columns of its own.
//!
//! There, the server writes it; here, `metadata` is what users say. So a policy that is brought along and asks the one
//! would trust the other: it is taken to mean the column, and refused where there is none.

use crate::sql::{ColumnRef, Expr, OBJECTS, SqlFault, Type, Value};

/// Puts columns in the place of what Supabase's server writes into `metadata`.
///
/// # Errors
/// [`SqlFault`], without its place, for what has no column, or not as JSON.
pub(super) fn by_the_server(expr: &mut Expr) -> Result<(), SqlFault> {
    for child in expr.children_mut() {
        by_the_server(child)?;
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
