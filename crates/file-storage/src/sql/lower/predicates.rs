//! Conditions that are words: `IS`, `IS DISTINCT FROM`, `LIKE`, `IN`, `BETWEEN`.

use sqlparser::ast;

use super::Lowering;
use crate::sql::{Comparison, Expr, SqlFault, Test, Type};

impl Lowering<'_> {
    pub(super) fn distinct(
        &mut self,
        distinct: bool,
        left: &ast::Expr,
        right: &ast::Expr,
    ) -> Result<Expr, SqlFault> {
        let (left, right) = (self.expr(left)?, self.expr(right)?);
        let comparison = if distinct { Comparison::Distinct } else { Comparison::NotDistinct };
        self.compare(comparison, left, right)
    }

    pub(super) fn is(&mut self, test: Test, operand: &ast::Expr) -> Result<Expr, SqlFault> {
        let operand = self.expr(operand)?;
        let operand = match (test, operand.ty()) {
            (Test::Null | Test::NotNull, Type::Unknown) => self.coerce(operand, Type::Text)?,
            (Test::Null | Test::NotNull, _) | (_, Type::Bool) => operand,
            (_, Type::Unknown) => self.coerce(operand, Type::Bool)?,
            (_, ty) => {
                return Err(self.fault(format!("IS TRUE and IS FALSE take booleans, and this is {ty}")));
            }
        };
        self.made(Expr::Is(test, operand.into()))
    }

    pub(super) fn is_unknown(&mut self, test: Test, operand: &ast::Expr) -> Result<Expr, SqlFault> {
        let operand = self.condition(operand)?;
        self.made(Expr::Is(test, operand.into()))
    }

    pub(super) fn like(
        &mut self,
        (negated, fold_case): (bool, bool),
        text: &ast::Expr,
        pattern: &ast::Expr,
        escape: Option<&ast::Expr>,
    ) -> Result<Expr, SqlFault> {
        let (text, pattern) = (self.expr(text)?, self.expr(pattern)?);
        let (text, pattern) = self.texts("LIKE", text, pattern)?;
        let escape = match escape {
            None => Some('\\'),
            Some(ast::Expr::Value(value)) => match value.value.clone().into_string() {
                Some(sign) if sign.chars().count() <= 1 => sign.chars().next(),
                _ => return Err(self.fault("invalid escape string").hint("one character, or none")),
            },
            Some(_) => return Err(self.fault("ESCAPE takes a literal")),
        };
        self.made(Expr::Like { negated, fold_case, text: text.into(), pattern: pattern.into(), escape })
    }

    pub(super) fn in_list(
        &mut self,
        value: &ast::Expr,
        list: &[ast::Expr],
        negated: bool,
    ) -> Result<Expr, SqlFault> {
        let mut all = vec![self.expr(value)?];
        for item in list {
            all.push(self.expr(item)?);
        }
        let (mut all, ty) = self.alternatives("IN", all)?;
        if matches!(ty, Type::Jsonb | Type::TextArray) {
            return Err(self.fault(format!("IN with {ty} is not known")));
        }
        if ty == Type::Numeric {
            self.is_exact(&all.iter().collect::<Vec<_>>())?;
        }
        let value = all.remove(0);
        self.is_one_of(&value, all, negated)
    }

    /// As PostgreSQL does it: several items that depend on no row are one array, computed as a whole, and each other item is
    /// a comparison of its own. It shows where an item fails, and where one is enough to decide.
    fn is_one_of(&mut self, value: &Expr, list: Vec<Expr>, negated: bool) -> Result<Expr, SqlFault> {
        let is_fixed = |item: &Expr| item.columns().is_empty();
        let fixed = list.iter().filter(|item| is_fixed(item)).count();
        let (array, single) =
            if fixed > 1 { list.into_iter().partition(is_fixed) } else { (Vec::new(), list) };
        let mut parts = Vec::with_capacity(single.len() + 1);
        if !array.is_empty() {
            parts.push(self.made(Expr::In { negated, value: value.clone().into(), list: array })?);
        }
        let comparison = if negated { Comparison::NotEq } else { Comparison::Eq };
        for item in single {
            self.count(value.count())?;
            parts.push(self.compare(comparison, value.clone(), item)?);
        }
        match parts.len() {
            1 => Ok(parts.swap_remove(0)),
            _ => self.connect(negated, parts),
        }
    }

    /// As PostgreSQL does it: `low <= value AND value <= high`.
    pub(super) fn between(
        &mut self,
        value: &ast::Expr,
        negated: bool,
        low: &ast::Expr,
        high: &ast::Expr,
    ) -> Result<Expr, SqlFault> {
        let (value, low, high) = (self.expr(value)?, self.expr(low)?, self.expr(high)?);
        self.count(value.count())?;
        let (below, above) = if negated {
            (Comparison::Less, Comparison::Greater)
        } else {
            (Comparison::GreaterEq, Comparison::LessEq)
        };
        let low = self.compare(below, value.clone(), low)?;
        let high = self.compare(above, value, high)?;
        self.connect(!negated, vec![low, high])
    }
}
