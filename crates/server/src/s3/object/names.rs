//! How names are told in lists: as they are, or in URL encoding, where the client asked for it.

use percent_encoding::utf8_percent_encode;
use s3s::dto::EncodingType;

use super::list::IN_KEYS;
use crate::s3::failure::Failure;
use crate::s3::xml;

/// The encoding that was asked for.
#[derive(Debug, Clone, Copy)]
pub(in crate::s3) struct Names {
    encodes: bool,
}

impl Names {
    /// Names as they are.
    pub(in crate::s3) fn plain() -> Self {
        Self { encodes: false }
    }

    /// What a request asks for.
    ///
    /// # Errors
    /// An encoding that is not known.
    pub(in crate::s3) fn of(asked: Option<&EncodingType>) -> Result<Self, Failure> {
        match asked.map(EncodingType::as_str) {
            None | Some("") => Ok(Self::plain()),
            Some(EncodingType::URL) => Ok(Self { encodes: true }),
            Some(_) => Err(Failure::argument("Invalid Encoding Method specified in Request")),
        }
    }

    /// Refuses what the answer would have to repeat and can't.
    ///
    /// # Errors
    /// `InvalidArgument`.
    pub(in crate::s3) fn check(self, parameter: &str, text: &str) -> Result<(), Failure> {
        match self.encodes || text.chars().all(xml::has) {
            true => Ok(()),
            false => Err(Failure::argument(format!("{parameter} has a character that XML can't have"))),
        }
    }

    /// The same of parameters that may be missing.
    ///
    /// # Errors
    /// `InvalidArgument`.
    pub(in crate::s3) fn check_all<'t>(
        self,
        given: impl IntoIterator<Item = (&'static str, &'t Option<String>)>,
    ) -> Result<(), Failure> {
        given.into_iter().try_for_each(|(name, text)| self.check(name, text.as_deref().unwrap_or_default()))
    }

    /// The prefix of the first form, which clients take as it is, even where they asked for URL encoding; encoded all the same
    /// where XML can't have it.
    pub(super) fn told_if_it_must(self, name: String) -> String {
        match name.chars().all(xml::has) {
            true => name,
            false => self.told(&name),
        }
    }

    /// A name as the answer has it. Of one from before such characters were refused, they are shown as U+FFFD.
    pub(in crate::s3) fn told(self, name: &str) -> String {
        match self.encodes {
            true => utf8_percent_encode(name, &IN_KEYS).to_string(),
            false => xml::tellable(name).into_owned(),
        }
    }
}
