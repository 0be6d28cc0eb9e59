//! Literals: as they stand, and as texts that take a type.

use std::borrow::Cow;

use sqlparser::ast;

use super::{Lowering, literal};
use crate::sql::eval::cast;
use crate::sql::{Decimal, Expr, SqlFault, Type, Value};

impl Lowering<'_> {
    pub(super) fn literal(&mut self, value: &ast::Value) -> Result<Expr, SqlFault> {
        let made = match value {
            ast::Value::Number(digits, false) => return self.number(digits),
            ast::Value::SingleQuotedString(text) | ast::Value::EscapedStringLiteral(text) => unknown(text),
            ast::Value::DollarQuotedString(quoted) => unknown(&quoted.value),
            ast::Value::Boolean(value) => literal(Value::Bool(*value), Type::Bool),
            ast::Value::Null => literal(Value::Null, Type::Unknown),
            ast::Value::Placeholder(name) => return self.parameter(name),
            _ => return Err(self.fault("this kind of literal is not known")),
        };
        if let Expr::Literal(Value::Text(text), _) = &made
            && text.contains('\0')
        {
            return Err(self.fault("a text can't hold a NUL character"));
        }
        self.made(made)
    }

    fn number(&mut self, digits: &str) -> Result<Expr, SqlFault> {
        let made = if let Ok(number) = digits.parse::<i32>() {
            literal(Value::Int(number.into()), Type::Int4)
        } else if let Ok(number) = digits.parse::<i64>() {
            literal(Value::Int(number), Type::Int8)
        } else if let Some(number) = Decimal::parse(digits) {
            literal(Value::Numeric(number), Type::Numeric)
        } else {
            return Err(self.fault("this number is not known").hint("write it out, with at most 38 digits"));
        };
        self.made(made)
    }

    fn parameter(&mut self, name: &str) -> Result<Expr, SqlFault> {
        let number = name.strip_prefix('$').and_then(|number| number.parse::<usize>().ok());
        let parameters = &self.scope.parameters;
        match number.and_then(|number| parameters.get(number.checked_sub(1)?)) {
            Some((value, ty)) => {
                let made = literal(value.clone(), *ty);
                self.made(made)
            }
            None => Err(self.fault(format!("there is no parameter {name}"))),
        }
    }

    pub(super) fn typed_string(&mut self, typed: &ast::TypedString) -> Result<Expr, SqlFault> {
        let made = self.literal(&typed.value.value)?;
        let ty = self.type_named(&typed.data_type)?;
        self.coerce(made, ty)
    }

    /// `interval '1 day'` and `interval '1' day`.
    pub(super) fn interval(&mut self, interval: &ast::Interval) -> Result<Expr, SqlFault> {
        let value = self.expr(&interval.value)?;
        let plain = interval.leading_precision.is_none()
            && interval.last_field.is_none()
            && interval.fractional_seconds_precision.is_none();
        match (value, &interval.leading_field) {
            (Expr::Literal(Value::Text(text), Type::Unknown), None) if plain => {
                self.parsed(&text, Type::Interval)
            }
            (Expr::Literal(Value::Text(text), Type::Unknown), Some(field)) if plain => {
                self.parsed(&format!("{text} {field}"), Type::Interval)
            }
            _ => Err(self.fault("this form of interval is not known").hint("write interval '1 day'")),
        }
    }

    pub(super) fn array(&mut self, array: &ast::Array) -> Result<Expr, SqlFault> {
        let mut elements = Vec::with_capacity(array.elem.len());
        for element in &array.elem {
            let element = self.expr(element)?;
            if !matches!(element.ty(), Type::Text | Type::Unknown | Type::Uuid) {
                return Err(self.fault("arrays are of texts").hint("cast the element: (…)::text"));
            }
            elements.push(self.coerce(element, Type::Text)?);
        }
        self.made(Expr::Array(elements))
    }

    /// A quoted text as a value of a type.
    pub(super) fn parsed(&mut self, text: &str, ty: Type) -> Result<Expr, SqlFault> {
        let value = match ty {
            Type::Text | Type::Unknown => Ok(Value::Text(Cow::Owned(text.to_owned()))),
            Type::Timestamptz => cast::timestamp(text).map(Value::Time),
            Type::Interval => cast::interval(text).map(Value::Interval),
            Type::Jsonb => cast::json(text).map(|json| Value::Json(Cow::Owned(json))),
            Type::TextArray => {
                return Err(self.fault("arrays in quotes are not known").hint("write ARRAY['a', 'b']"));
            }
            Type::Numeric => {
                let (negative, digits) = match text.trim().strip_prefix('-') {
                    Some(digits) => (true, digits),
                    None => (false, text.trim()),
                };
                let number = Decimal::parse(digits);
                let number = if negative { number.and_then(Decimal::negate) } else { number };
                number.map(Value::Numeric).ok_or_else(|| cast::invalid(Type::Numeric))
            }
            Type::Bool | Type::Int4 | Type::Int8 | Type::Uuid => cast::from_text(text, ty),
        };
        let value = value.map_err(|error| self.fault(error.to_string()))?;
        Ok(literal(value, ty))
    }
}

fn unknown(text: &str) -> Expr {
    literal(Value::Text(Cow::Owned(text.to_owned())), Type::Unknown)
}
