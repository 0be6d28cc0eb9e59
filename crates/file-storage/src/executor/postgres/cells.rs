//! Values that are moved, in PostgreSQL's binary format.

use std::error::Error;

use bytes::{BufMut, BytesMut};
use chrono::{DateTime, Utc};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use uuid::Uuid;

use crate::executor::migrate::cell::Cell;

type Failed = Box<dyn Error + Sync + Send>;

/// Precedes the text of `jsonb`.
const JSONB_VERSION: u8 = 1;

/// Types that values are moved as.
fn is_known(ty: &Type) -> bool {
    matches!(
        *ty,
        Type::BOOL
            | Type::INT4
            | Type::INT8
            | Type::TIMESTAMPTZ
            | Type::UUID
            | Type::TEXT
            | Type::TEXT_ARRAY
            | Type::JSONB
            | Type::BYTEA
    )
}

impl ToSql for Cell {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Failed> {
        match (self, ty) {
            (Self::Null, _) => Ok(IsNull::Yes),
            (Self::Flag(flag), &Type::BOOL) => flag.to_sql(ty, out),
            (Self::Int(number), &Type::INT4) => i32::try_from(*number)?.to_sql(ty, out),
            (Self::Int(number), &Type::INT8) => number.to_sql(ty, out),
            (Self::Time(micros), &Type::TIMESTAMPTZ) => {
                DateTime::from_timestamp_micros(*micros).ok_or("a time out of range")?.to_sql(ty, out)
            }
            (Self::Uuid(uuid), &Type::UUID) => uuid.to_sql(ty, out),
            (Self::Text(text), &Type::TEXT) => text.to_sql(ty, out),
            (Self::Words(words), &Type::TEXT_ARRAY) => words.to_sql(ty, out),
            (Self::Json(text), &Type::JSONB) => {
                out.put_u8(JSONB_VERSION);
                out.put_slice(text.as_bytes());
                Ok(IsNull::No)
            }
            (Self::Bytes(bytes), &Type::BYTEA) => bytes.to_sql(ty, out),
            _ => Err(format!("a value that is no {ty}").into()),
        }
    }

    fn accepts(ty: &Type) -> bool {
        is_known(ty)
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Cell {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Failed> {
        Ok(match *ty {
            Type::BOOL => Self::Flag(bool::from_sql(ty, raw)?),
            Type::INT4 => Self::Int(i32::from_sql(ty, raw)?.into()),
            Type::INT8 => Self::Int(i64::from_sql(ty, raw)?),
            Type::TIMESTAMPTZ => Self::Time(DateTime::<Utc>::from_sql(ty, raw)?.timestamp_micros()),
            Type::UUID => Self::Uuid(Uuid::from_sql(ty, raw)?),
            Type::TEXT => Self::Text(String::from_sql(ty, raw)?),
            Type::TEXT_ARRAY => Self::Words(Vec::from_sql(ty, raw)?),
            Type::JSONB => match raw.split_first() {
                Some((&JSONB_VERSION, text)) => Self::Json(str::from_utf8(text)?.to_owned()),
                _ => return Err("jsonb of an unknown version".into()),
            },
            Type::BYTEA => Self::Bytes(raw.to_owned()),
            _ => return Err(format!("a {ty}, which is not moved").into()),
        })
    }

    fn from_sql_null(_: &Type) -> Result<Self, Failed> {
        Ok(Self::Null)
    }

    fn accepts(ty: &Type) -> bool {
        is_known(ty)
    }
}
