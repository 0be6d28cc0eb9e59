//! Texts as literals: the one function per engine. What goes in comes out of the engine unchanged, whatever it is.

/// A text as PostgreSQL's literal, whatever `standard_conforming_strings` says.
pub fn quote_postgres(text: &str) -> String {
    // A NUL can be in no text of PostgreSQL's, and is refused before: here it is left out.
    let text = text.replace('\0', "").replace('\'', "''");
    if text.contains('\\') { format!(" E'{}'", text.replace('\\', "\\\\")) } else { format!("'{text}'") }
}

/// A text as SQLite's literal.
pub fn quote_sqlite(text: &str) -> String {
    // SQLite reads statements up to the first NUL.
    format!("'{}'", text.replace('\0', "").replace('\'', "''"))
}

/// A name as PostgreSQL's identifier.
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('\0', "").replace('"', "\"\""))
}
