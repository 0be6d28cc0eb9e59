//! `CASE`, with an operand and without one.

use sqlparser::ast;

use super::Lowering;
use crate::sql::{Comparison, Expr, SqlFault, Value};

impl Lowering<'_> {
    pub(super) fn case(
        &mut self,
        operand: Option<&ast::Expr>,
        branches: &[ast::CaseWhen],
        otherwise: Option<&ast::Expr>,
    ) -> Result<Expr, SqlFault> {
        let operand = operand.map(|operand| self.expr(operand)).transpose()?;
        let (mut conditions, mut results) = (Vec::new(), Vec::new());
        for branch in branches {
            conditions.push(match &operand {
                None => self.condition(&branch.condition)?,
                Some(operand) => {
                    let with = self.expr(&branch.condition)?;
                    self.count(operand.count())?;
                    self.compare(Comparison::Eq, operand.clone(), with)?
                }
            });
            results.push(self.expr(&branch.result)?);
        }
        // Without ELSE, NULL.
        let has_else = otherwise.is_some();
        if let Some(otherwise) = otherwise {
            results.push(self.expr(otherwise)?);
        }
        let (mut results, ty) = self.alternatives("CASE", results)?;
        let otherwise = if has_else { results.pop() } else { None };
        let otherwise = otherwise.filter(|expr| !matches!(expr, Expr::Literal(Value::Null, _)));
        let branches = conditions.into_iter().zip(results).collect();
        self.made(Expr::Case(branches, otherwise.map(Box::new), ty))
    }
}
