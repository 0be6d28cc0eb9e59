//! The one place that writes to the terminal: results on stdout, everything else on stderr.

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
        write_out(|out| writeln!(out, "{text}"))
    }

    /// Text that brings its own line ends.
    pub(crate) fn text(&self, text: &str) -> Result<(), Failure> {
        write_out(|out| out.write_all(text.as_bytes()))
    }

    /// A whole result as indented JSON.
    pub(crate) fn json(&self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value).map_err(anyhow::Error::from)?;
        self.line(&text)
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
            to_stderr(text);
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
            failure => to_stderr(&format!("error: {failure}")),
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
            to_stderr(&format!("error: {item}: {failure}"));
        }
    }
}

/// Asks on the terminal; `None` where there is nobody to answer.
pub(crate) fn confirm(question: &str) -> io::Result<Option<bool>> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(None);
    }
    let mut err = io::stderr().lock();
    write!(err, "{question} [y/N] ")?;
    err.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(Some(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")))
}

/// Columns padded to their widest cell; the columns in `right` are aligned to the right.
pub(crate) fn table(rows: &[Vec<String>], right: &[usize]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let render = |row: &Vec<String>| {
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
    use super::table;

    #[test]
    fn a_table_aligns_its_columns() {
        let rows = [vec!["a".to_owned(), "10".to_owned()], vec!["bcd".to_owned(), "5".to_owned()]];
        assert_eq!(table(&rows, &[1]), "a    10\nbcd   5");
        assert_eq!(table(&[], &[]), "");
    }
}
