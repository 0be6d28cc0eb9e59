//! `numeric` in SQLite, which has none: sums and averages of bigints, exact, and an order for them. Values of it are
//! texts.

use rusqlite::functions::{Aggregate, Context, FunctionFlags};
use rusqlite::{Connection, Error, Result};

use crate::sql::query::average;
use crate::sql::{Decimal, EvalError};

/// The sum of bigints.
pub(super) const SUM: &str = "aerostore_sum";
/// The average of integers.
pub(super) const AVERAGE: &str = "aerostore_avg";
/// What puts numerics in order.
pub(super) const ORDER: &str = "aerostore_order";

/// All functions here.
pub(super) const NAMES: &[&str] = &[SUM, AVERAGE, ORDER];

/// Makes the functions known to a connection.
pub(super) fn register(conn: &Connection) -> Result<()> {
    let flags =
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_DIRECTONLY;
    conn.create_aggregate_function(SUM, 1, flags, Sum)?;
    conn.create_aggregate_function(AVERAGE, 1, flags, Average)?;
    conn.create_scalar_function(ORDER, 1, flags, |context| {
        let Some(text) = context.get_raw(0).as_str_or_null().map_err(|_| too_large())? else {
            return Ok(None);
        };
        let (whole, rest) = Decimal::read(text).and_then(Decimal::order).ok_or_else(too_large)?;
        // Bytes compare as unsigned numbers do.
        let whole = whole.cast_unsigned() ^ (1 << 127);
        Ok(Some([whole.to_be_bytes(), rest.cast_unsigned().to_be_bytes()].concat()))
    })
}

/// How much came in so far.
#[derive(Debug, Default)]
struct Total {
    sum: i128,
    count: u64,
}

impl Total {
    fn add(&mut self, context: &Context<'_>) -> Result<()> {
        if let Some(number) = context.get::<Option<i64>>(0)? {
            self.sum = self.sum.checked_add(number.into()).ok_or_else(too_large)?;
            self.count = self.count.checked_add(1).ok_or_else(too_large)?;
        }
        Ok(())
    }
}

struct Sum;

impl Aggregate<Total, Option<String>> for Sum {
    fn init(&self, _: &mut Context<'_>) -> Result<Total> {
        Ok(Total::default())
    }

    fn step(&self, context: &mut Context<'_>, total: &mut Total) -> Result<()> {
        total.add(context)
    }

    fn finalize(&self, _: &mut Context<'_>, total: Option<Total>) -> Result<Option<String>> {
        Ok(total.filter(|total| total.count > 0).map(|total| total.sum.to_string()))
    }
}

struct Average;

impl Aggregate<Total, Option<String>> for Average {
    fn init(&self, _: &mut Context<'_>) -> Result<Total> {
        Ok(Total::default())
    }

    fn step(&self, context: &mut Context<'_>, total: &mut Total) -> Result<()> {
        total.add(context)
    }

    fn finalize(&self, _: &mut Context<'_>, total: Option<Total>) -> Result<Option<String>> {
        match total.filter(|total| total.count > 0) {
            None => Ok(None),
            Some(Total { sum, count }) => {
                average(sum, count).map(|number| Some(number.to_string())).ok_or_else(too_large)
            }
        }
    }
}

fn too_large() -> Error {
    Error::UserFunctionError(Box::new(EvalError::row("numeric out of range")))
}
