//! Casts that are written down.

use sqlparser::ast::{self, CastKind, DataType};

use super::Lowering;
use crate::sql::{Expr, SqlFault, Type};

impl Lowering<'_> {
    pub(super) fn type_named(&self, data_type: &DataType) -> Result<Type, SqlFault> {
        let name = data_type.to_string();
        Type::named(&name).ok_or_else(|| {
            self.fault(format!("the type {name} is not known")).hint(
                "boolean, integer, bigint, numeric, text, uuid, timestamptz, interval, jsonb and text[] are",
            )
        })
    }

    pub(super) fn cast(
        &mut self,
        kind: &CastKind,
        expr: &ast::Expr,
        data_type: &DataType,
        format: bool,
    ) -> Result<Expr, SqlFault> {
        if !matches!(kind, CastKind::Cast | CastKind::DoubleColon) || format {
            return Err(self.fault("of casts, only CAST (… AS …) and :: are known"));
        }
        let operand = self.expr(expr)?;
        let ty = self.type_named(data_type)?;
        self.cast_to(operand, ty)
    }

    fn cast_to(&mut self, operand: Expr, to: Type) -> Result<Expr, SqlFault> {
        use Type as T;
        let from = operand.ty();
        match (from, to) {
            (T::Unknown, _) => self.coerce(operand, to),
            (from, to) if from == to => Ok(operand),
            (T::Int4, T::Int8 | T::Numeric | T::Text)
            | (T::Int8, T::Int4 | T::Numeric | T::Text)
            | (T::Bool, T::Text | T::Int4)
            | (T::Uuid | T::Jsonb, T::Text)
            | (T::Text, T::Bool | T::Int4 | T::Int8 | T::Uuid) => self.made(Expr::Cast(operand.into(), to)),
            (T::Text, T::Timestamptz | T::Interval | T::Numeric | T::Jsonb) => Err(self
                .fault(format!("only a literal can be cast to {to}, no text that is computed"))
                .hint("compare texts, or cast to bigint")),
            (T::Jsonb, T::Bool | T::Int4 | T::Int8 | T::Numeric | T::Uuid) => Err(self
                .fault(format!("jsonb can't be cast to {to} here"))
                .hint(format!("take it out as text by ->> and cast that: (… ->> 'key')::{to}"))),
            _ => Err(self.fault(format!("{from} can't be cast to {to} here"))),
        }
    }
}
