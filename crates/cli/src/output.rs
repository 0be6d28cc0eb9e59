//! The one place that writes to the terminal: results on stdout, everything else on stderr.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::failure::Failure;

/// Where a command's words go, and in which form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
    quiet: bool,
}

impl Output {
    /// `json`: results and errors as JSON. `quiet`: no notes and no progress.
    pub(crate) fn new(json: bool, quiet: bool) -> Self {
        Self { json, quiet }
    }

    /// Whether results are to be JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether a progress bar has somebody to look at it.
    pub(crate) fn shows_progress(&self) -> bool {
        !self.json && !self.quiet && io::stderr().is_terminal()
    }

    /// One line of a result.
    pub(crate) fn line(&self, text: &str) -> Result<(), Failure> {
        write_out(|out| writeln!(out, "{}", shown(text)))
    }

    /// Text that brings its own line ends.
    pub(crate) fn text(&self, text: &str) -> Result<(), Failure> {
        write_out(|out| out.write_all(shown(text).as_bytes()))
    }

    /// A whole result as indented JSON.
    pub(crate) fn json(&self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value).map_err(anyhow::Error::from)?;
        write_out(|out| writeln!(out, "{text}"))
    }

    /// `value` as JSON where that was asked for, else the lines that `text` makes of it.
    pub(crate) fn result<T: Serialize>(
        &self,
        value: &T,
        text: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        if self.json { self.json(value) } else { self.line(&text(value)) }
    }

    /// Something worth knowing that is not the result.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet && !self.json {
            to_stderr(&shown(text));
        }
    }

    /// A failure of the whole command, or of one of its items.
    pub(crate) fn failure(&self, failure: &Failure) {
        match failure {
            Failure::PipeClosed | Failure::Refused => {}
            // The one item has told its failure.
            Failure::Several { total: 1, .. } => {}
            // NOTE: JSON mode promises one object per failed item on stderr, and nothing else there.
            failure if self.json => to_stderr(&serde_json::json!({ "error": failure.to_json() }).to_string()),
            failure => to_stderr(&shown(&format!("error: {failure}"))),
        }
    }

    /// A failure that belongs to one of many items.
    pub(crate) fn item_failure(&self, item: &str, failure: &Failure) {
        if self.json {
            let mut body = failure.to_json();
            if let Some(map) = body.as_object_mut() {
                map.insert("item".into(), item.into());
            }
            to_stderr(&serde_json::json!({ "error": body }).to_string());
        } else {
            to_stderr(&shown(&format!("error: {}: {failure}", plain(item))));
        }
    }
}

/// Asks on the terminal; `None` where there is nobody to answer.
pub(crate) fn confirm(question: &str) -> io::Result<Option<bool>> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(None);
    }
    let mut err = io::stderr().lock();
    write!(err, "{} [y/N] ", shown(question))?;
    err.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(Some(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")))
}

/// A name on one line. Who may upload chooses names, and a terminal obeys what it is shown: what would move its cursor, ring, or
/// begin a line that looks like one of ours is escaped.
pub(crate) fn plain(name: &str) -> Cow<'_, str> {
    escaped(name, char::is_control)
}

/// The same of text that has lines and columns.
fn shown(text: &str) -> Cow<'_, str> {
    escaped(text, |c| c.is_control() && !matches!(c, '\n' | '\t'))
}

fn escaped(text: &str, is_unfit: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&is_unfit) {
        return Cow::Borrowed(text);
    }
    let mut fit = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unfit(c) { fit.extend(c.escape_default()) } else { fit.push(c) }
    }
    Cow::Owned(fit)
}

/// Columns padded to their widest cell; the columns in `right` are aligned to the right. Each cell is on one line.
pub(crate) fn table(rows: &[Vec<String>], right: &[usize]) -> String {
    let rows: Vec<Vec<Cow<'_, str>>> =
        rows.iter().map(|row| row.iter().map(|cell| plain(cell)).collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let render = |row: &Vec<Cow<'_, str>>| {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            if right.contains(&column) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(render).collect::<Vec<_>>().join("\n")
}

fn write_out(write: impl FnOnce(&mut io::StdoutLock<'_>) -> io::Result<()>) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match write(&mut out).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::PipeClosed),
        Err(error) => Err(error.into()),
    }
}

fn to_stderr(text: &str) {
    // A closed stderr leaves nowhere to say so.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::{plain, shown, table};

    #[test]
    fn a_table_aligns_its_columns() {
        let rows = [vec!["a".to_owned(), "10".to_owned()], vec!["bcd".to_owned(), "5".to_owned()]];
        assert_eq!(table(&rows, &[1]), "a    10\nbcd   5");
        assert_eq!(table(&[], &[]), "");
    }

    #[test]
    fn a_name_moves_no_cursor_and_begins_no_line() {
        let name = "ä\u{1b}]0;x\u{7}\n\u{9b}2J";
        assert_eq!(plain(name), "ä\\u{1b}]0;x\\u{7}\\n\\u{9b}2J");
        assert_eq!(table(&[vec!["a\nb".to_owned(), "c".to_owned()]], &[]), "a\\nb  c");
        assert_eq!(shown("a\t\u{7f}\nb"), "a\t\\u{7f}\nb", "lines stay");
    }
}
