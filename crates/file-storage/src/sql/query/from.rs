//! `FROM`: tables of the list, under names of their own, joined from left to right.

use sqlparser::ast::{self, Ident, JoinConstraint, JoinOperator, ObjectName, ObjectNamePart, TableFactor};

use super::{From, Join, READABLE};
use crate::sql::parse::position;
use crate::sql::scope::folded;
use crate::sql::{Lowering, MAX_SOURCES, Position, Scope, Source, SqlFault, Table};

/// Lowers the clause; the tables come into the scope.
pub(super) fn lower(clause: &[ast::TableWithJoins], scope: &mut Scope) -> Result<Vec<From>, SqlFault> {
    let mut all = Vec::new();
    for item in clause {
        let table = factor(&item.relation, scope)?;
        all.push(From { table, join: Join::Cross });
        for join in &item.joins {
            let table = factor(&join.relation, scope)?;
            let join = joined(join, scope)?;
            all.push(From { table, join });
        }
    }
    Ok(all)
}

fn joined(join: &ast::Join, scope: &Scope) -> Result<Join, SqlFault> {
    use JoinOperator as J;
    let (constraint, outer) = match &join.join_operator {
        J::CrossJoin(JoinConstraint::None) if !join.global => return Ok(Join::Cross),
        J::Join(constraint) | J::Inner(constraint) if !join.global => (constraint, false),
        J::Left(constraint) | J::LeftOuter(constraint) if !join.global => (constraint, true),
        _ => {
            return Err(at_factor(&join.relation, "of joins, only JOIN, LEFT JOIN and CROSS JOIN are known"));
        }
    };
    let JoinConstraint::On(condition) = constraint else {
        return Err(at_factor(&join.relation, "a join takes a condition").hint("write JOIN … ON a.x = b.y"));
    };
    let on = Lowering::new(scope).filter(condition)?;
    Ok(if outer { Join::Left(on) } else { Join::Inner(on) })
}

fn factor(factor: &TableFactor, scope: &mut Scope) -> Result<&'static Table, SqlFault> {
    let TableFactor::Table {
        name,
        alias,
        args: None,
        with_hints,
        version: None,
        with_ordinality: false,
        partitions,
        json_path: None,
        sample: None,
        index_hints,
    } = factor
    else {
        return Err(refused(factor));
    };
    if !with_hints.is_empty() || !partitions.is_empty() || !index_hints.is_empty() {
        return Err(at_factor(factor, "a table can have an alias, and nothing else"));
    }
    let parts = parts(name).ok_or_else(|| at_factor(factor, "this is no name of a table"))?;
    // A dot in quotes is part of a name.
    let plain = parts.iter().all(|part| !part.value.contains('.'));
    let Some(table) = scope.tables.iter().find(|table| plain && table.is_named(&parts)) else {
        let reason = format!("the table {name} can't be queried");
        return Err(at_factor(factor, reason).hint(format!("there are {}", tables())));
    };
    let alias = match alias {
        None => None,
        Some(alias) if alias.columns.is_empty() && alias.at.is_none() => Some(folded(&alias.name)),
        Some(alias) => return Err(SqlFault::at(alias.name.span.start, "an alias is one name")),
    };
    let source = Source { table, alias };
    if scope.sources.iter().any(|other| shown(other) == shown(&source)) {
        let reason = format!("table name \"{}\" specified more than once", shown(&source));
        return Err(at_factor(factor, reason).hint("give one of them an alias"));
    }
    if scope.sources.len() >= MAX_SOURCES {
        return Err(at_factor(factor, format!("a query reads at most {MAX_SOURCES} tables")));
    }
    scope.sources.push(source);
    Ok(table)
}

/// The name by which columns of a source are called.
pub(super) fn shown(source: &Source) -> &str {
    source.alias.as_deref().unwrap_or(source.table.name)
}

/// The tables, for messages.
fn tables() -> String {
    READABLE.iter().map(|table| table.name).collect::<Vec<_>>().join(", ")
}

/// The identifiers of a name; `None` where it is made of anything else.
pub(super) fn parts(name: &ObjectName) -> Option<Vec<Ident>> {
    let part = |part: &ObjectNamePart| match part {
        ObjectNamePart::Identifier(ident) => Some(ident.clone()),
        ObjectNamePart::Function(_) => None,
    };
    name.0.iter().map(part).collect()
}

fn refused(factor: &TableFactor) -> SqlFault {
    match factor {
        TableFactor::Derived { .. } => {
            at_factor(factor, "a subselect can't be queried").hint(format!("name tables: {}", tables()))
        }
        TableFactor::NestedJoin { .. } => {
            at_factor(factor, "joins in parentheses are not known").hint("join from left to right")
        }
        _ => at_factor(factor, "only tables can be queried, no functions")
            .hint(format!("there are {}", tables())),
    }
}

/// A fault where a table stands, as far as that is known.
fn at_factor(factor: &TableFactor, reason: impl Into<String>) -> SqlFault {
    use ast::Spanned;
    let start = factor.span().start;
    let known = (start.line > 0).then(|| Position::from(start));
    // Of a function, the parser knows where its arguments are.
    let within = || match factor {
        TableFactor::TableFunction { expr, .. } => position(expr),
        _ => None,
    };
    SqlFault { position: known.or_else(within), reason: reason.into(), hint: None }
}
