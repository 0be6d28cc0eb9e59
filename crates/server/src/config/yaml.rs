//! From a YAML text to dotted keys with lines. Takes mappings of scalars and of lists of scalars, which is all
//! that settings need; anchors, aliases and tags are refused, so that a file says what it seems to say.

use std::collections::HashSet;

use saphyr_parser::{Event, Parser, ScalarStyle, StrInput};

use super::keys::SECTIONS;
use super::raw::RawValue;

/// A key of a file: its name with dots, its value, its line.
pub(super) type Entry = (String, RawValue, usize);

/// What is wrong with a file, and in which line.
pub(super) type Mistake = (usize, String);

/// Deepest nesting of keys that is read.
const MAX_DEPTH: usize = 8;

/// Reads all keys of a text.
pub(super) fn entries(text: &str) -> Result<Vec<Entry>, Mistake> {
    let mut reader =
        Reader { events: Parser::new_from_str(text), entries: Vec::new(), names: HashSet::new() };
    reader.document()?;
    Ok(reader.entries)
}

struct Reader<'a> {
    events: Parser<'a, StrInput<'a>>,
    entries: Vec<Entry>,
    names: HashSet<String>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, usize), Mistake> {
        match self.events.next() {
            Some(Ok((event, span))) => {
                let line = span.start.line();
                match &event {
                    Event::Alias(_) => Err((line, "aliases are not taken; write the value out".into())),
                    Event::Scalar(_, _, anchor, tag) if *anchor != 0 || tag.is_some() => Err(plain(line)),
                    Event::SequenceStart(anchor, tag) | Event::MappingStart(anchor, tag)
                        if *anchor != 0 || tag.is_some() =>
                    {
                        Err(plain(line))
                    }
                    _ => Ok((event, line)),
                }
            }
            Some(Err(error)) => Err((error.marker().line(), error.info().to_owned())),
            None => Err((0, "the file ends too early".into())),
        }
    }

    fn document(&mut self) -> Result<(), Mistake> {
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(()),
                (Event::StreamStart | Event::DocumentStart(_), _) => {}
                (Event::MappingStart(..), _) => {
                    self.mapping("", 0)?;
                    break;
                }
                (Event::Scalar(text, ScalarStyle::Plain, ..), _) if text.is_empty() => break,
                (_, line) => return Err((line, "the file is a mapping of keys to values".into())),
            }
        }
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(()),
                (Event::DocumentEnd, _) => {}
                (_, line) => return Err((line, "the file is one document, not several".into())),
            }
        }
    }

    fn mapping(&mut self, prefix: &str, depth: usize) -> Result<(), Mistake> {
        loop {
            let (event, line) = self.next()?;
            let key = match event {
                Event::MappingEnd => return Ok(()),
                Event::Scalar(key, ..) => key,
                _ => return Err((line, "a key is a plain word".into())),
            };
            let name = if prefix.is_empty() { key.into_owned() } else { format!("{prefix}.{key}") };
            // Sections as well: of two with one name, the reader of the file may overlook either.
            if !self.names.insert(name.clone()) {
                return Err((line, format!("{name} is given twice")));
            }
            let value = match self.next()? {
                (Event::MappingStart(..), line) if depth + 1 >= MAX_DEPTH => {
                    return Err((line, "keys are nested too deeply".into()));
                }
                (Event::MappingStart(..), _) => {
                    self.mapping(&name, depth + 1)?;
                    continue;
                }
                (Event::SequenceStart(..), _) => RawValue::Many(self.list(&name)?),
                // A section whose keys are all commented out.
                (Event::Scalar(text, ScalarStyle::Plain, ..), _) if text.is_empty() && is_section(&name) => {
                    continue;
                }
                (Event::Scalar(text, style, ..), line) => RawValue::One(scalar(&name, &text, style, line)?),
                (_, line) => return Err((line, format!("{name} has no value"))),
            };
            self.entries.push((name, value, line));
        }
    }

    fn list(&mut self, name: &str) -> Result<Vec<String>, Mistake> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (Event::Scalar(text, style, ..), line) => items.push(scalar(name, &text, style, line)?),
                (_, line) => return Err((line, format!("{name} is a list of plain values"))),
            }
        }
    }
}

fn scalar(name: &str, text: &str, style: ScalarStyle, line: usize) -> Result<String, Mistake> {
    let nothing = style == ScalarStyle::Plain && matches!(text, "~" | "null" | "Null" | "NULL");
    if nothing || text.is_empty() {
        return Err((line, format!("{name} has no value; leave the key out to get its default")));
    }
    Ok(text.to_owned())
}

fn is_section(name: &str) -> bool {
    let provider = name.strip_prefix("providers.");
    let rule = name.strip_prefix(super::rules::PREFIX);
    name == "providers"
        || name == "lifecycle.rules"
        || rule.is_some_and(|rule| !rule.contains('.'))
        || provider.is_some_and(|provider| !provider.contains('.'))
        || SECTIONS.iter().any(|(section, _)| *section == name)
}

fn plain(line: usize) -> Mistake {
    (line, "anchors and tags are not taken; write plain values".into())
}
