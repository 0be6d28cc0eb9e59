//! Operators that are signs, and AND, OR and NOT.

use sqlparser::ast::{self, BinaryOperator as B, UnaryOperator};

use super::Lowering;
use crate::sql::{Arithmetic, Comparison, Expr, Function, SqlFault, Type};

impl Lowering<'_> {
    /// A chain of operators, which the parser builds as a tree as deep as the chain is long: its left edge is walked,
    /// not descended.
    pub(super) fn binary(&mut self, left: &ast::Expr, op: &B, right: &ast::Expr) -> Result<Expr, SqlFault> {
        let mut rest = vec![(op, right)];
        let mut first = left;
        while let ast::Expr::BinaryOp { left, op, right } = first {
            rest.push((op, right));
            first = left;
        }
        if let Some(at) = super::leaf_position(first) {
            self.at = at;
        }
        let mut made = self.expr(first)?;
        let mut rest = rest.into_iter().rev().peekable();
        let mut depth = 0;
        while let Some((op, right)) = rest.next() {
            depth += 1;
            if depth + self.depth > super::MAX_DEPTH && !matches!(op, B::And | B::Or) {
                return Err(self.fault("the chain of operators is too long"));
            }
            made = match op {
                B::And | B::Or => {
                    let mut all = vec![made, self.expr(right)?];
                    while let Some((_, right)) = rest.next_if(|(next, _)| *next == op) {
                        all.push(self.expr(right)?);
                    }
                    self.connect(matches!(op, B::And), all)?
                }
                op => {
                    let right = self.expr(right)?;
                    self.operate(made, op, right)?
                }
            };
        }
        Ok(made)
    }

    pub(super) fn connect(&mut self, and: bool, all: Vec<Expr>) -> Result<Expr, SqlFault> {
        let all = all.into_iter().map(|expr| match expr.ty() {
            Type::Bool | Type::Unknown => self.coerce(expr, Type::Bool),
            ty => Err(self.fault(format!("AND and OR take booleans, and this is {ty}"))),
        });
        let all = all.collect::<Result<Vec<_>, _>>()?;
        self.made(if and { Expr::And(all) } else { Expr::Or(all) })
    }

    fn operate(&mut self, left: Expr, op: &B, right: Expr) -> Result<Expr, SqlFault> {
        match op {
            B::Eq => self.compare(Comparison::Eq, left, right),
            B::NotEq => self.compare(Comparison::NotEq, left, right),
            B::Lt => self.compare(Comparison::Less, left, right),
            B::LtEq => self.compare(Comparison::LessEq, left, right),
            B::Gt => self.compare(Comparison::Greater, left, right),
            B::GtEq => self.compare(Comparison::GreaterEq, left, right),
            B::Plus => self.arithmetic(Arithmetic::Add, left, right),
            B::Minus => self.arithmetic(Arithmetic::Subtract, left, right),
            B::Multiply => self.arithmetic(Arithmetic::Multiply, left, right),
            B::Divide => self.arithmetic(Arithmetic::Divide, left, right),
            B::Modulo => self.arithmetic(Arithmetic::Remainder, left, right),
            B::StringConcat => self.concat(left, right),
            B::Arrow => self.json(false, left, right),
            B::LongArrow => self.json(true, left, right),
            B::Question => self.of_json(Function::JsonHas, "?", left, right),
            B::AtArrow => self.of_json(Function::JsonContains, "@>", left, right),
            B::PGRegexMatch | B::PGRegexIMatch | B::PGRegexNotMatch | B::PGRegexNotIMatch => {
                Err(self.fault("regular expressions are not known").hint("use LIKE or ILIKE"))
            }
            B::PGLikeMatch | B::PGNotLikeMatch | B::PGILikeMatch | B::PGNotILikeMatch => {
                Err(self.fault(format!("the operator {op} is not known")).hint("use LIKE or ILIKE"))
            }
            other => Err(self.fault(format!("the operator {other} is not known"))),
        }
    }

    pub(super) fn compare(
        &mut self,
        comparison: Comparison,
        left: Expr,
        right: Expr,
    ) -> Result<Expr, SqlFault> {
        let (left, right, ty) = self.both(comparison.sign(), left, right)?;
        if comparison.is_order() && matches!(ty, Type::Jsonb | Type::TextArray) {
            return Err(self.fault(format!("values of {ty} have no order here")));
        }
        if ty == Type::Numeric {
            self.is_exact(&[&left, &right])?;
        }
        self.made(Expr::Compare(comparison, left.into(), right.into()))
    }

    fn arithmetic(&mut self, op: Arithmetic, left: Expr, right: Expr) -> Result<Expr, SqlFault> {
        use Arithmetic::{Add, Subtract};
        let ty = match (op, left.ty(), right.ty()) {
            (Add | Subtract, Type::Timestamptz, Type::Interval)
            | (Add, Type::Interval, Type::Timestamptz) => Type::Timestamptz,
            (Subtract, Type::Timestamptz, Type::Timestamptz)
            | (Add | Subtract, Type::Interval, Type::Interval) => Type::Interval,
            (_, Type::Timestamptz | Type::Interval, Type::Unknown)
            | (_, Type::Unknown, Type::Timestamptz | Type::Interval) => {
                return Err(self
                    .fault("what stands beside a time must have a type")
                    .hint("write interval '1 day'"));
            }
            (_, from, to) => return self.numbers(op, (left, from), (right, to)),
        };
        self.made(Expr::Arithmetic(op, left.into(), right.into(), ty))
    }

    fn numbers(&mut self, op: Arithmetic, left: (Expr, Type), right: (Expr, Type)) -> Result<Expr, SqlFault> {
        let unknown = |ty| ty == Type::Unknown;
        let number = |ty: Type| ty.is_number() || unknown(ty);
        if !number(left.1) || !number(right.1) || (unknown(left.1) && unknown(right.1)) {
            let reason = format!("operator does not exist: {} {} {}", left.1, op.sign(), right.1);
            return Err(self.fault(reason));
        }
        let (left, right, ty) = self.both(op.sign(), left.0, right.0)?;
        if ty == Type::Numeric && matches!(op, Arithmetic::Divide | Arithmetic::Remainder) {
            return Err(self
                .fault("numeric values can't be divided here")
                .hint("divide integers, or multiply the other side of the comparison"));
        }
        let made = Expr::Arithmetic(op, left.into(), right.into(), ty);
        if ty == Type::Numeric {
            self.is_exact(&[&made])?;
        }
        self.made(made)
    }

    pub(super) fn unary(&mut self, op: UnaryOperator, operand: &ast::Expr) -> Result<Expr, SqlFault> {
        match op {
            UnaryOperator::Not => {
                let operand = self.condition(operand)?;
                self.made(Expr::Not(operand.into()))
            }
            UnaryOperator::Plus | UnaryOperator::Minus => {
                let operand = self.expr(operand)?;
                let ty = operand.ty();
                if !ty.is_number() && ty != Type::Interval {
                    return Err(self.fault(format!("operator does not exist: {op} {ty}")));
                }
                if op == UnaryOperator::Plus { Ok(operand) } else { self.made(Expr::Negate(operand.into())) }
            }
            other => Err(self.fault(format!("the operator {other} is not known"))),
        }
    }

    fn concat(&mut self, left: Expr, right: Expr) -> Result<Expr, SqlFault> {
        let (left, right) = self.texts("||", left, right)?;
        self.made(Expr::Concat(left.into(), right.into()))
    }

    /// Both sides of what takes texts alone.
    pub(super) fn texts(&mut self, sign: &str, left: Expr, right: Expr) -> Result<(Expr, Expr), SqlFault> {
        for side in [&left, &right] {
            let ty = side.ty();
            if !matches!(ty, Type::Text | Type::Unknown) {
                let reason = format!("{sign} takes texts, and this is {ty}");
                return Err(self.fault(reason).hint("cast it: (…)::text"));
            }
        }
        Ok((self.coerce(left, Type::Text)?, self.coerce(right, Type::Text)?))
    }

    fn json(&mut self, as_text: bool, left: Expr, right: Expr) -> Result<Expr, SqlFault> {
        let sign = if as_text { "->>" } else { "->" };
        let (from, key) = (left.ty(), right.ty());
        if from != Type::Jsonb {
            let reason = format!("operator does not exist: {from} {sign} {key}");
            let hint = if from == Type::Text {
                "->> gives a text: go deeper by ->"
            } else {
                "only jsonb has fields"
            };
            return Err(self.fault(reason).hint(hint));
        }
        let right = match key {
            Type::Text | Type::Int4 => right,
            Type::Unknown => self.coerce(right, Type::Text)?,
            key => return Err(self.fault(format!("operator does not exist: jsonb {sign} {key}"))),
        };
        self.made(Expr::Json(as_text, left.into(), right.into()))
    }

    /// What asks whether something is in a `jsonb`.
    fn of_json(&mut self, asked: Function, sign: &str, left: Expr, right: Expr) -> Result<Expr, SqlFault> {
        let (from, what) = (left.ty(), right.ty());
        let takes = asked.takes().get(1).copied().unwrap_or(Type::Text);
        if from != Type::Jsonb || (what != takes && what != Type::Unknown) {
            let fault = self.fault(format!("operator does not exist: {from} {sign} {what}"));
            return Err(if from == Type::Text {
                fault.hint("->> gives a text: go there by ->")
            } else {
                fault
            });
        }
        let right = self.coerce(right, takes)?;
        self.made(Expr::Call(asked, vec![left, right]))
    }
}
