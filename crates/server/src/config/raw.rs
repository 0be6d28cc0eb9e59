//! What was written, before anything is understood: the values of three sources, each with its place.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::{ConfigErrors, KEYS, Key, Setting};

/// Where a value stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nowhere: the default.
    Default,
    /// In a configuration file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, the first being 1; 0 for the file as a whole.
        line: usize,
    },
    /// In an environment variable.
    Variable(String),
    /// In a flag of the command line.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line: 0 } => write!(f, "{}", path.display()),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

/// A flag of the command line that sets a key.
#[derive(Debug, Clone)]
pub struct Flag {
    /// As the user wrote it: `--listen`.
    pub flag: &'static str,
    /// The key it sets: `listen`.
    pub key: &'static str,
    /// Its value.
    pub value: String,
}

/// A value as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RawValue {
    /// One text.
    One(String),
    /// A list.
    Many(Vec<String>),
}

/// The last word of the sources on each key of a table.
#[derive(Debug)]
pub(super) struct RawConfig {
    keys: &'static [Key],
    /// What stands before each key's name where people write it.
    prefix: String,
    entries: BTreeMap<&'static str, (RawValue, Origin)>,
}

impl Default for RawConfig {
    fn default() -> Self {
        Self::below("", KEYS)
    }
}

impl RawConfig {
    /// A table whose keys stand below a name.
    pub(super) fn below(prefix: impl Into<String>, keys: &'static [Key]) -> Self {
        Self { keys, prefix: prefix.into(), entries: BTreeMap::new() }
    }

    /// Sets a key, over what an earlier source said; an unknown one is a mistake.
    pub(super) fn set(&mut self, name: &str, value: RawValue, origin: Origin, errors: &mut ConfigErrors) {
        match self.keys.iter().find(|key| key.name == name) {
            Some(key) => {
                self.entries.insert(key.name, (value, origin));
            }
            None => {
                let unknown = format!("unknown key '{}{name}'", self.prefix);
                errors.add(origin, unknown, did_you_mean(name, self.keys, &self.prefix));
            }
        }
    }

    /// The keys that are set, with the places of their values.
    pub(super) fn said(&self) -> impl Iterator<Item = (&'static str, &Origin)> {
        self.entries.iter().map(|(name, (_, origin))| (*name, origin))
    }

    /// Understands a key's value, or its default.
    pub(super) fn read<T: Setting>(
        &self,
        name: &'static str,
        default: &str,
        errors: &mut ConfigErrors,
    ) -> Option<T> {
        let default = RawValue::One(default.to_owned());
        let value = self.entries.get(name).map_or(&default, |(value, _)| value);
        match T::parse(value) {
            Ok(value) => Some(value),
            Err(problem) => {
                self.refuse(name, &problem, errors);
                None
            }
        }
    }

    /// Passes a value on if it also passes its key's check.
    pub(super) fn checked<T>(
        &self,
        name: &'static str,
        value: Option<T>,
        check: impl Fn(&T) -> Result<(), String>,
        errors: &mut ConfigErrors,
    ) -> Option<T> {
        let value = value?;
        match check(&value) {
            Ok(()) => Some(value),
            Err(problem) => {
                self.refuse(name, &problem, errors);
                None
            }
        }
    }

    /// Notes that a key's value is a mistake.
    pub(super) fn refuse(&self, name: &str, problem: &str, errors: &mut ConfigErrors) {
        errors.add(self.origin(name), format!("{}{name}: {problem}", self.prefix), None);
    }

    /// Where a key's value stands.
    pub(super) fn origin(&self, name: &str) -> Origin {
        self.entries.get(name).map_or(Origin::Default, |(_, origin)| origin.clone())
    }
}

/// The known key that an unknown one was probably meant to be.
fn did_you_mean(name: &str, keys: &'static [Key], prefix: &str) -> Option<String> {
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    let key = keys
        .iter()
        .map(|key| {
            // The right word in the wrong section is a near miss, too.
            let whole = strsim::damerau_levenshtein(name, key.name);
            let word = 2 + strsim::damerau_levenshtein(&last(name), &last(key.name));
            (whole.min(word), key.name)
        })
        .min()
        .filter(|(distance, best)| *distance <= 2.max(best.len() / 4))?;
    Some(format!("did you mean '{prefix}{}'?", key.1))
}

/// The known variable that an unknown one was probably meant to be.
pub(super) fn did_you_mean_variable(name: &str) -> Option<String> {
    let variables = KEYS.iter().map(Key::variable);
    let (distance, best) = variables.map(|v| (strsim::damerau_levenshtein(name, &v), v)).min()?;
    (distance <= 3).then(|| format!("did you mean '{best}'?"))
}
