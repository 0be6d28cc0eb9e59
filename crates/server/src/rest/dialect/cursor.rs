//! How a page's last entry is written for a client: as Supabase writes it, and opaque.
//!
//! Base64 of lines: `l:` the last name, `o:` the order, `c:` the column, `a:` the entry's time where pages are sorted
//! by one. The sort in a cursor wins over that of its request, so that the pages of one list fit together.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat, Utc};
use file_storage::executor::{Cursor, ObjectSort, SortOrder};

use crate::errors::ApiError;

/// Writes a cursor.
pub(in crate::rest) fn encode(cursor: &Cursor, sort: (ObjectSort, SortOrder)) -> String {
    let column = match sort.0 {
        ObjectSort::Name => "name",
        ObjectSort::CreatedAt => "created_at",
        ObjectSort::UpdatedAt => "updated_at",
    };
    let order = match sort.1 {
        SortOrder::Ascending => "asc",
        SortOrder::Descending => "desc",
    };
    let mut text = format!("l:{}\no:{order}\nc:{column}", cursor.path);
    if let Some(time) = cursor.time {
        text.push_str("\na:");
        text.push_str(&time.to_rfc3339_opts(SecondsFormat::Nanos, true));
    }
    STANDARD.encode(text)
}

/// Reads a cursor.
///
/// # Errors
/// One that is none of ours.
pub(in crate::rest) fn decode(text: &str) -> Result<(Cursor, (ObjectSort, SortOrder)), ApiError> {
    let foreign = || ApiError::schema("body/cursor must be a cursor that a list answered");
    let bytes = STANDARD.decode(text).map_err(|_| foreign())?;
    let text = String::from_utf8(bytes).map_err(|_| foreign())?;
    let mut cursor = Cursor { path: String::new(), time: None };
    let mut sort = (ObjectSort::Name, SortOrder::Ascending);
    for line in text.lines() {
        match line.split_once(':') {
            Some(("l", path)) => path.clone_into(&mut cursor.path),
            Some(("o", "asc")) => sort.1 = SortOrder::Ascending,
            Some(("o", "desc")) => sort.1 = SortOrder::Descending,
            Some(("c", "name")) => sort.0 = ObjectSort::Name,
            Some(("c", "created_at")) => sort.0 = ObjectSort::CreatedAt,
            Some(("c", "updated_at")) => sort.0 = ObjectSort::UpdatedAt,
            Some(("a", time)) => {
                let time = DateTime::parse_from_rfc3339(time).map_err(|_| foreign())?;
                cursor.time = Some(time.with_timezone(&Utc));
            }
            Some(_) | None => return Err(foreign()),
        }
    }
    if cursor.path.is_empty() { Err(foreign()) } else { Ok((cursor, sort)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_its_way_to_the_client_and_back() {
        let time = DateTime::from_timestamp(1_700_000_000, 123_456_789);
        for (path, time, sort) in [
            ("a/b c.txt", None, (ObjectSort::Name, SortOrder::Ascending)),
            ("l:x/", None, (ObjectSort::Name, SortOrder::Descending)),
            ("ä:ö", time, (ObjectSort::CreatedAt, SortOrder::Descending)),
            ("a", time, (ObjectSort::UpdatedAt, SortOrder::Ascending)),
        ] {
            let cursor = Cursor { path: path.to_owned(), time };
            assert_eq!(decode(&encode(&cursor, sort)).unwrap(), (cursor, sort));
        }
        for foreign in ["", "!", "bDo=", "eDp5", "/////w=="] {
            assert!(decode(foreign).is_err(), "{foreign}");
        }
    }
}
