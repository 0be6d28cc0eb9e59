//! Functions, by the names that Supabase and PostgreSQL give them.

use sqlparser::ast::{self, FunctionArg, FunctionArgExpr, FunctionArguments, ObjectNamePart};

use super::Lowering;
use crate::sql::query::AggregateFunction;
use crate::sql::scope::folded;
use crate::sql::{Expr, Fact, Function, SqlFault, Type, Value};

impl Lowering<'_> {
    pub(super) fn function(&mut self, function: &ast::Function) -> Result<Expr, SqlFault> {
        let name = name(function);
        if let Some(aggregate) = AggregateFunction::named(&name) {
            return self.aggregate(aggregate, function);
        }
        let arguments = self.arguments(function)?;
        let count = arguments.len();
        let known = match (name.as_str(), count) {
            ("current_user_id" | "auth.uid", 0) => return self.made(Expr::Caller(Fact::UserId)),
            ("auth.role", 0) => return self.made(Expr::Caller(Fact::Role)),
            ("auth.jwt", 0) => return self.made(Expr::Caller(Fact::Claims)),
            ("now" | "current_timestamp" | "transaction_timestamp", 0) => return self.made(Expr::Now),
            ("coalesce", 1..) => {
                let (all, ty) = self.alternatives("COALESCE", arguments)?;
                return self.made(Expr::Coalesce(all, ty));
            }
            ("nullif", 2) => return self.nullif(arguments),
            ("storage.foldername", 1) => Function::Foldername,
            ("storage.filename", 1) => Function::Filename,
            ("storage.extension", 1) => Function::Extension,
            ("lower", 1) => Function::Lower,
            ("upper", 1) => Function::Upper,
            ("length" | "char_length" | "character_length", 1) => Function::Length,
            ("split_part", 3) => Function::SplitPart,
            ("starts_with", 2) => Function::StartsWith,
            ("array_length", 2) => Function::ArrayLength,
            ("cardinality", 1) => Function::Cardinality,
            _ => return Err(self.unknown_function(&name, count)),
        };
        let takes = known.takes().iter();
        let arguments = arguments.into_iter().zip(takes).map(|(argument, ty)| {
            let from = argument.ty();
            // PostgreSQL has none of these functions for uuid.
            if from == Type::Uuid || (from != *ty && from != Type::Unknown) {
                return Err(self
                    .fault(format!("{name} takes {ty}, and this is {from}"))
                    .hint(format!("cast it: (…)::{ty}")));
            }
            self.coerce(argument, *ty)
        });
        let arguments = arguments.collect::<Result<Vec<_>, _>>()?;
        self.made(Expr::Call(known, arguments))
    }

    fn nullif(&mut self, arguments: Vec<Expr>) -> Result<Expr, SqlFault> {
        let Ok([left, right]) = <[Expr; 2]>::try_from(arguments) else {
            return Err(self.fault("NULLIF takes two arguments"));
        };
        let own = left.ty();
        let (left, right, ty) = self.both("=", left, right)?;
        if matches!(ty, Type::Jsonb | Type::TextArray) || (ty == Type::Numeric && own != ty) {
            return Err(self.fault(format!("NULLIF of {own} and {ty} is not known")));
        }
        let made = self.made(Expr::NullIf(left.into(), right.into(), ty))?;
        // The result has the type of the first argument, whatever it was compared as.
        if own == Type::Int4 && ty == Type::Int8 { self.made(Expr::Cast(made.into(), own)) } else { Ok(made) }
    }

    fn arguments(&mut self, function: &ast::Function) -> Result<Vec<Expr>, SqlFault> {
        let plain = !function.uses_odbc_syntax
            && matches!(function.parameters, FunctionArguments::None)
            && function.within_group.is_empty()
            && function.filter.is_none()
            && function.null_treatment.is_none()
            && function.over.is_none();
        let list = match &function.args {
            FunctionArguments::None => &[][..],
            FunctionArguments::List(list)
                if list.duplicate_treatment.is_none() && list.clauses.is_empty() =>
            {
                list.args.as_slice()
            }
            FunctionArguments::Subquery(_) | FunctionArguments::List(_) => {
                return Err(self.fault("this form of call is not known"));
            }
        };
        if !plain {
            return Err(self.fault("this form of call is not known"));
        }
        list.iter()
            .map(|argument| match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => self.expr(expr),
                _ => Err(self.fault("this form of argument is not known")),
            })
            .collect()
    }

    fn unknown_function(&self, name: &str, arguments: usize) -> SqlFault {
        let fault = self.fault(format!("the function {name} with {arguments} arguments is not known"));
        match name {
            "uid" | "role" | "jwt" | "user_id" => fault.hint(format!("write auth.{name}()")),
            "foldername" | "filename" | "extension" => fault.hint(format!("write storage.{name}(name)")),
            "auth.email" => fault.hint("write auth.jwt() ->> 'email'"),
            "current_setting" => fault.hint("write auth.uid(), auth.role() or auth.jwt()"),
            "clock_timestamp" | "statement_timestamp" => fault.hint("write now()"),
            _ => fault,
        }
    }
}

/// The name, lower case unless quoted, with its schema.
fn name(function: &ast::Function) -> String {
    let parts = function.name.0.iter().map(|part| match part {
        ObjectNamePart::Identifier(ident) => folded(ident),
        ObjectNamePart::Function(function) => function.to_string(),
    });
    parts.collect::<Vec<_>>().join(".")
}

impl Lowering<'_> {
    /// `= ANY (array)`.
    pub(super) fn any_of(&mut self, left: &ast::Expr, right: &ast::Expr) -> Result<Expr, SqlFault> {
        let value = self.expr(left)?;
        let array = self.expr(right)?;
        if array.ty() != Type::TextArray {
            return Err(self
                .fault("ANY takes an array of texts")
                .hint("write IN (…), or = ANY (ARRAY['a', 'b'])"));
        }
        if matches!(array, Expr::Literal(Value::Null, _)) {
            return Err(self.fault("ANY takes an array, not NULL"));
        }
        let from = value.ty();
        if !matches!(from, Type::Text | Type::Unknown | Type::Uuid) {
            return Err(self
                .fault(format!("operator does not exist: {from} = text"))
                .hint("cast it: (…)::text"));
        }
        let value = self.coerce(value, Type::Text)?;
        self.made(Expr::AnyOf(value.into(), array.into()))
    }
}
