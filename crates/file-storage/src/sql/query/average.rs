//! Averages, to the digit as PostgreSQL divides: at least 16 significant digits, counted in groups of four.

use crate::sql::Decimal;

/// The base in which PostgreSQL keeps its numbers, and how many digits that are.
const BASE: u128 = 10_000;
const BASE_DIGITS: i32 = 4;

/// Significant digits of a quotient.
const SIGNIFICANT: i32 = 16;

/// A sum divided by a count; `None` where there is nothing to divide, or beyond what is exact.
pub(crate) fn average(sum: i128, count: u64) -> Option<Decimal> {
    let count_wide = u128::from(count);
    if count == 0 {
        return None;
    }
    let scale = scale(sum.unsigned_abs(), count_wide);
    let dividend = sum.unsigned_abs().checked_mul(10_u128.checked_pow(scale)?)?;
    let (quotient, rest) = (dividend / count_wide, dividend % count_wide);
    let rounded = if rest.checked_mul(2)? >= count_wide { quotient.checked_add(1)? } else { quotient };
    let digits = i128::try_from(rounded).ok()?;
    Decimal::new(if sum < 0 { digits.checked_neg()? } else { digits }, scale)
}

/// How many digits follow the point, as `select_div_scale` of PostgreSQL has it.
fn scale(dividend: u128, divisor: u128) -> u32 {
    let ((weight, first), (weight_by, first_by)) = (leading(dividend), leading(divisor));
    let weight = weight - weight_by - i32::from(first <= first_by);
    u32::try_from(SIGNIFICANT - weight * BASE_DIGITS).unwrap_or(0)
}

/// The weight of a number's first group of digits, and that group.
fn leading(mut number: u128) -> (i32, u128) {
    let mut weight = 0;
    while number >= BASE {
        number /= BASE;
        weight += 1;
    }
    (weight, number)
}
