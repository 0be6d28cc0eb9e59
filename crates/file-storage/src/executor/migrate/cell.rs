//! Values on their way from one database to the other, and what shows that they arrived. Knows no SQL.

use aws_lc_rs::digest::{Context, SHA256};
use uuid::Uuid;

use super::json;

/// A value, the same from whichever database it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::executor) enum Cell {
    Null,
    Flag(bool),
    Int(i64),
    /// Microseconds since 1970, in UTC.
    Time(i64),
    Uuid(Uuid),
    Text(String),
    Words(Vec<String>),
    /// JSON as text, spelled as the database spells it.
    Json(String),
    Bytes(Vec<u8>),
}

/// The values of a row, in the order of its table's columns.
pub(in crate::executor) type Row = Vec<Cell>;

/// A row that can't be told from others, or kept: a text or JSON with a character U+0000, or what is no JSON at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no JSON, or has a character U+0000 in it, which PostgreSQL can't keep")]
pub(in crate::executor) struct Unkeepable;

impl Cell {
    /// Bytes that it takes in memory, more or less.
    pub(in crate::executor) fn weight(&self) -> usize {
        match self {
            Self::Null | Self::Flag(_) | Self::Int(_) | Self::Time(_) | Self::Uuid(_) => size_of::<Self>(),
            Self::Text(text) | Self::Json(text) => size_of::<Self>().saturating_add(text.len()),
            Self::Words(words) => words.iter().map(|word| word.len().saturating_add(32)).sum(),
            Self::Bytes(bytes) => size_of::<Self>().saturating_add(bytes.len()),
        }
    }

    /// Adds the value to a digest, with its kind and length, so that no two rows look alike.
    fn add_to(&self, digest: &mut Context, keeper: Keeper) -> Result<(), Unkeepable> {
        let mut part = |kind: u8, bytes: &[u8]| {
            digest.update(&[kind]);
            digest.update(&(bytes.len() as u64).to_le_bytes());
            digest.update(bytes);
        };
        match self {
            Self::Null => part(0, &[]),
            Self::Flag(flag) => part(1, &[u8::from(*flag)]),
            Self::Int(number) => part(2, &number.to_le_bytes()),
            Self::Time(micros) => part(3, &micros.to_le_bytes()),
            Self::Uuid(uuid) => part(4, uuid.as_bytes()),
            Self::Text(text) => part(5, keepable(text, keeper)?),
            Self::Words(words) => {
                part(6, &(words.len() as u64).to_le_bytes());
                for word in words {
                    part(5, keepable(word, keeper)?);
                }
            }
            Self::Json(text) => match json::canonical(text) {
                Some(canonical) => part(7, canonical.as_bytes()),
                None => part(7, keepable_json(text, keeper)?),
            },
            Self::Bytes(bytes) => part(8, bytes),
        }
        Ok(())
    }
}

/// Where rows are to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::executor) enum Keeper {
    /// In PostgreSQL, which can't keep all texts.
    Postgres,
    /// In files, and in databases that keep what they are given.
    Anything,
}

fn keepable(text: &str, keeper: Keeper) -> Result<&[u8], Unkeepable> {
    if keeper == Keeper::Postgres && text.contains('\0') { Err(Unkeepable) } else { Ok(text.as_bytes()) }
}

/// JSON that has no canonical form, as it is spelled.
fn keepable_json(text: &str, keeper: Keeper) -> Result<&[u8], Unkeepable> {
    match keeper {
        Keeper::Postgres => Err(Unkeepable),
        Keeper::Anything => Ok(text.as_bytes()),
    }
}

/// How many rows, and a digest of all of them that does not depend on their order: no two databases sort alike. It is
/// the sum of the rows' SHA-256, eight bytes by eight. It shows what was lost or changed; against somebody who
/// forges rows it is no protection, and needs to be none.
#[derive(Debug, Default)]
pub(in crate::executor) struct Tally {
    rows: u64,
    sums: [u64; 4],
}

impl Tally {
    /// Adds a row that PostgreSQL is to keep.
    pub(in crate::executor) fn add(&mut self, row: &[Cell]) -> Result<(), Unkeepable> {
        self.add_for(row, Keeper::Postgres)
    }

    /// Adds a row, where its keeper can keep it.
    pub(in crate::executor) fn add_for(&mut self, row: &[Cell], keeper: Keeper) -> Result<(), Unkeepable> {
        let mut digest = Context::new(&SHA256);
        for cell in row {
            cell.add_to(&mut digest, keeper)?;
        }
        let digest = digest.finish();
        for (sum, part) in self.sums.iter_mut().zip(digest.as_ref().as_chunks::<8>().0) {
            *sum = sum.wrapping_add(u64::from_be_bytes(*part));
        }
        self.rows = self.rows.saturating_add(1);
        Ok(())
    }

    pub(in crate::executor) fn rows(&self) -> u64 {
        self.rows
    }

    pub(in crate::executor) fn digest(&self) -> String {
        hex::encode(self.sums.map(u64::to_be_bytes).as_flattened())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(rows: &[&[Cell]]) -> String {
        let mut tally = Tally::default();
        rows.iter().for_each(|row| tally.add(row).unwrap());
        tally.digest()
    }

    #[test]
    fn a_digest_tells_rows_apart_and_not_their_order() {
        let text = |text: &str| Cell::Text(text.into());
        let words = |words: &[&str]| Cell::Words(words.iter().map(|&word| word.into()).collect());
        let (one, two) = ([text("a"), Cell::Int(1)], [text("b"), Cell::Null]);
        assert_eq!(digest(&[&one, &two]), digest(&[&two, &one]));
        let mut all = vec![digest(&[]), digest(&[&one]), digest(&[&two]), digest(&[&one, &two])];
        all.extend([digest(&[&[text("ab"), text("")]]), digest(&[&[text("a"), text("b")]])]);
        all.extend([digest(&[&[words(&["a"]), text("b")]]), digest(&[&[words(&["a", "b"])]])]);
        all.extend([digest(&[&[Cell::Int(1)]]), digest(&[&[Cell::Time(1)]]), digest(&[&[Cell::Flag(true)]])]);
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn what_postgresql_cannot_keep_is_found() {
        for cell in [
            Cell::Text("a\0".into()),
            Cell::Words(vec!["\0".into()]),
            Cell::Json(r#"{"a":"\u0000"}"#.into()),
            Cell::Json("{".into()),
        ] {
            assert_eq!(Tally::default().add(&[cell]), Err(Unkeepable));
        }
    }
}
