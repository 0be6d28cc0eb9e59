//! Aggregate functions: where they may stand, what each computes becomes a column of [`crate::sql::query`]'s own.

use sqlparser::ast::{self, DuplicateTreatment, FunctionArg, FunctionArgExpr, FunctionArguments};

use super::Lowering;
use crate::sql::query::{Aggregate, AggregateFunction, Aggregates, MAX_COMPUTED, computed};
use crate::sql::scope::Scope;
use crate::sql::{Expr, SqlFault, Type};

impl<'s> Lowering<'s> {
    /// Lowers expressions in which aggregate functions may stand, computed behind so many keys.
    pub(crate) fn gathering(scope: &'s Scope, keys: usize) -> Self {
        let aggregates = Some(Aggregates { keys, all: Vec::new() });
        Self { aggregates, ..Self::new(scope) }
    }

    /// The aggregate functions that were met.
    pub(crate) fn into_aggregates(self) -> Vec<Aggregate> {
        self.aggregates.unwrap_or_default().all
    }

    /// Whether one was met.
    pub(crate) fn has_aggregates(&self) -> bool {
        self.aggregates.as_ref().is_some_and(|aggregates| !aggregates.all.is_empty())
    }

    /// Lowers an expression that stands alone: a text that nothing gave a type is a text.
    ///
    /// # Errors
    /// [`SqlFault`].
    pub(crate) fn value(&mut self, expr: &ast::Expr) -> Result<Expr, SqlFault> {
        let lowered = self.expr(expr)?;
        if lowered.ty() == Type::Unknown { self.coerce(lowered, Type::Text) } else { Ok(lowered) }
    }

    pub(super) fn aggregate(
        &mut self,
        function: AggregateFunction,
        call: &ast::Function,
    ) -> Result<Expr, SqlFault> {
        let name = function.name();
        // While arguments are lowered, there is nowhere to gather to: no aggregate stands in another one.
        let Some(mut aggregates) = self.aggregates.take() else {
            return Err(self.fault(format!("the aggregate function {name} can't stand here")).hint(
                "aggregates stand in the list of columns, in HAVING and in ORDER BY, and not in each other",
            ));
        };
        let made = self.called(function, call);
        let aggregate = match made {
            Ok(aggregate) => aggregate,
            Err(fault) => {
                self.aggregates = Some(aggregates);
                return Err(fault);
            }
        };
        let at = match aggregates.all.iter().position(|known| *known == aggregate) {
            Some(at) => at,
            None => {
                aggregates.all.push(aggregate.clone());
                aggregates.all.len().saturating_sub(1)
            }
        };
        let place = aggregates.keys.saturating_add(at);
        self.aggregates = Some(aggregates);
        if place >= MAX_COMPUTED {
            return Err(self.fault(format!("a query computes at most {MAX_COMPUTED} keys and aggregates")));
        }
        match computed(place, aggregate.ty(), function == AggregateFunction::Average) {
            Some(column) => self.made(Expr::Column(column)),
            None => Err(self.fault(format!("{name} has no value of {}", aggregate.ty()))),
        }
    }

    fn called(&mut self, function: AggregateFunction, call: &ast::Function) -> Result<Aggregate, SqlFault> {
        let name = function.name();
        if call.over.is_some() {
            return Err(self.fault("window functions are not known"));
        }
        let plain = !call.uses_odbc_syntax
            && matches!(call.parameters, FunctionArguments::None)
            && call.within_group.is_empty()
            && call.null_treatment.is_none();
        if call.filter.is_some() {
            return Err(self.fault("FILTER is not known").hint("write count(CASE WHEN … THEN 1 END)"));
        }
        let list = match &call.args {
            FunctionArguments::List(list) if plain && list.clauses.is_empty() => list,
            _ => return Err(self.fault("this form of call is not known")),
        };
        let distinct = list.duplicate_treatment == Some(DuplicateTreatment::Distinct);
        let argument = match list.args.as_slice() {
            [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)]
                if function == AggregateFunction::Count && list.duplicate_treatment.is_none() =>
            {
                return Ok(Aggregate { function, argument: None, distinct: false });
            }
            [FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))] => self.value(argument)?,
            _ => return Err(self.fault(format!("{name} takes one argument"))),
        };
        let ty = argument.ty();
        if function.of(ty).is_none() {
            let fault = self.fault(format!("{name} of {ty} is not known"));
            return Err(match (function, ty) {
                (AggregateFunction::Count, _) => fault.hint("count(*) counts rows"),
                (AggregateFunction::Sum | AggregateFunction::Average, Type::Numeric) => {
                    fault.hint("take it of a bigint, and multiply the result")
                }
                _ => fault,
            });
        }
        Ok(Aggregate { function, argument: Some(argument), distinct })
    }
}
