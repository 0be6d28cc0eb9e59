//! `numeric`, as far as it is exact in 128 bits. That no value grows beyond is proved when an expression is lowered.

use std::cmp::Ordering;
use std::fmt;

/// Most digits that a value can have.
pub(super) const MAX_DIGITS: u32 = 38;

/// A number with a fixed count of digits after its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decimal {
    mantissa: i128,
    scale: u32,
}

impl Decimal {
    /// The number of a literal without sign and exponent; `None` where it is no such number, or too long.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = format!("{whole}{fraction}");
        let fits = !digits.is_empty() && digits.len() <= usize::try_from(MAX_DIGITS).ok()?;
        if !fits || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        Some(Self { mantissa: digits.parse().ok()?, scale: u32::try_from(fraction.len()).ok()? })
    }

    /// Digits before the point, and after it.
    pub(super) fn digits(self) -> (u32, u32) {
        let all = self.mantissa.unsigned_abs().checked_ilog10().map_or(1, |log| log + 1);
        (all.saturating_sub(self.scale).max(1), self.scale)
    }

    /// Both numbers with the same count of digits after their points.
    fn aligned(self, other: Self) -> Option<(i128, i128, u32)> {
        let scale = self.scale.max(other.scale);
        let widen = |number: Self| {
            number.mantissa.checked_mul(10_i128.checked_pow(scale.checked_sub(number.scale)?)?)
        };
        Some((widen(self)?, widen(other)?, scale))
    }

    pub(super) fn add(self, other: Self) -> Option<Self> {
        let (left, right, scale) = self.aligned(other)?;
        Some(Self { mantissa: left.checked_add(right)?, scale })
    }

    pub(super) fn subtract(self, other: Self) -> Option<Self> {
        self.add(other.negate()?)
    }

    pub(super) fn multiply(self, other: Self) -> Option<Self> {
        let mantissa = self.mantissa.checked_mul(other.mantissa)?;
        Some(Self { mantissa, scale: self.scale.checked_add(other.scale)? })
    }

    pub(super) fn negate(self) -> Option<Self> {
        Some(Self { mantissa: self.mantissa.checked_neg()?, scale: self.scale })
    }

    pub(super) fn compare(self, other: Self) -> Option<Ordering> {
        match self.aligned(other) {
            Some((left, right, _)) => Some(left.cmp(&right)),
            None => Some(self.order()?.cmp(&other.order()?)),
        }
    }

    /// The whole part, rounded down, and the rest in units of the last digit that a value can have: in this order,
    /// values compare.
    pub(crate) fn order(self) -> Option<(i128, i128)> {
        let unit = 10_i128.checked_pow(self.scale)?;
        let rest = self.mantissa.checked_rem_euclid(unit)?;
        let widened = rest.checked_mul(10_i128.checked_pow(MAX_DIGITS.checked_sub(self.scale)?)?)?;
        Some((self.mantissa.checked_div_euclid(unit)?, widened))
    }

    /// A number by its digits and how many of them stand after the point; `None` where those are too many.
    pub(crate) fn new(mantissa: i128, scale: u32) -> Option<Self> {
        (scale <= MAX_DIGITS).then_some(Self { mantissa, scale })
    }

    /// The number of a text as [`fmt::Display`] writes it.
    pub(crate) fn read(text: &str) -> Option<Self> {
        match text.strip_prefix('-') {
            Some(digits) => Self::parse(digits)?.negate(),
            None => Self::parse(text),
        }
    }
}

impl From<i64> for Decimal {
    fn from(number: i64) -> Self {
        Self { mantissa: number.into(), scale: 0 }
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.mantissa < 0 { "-" } else { "" };
        let scale = usize::try_from(self.scale).unwrap_or(0);
        let digits = format!("{:0>width$}", self.mantissa.unsigned_abs(), width = scale + 1);
        let (whole, fraction) = digits.split_at_checked(digits.len() - scale).unwrap_or((&digits, ""));
        match fraction {
            "" => write!(f, "{sign}{whole}"),
            fraction => write!(f, "{sign}{whole}.{fraction}"),
        }
    }
}
