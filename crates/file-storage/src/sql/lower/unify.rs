//! Which type expressions take beside each other: PostgreSQL's rules, as far as the types here need them.

use super::{Lowering, literal};
use crate::sql::decimal::MAX_DIGITS;
use crate::sql::query;
use crate::sql::{Arithmetic, Expr, SqlFault, Type, Value};

impl Lowering<'_> {
    /// Brings an expression to a type that it becomes by itself: literals take any, integers widen.
    pub(super) fn coerce(&mut self, expr: Expr, to: Type) -> Result<Expr, SqlFault> {
        let from = expr.ty();
        if from == to {
            return Ok(expr);
        }
        match (expr, from, to) {
            (Expr::Literal(value, _), Type::Unknown, to) => self.typed(value, to),
            (expr, Type::Int4, Type::Int8 | Type::Numeric) | (expr, Type::Int8, Type::Numeric) => {
                self.made(Expr::Cast(expr.into(), to))
            }
            // A leniency of ours: Supabase keeps owner_id as text, and we as uuid.
            (expr, Type::Uuid, Type::Text) => self.made(Expr::Cast(expr.into(), Type::Text)),
            _ => Err(self.fault(format!("{from} where {to} is needed")).hint(format!("cast it: (…)::{to}"))),
        }
    }

    /// A literal that takes a type.
    fn typed(&mut self, value: Value<'static>, to: Type) -> Result<Expr, SqlFault> {
        match value {
            Value::Text(text) => self.parsed(&text, to),
            other => Ok(literal(other, to)),
        }
    }

    /// The one type of two expressions; `None` where there is none.
    pub(super) fn common(left: Type, right: Type) -> Option<Type> {
        let wider = |a: Type, b: Type| {
            let rank = |ty| match ty {
                Type::Int4 => 0,
                Type::Int8 => 1,
                _ => 2,
            };
            if rank(a) >= rank(b) { a } else { b }
        };
        match (left, right) {
            (left, right) if left == right => Some(left),
            (Type::Unknown, other) | (other, Type::Unknown) => Some(other),
            (left, right) if left.is_number() && right.is_number() => Some(wider(left, right)),
            (Type::Uuid, Type::Text) | (Type::Text, Type::Uuid) => Some(Type::Text),
            _ => None,
        }
    }

    /// Brings both sides of an operator to one type.
    pub(super) fn both(
        &mut self,
        sign: &str,
        left: Expr,
        right: Expr,
    ) -> Result<(Expr, Expr, Type), SqlFault> {
        let (from, to) = (left.ty(), right.ty());
        let Some(ty) = Self::common(from, to) else {
            let fault = self.fault(format!("operator does not exist: {from} {sign} {to}"));
            return Err(fault.hint("cast one side to the other's type"));
        };
        let ty = if ty == Type::Unknown { Type::Text } else { ty };
        Ok((self.coerce(left, ty)?, self.coerce(right, ty)?, ty))
    }

    /// Brings alternatives (of CASE, COALESCE, IN) to one type.
    pub(super) fn alternatives(&mut self, what: &str, all: Vec<Expr>) -> Result<(Vec<Expr>, Type), SqlFault> {
        let mut ty = Type::Unknown;
        for expr in &all {
            ty = Self::common(ty, expr.ty()).ok_or_else(|| {
                self.fault(format!("{what} has values of the types {ty} and {}", expr.ty()))
            })?;
        }
        let ty = if ty == Type::Unknown { Type::Text } else { ty };
        let all = all.into_iter().map(|expr| self.coerce(expr, ty)).collect::<Result<_, _>>()?;
        Ok((all, ty))
    }

    /// Refuses numbers that could grow beyond what is exact.
    pub(super) fn is_exact(&self, exprs: &[&Expr]) -> Result<(), SqlFault> {
        let (whole, fraction) = exprs.iter().map(|expr| digits(expr)).fold((0, 0), widest);
        if whole.saturating_add(fraction) <= MAX_DIGITS {
            return Ok(());
        }
        let reason = format!("numeric values could have more than {MAX_DIGITS} digits");
        Err(self.fault(reason).hint("use bigint, or shorter numbers"))
    }
}

fn widest(a: (u32, u32), b: (u32, u32)) -> (u32, u32) {
    (a.0.max(b.0), a.1.max(b.1))
}

/// Most digits that a number can have before its point, and after it.
fn digits(expr: &Expr) -> (u32, u32) {
    let all = |exprs: &[&Expr]| exprs.iter().map(|expr| digits(expr)).fold((0, 0), widest);
    match (expr.ty(), expr) {
        (Type::Int4, _) => (10, 0),
        (Type::Int8, _) => (19, 0),
        (_, Expr::Column(column)) => query::digits(*column).unwrap_or((MAX_DIGITS, MAX_DIGITS)),
        (_, Expr::Literal(Value::Numeric(number), _)) => number.digits(),
        (_, Expr::Literal(..)) => (0, 0),
        (_, Expr::Negate(operand) | Expr::Cast(operand, _)) => digits(operand),
        (_, Expr::Arithmetic(op, left, right, _)) => {
            let (left, right) = (digits(left), digits(right));
            match op {
                Arithmetic::Multiply => (left.0.saturating_add(right.0), left.1.saturating_add(right.1)),
                _ => (left.0.max(right.0).saturating_add(1), left.1.max(right.1)),
            }
        }
        (_, Expr::Case(branches, otherwise, _)) => {
            let results = branches.iter().map(|(_, result)| result).chain(otherwise.as_deref());
            all(&results.collect::<Vec<_>>())
        }
        (_, Expr::Coalesce(exprs, _)) => all(&exprs.iter().collect::<Vec<_>>()),
        (_, Expr::NullIf(left, ..)) => digits(left),
        _ => (MAX_DIGITS, MAX_DIGITS),
    }
}
