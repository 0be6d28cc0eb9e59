//! Names as a store has them, whatever they are. A path of `object_store` has no slash at either end, no empty segment, and none of dots:
//! `/a` is read as `a`, which is another object's name, and `a//b` ends a list. So whoever asks for the names themselves gets them
//! under a disguise that any path may have: it is put on where the store's answer comes in, and taken off here.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use object_store::list::PaginatedListOptions;
use object_store::path::Path;

use super::{Inner, fault};
use crate::backend::BackendError;

/// Stands before a disguised name, and for each slash in it. No text has it: it is none of Unicode's characters.
const DISGUISE: char = '\u{FFFF}';

/// Says of a request that the names in its answer are to be disguised.
#[derive(Debug, Clone, Copy)]
pub(super) struct Disguised;

/// What a list says of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    /// Its whole name.
    pub(super) name: String,
    /// Its length, in bytes.
    pub(super) size: u64,
}

/// Whether an object of that name can be asked for.
pub(super) fn is_plain(name: &str) -> bool {
    Path::parse(name).is_ok_and(|path| path.as_ref() == name)
}

/// What a store lists whose names begin so, behind a name. A store may begin with that, or before it.
pub(super) fn list(
    inner: &Arc<Inner>,
    prefix: String,
    after: Option<String>,
) -> BoxStream<'static, Result<Listed, BackendError>> {
    let walk = Walk { inner: inner.clone(), prefix, after, next: Next::First, found: VecDeque::new() };
    stream::try_unfold(walk, |mut walk| async move {
        let found = walk.next().await?;
        Ok(found.map(|found| (found, walk)))
    })
    .boxed()
}

/// Whether a store has any name that begins so.
pub(super) async fn has(inner: &Arc<Inner>, prefix: String) -> Result<bool, BackendError> {
    Ok(list(inner, prefix, None).try_next().await?.is_some())
}

struct Walk {
    inner: Arc<Inner>,
    prefix: String,
    after: Option<String>,
    next: Next,
    found: VecDeque<Listed>,
}

/// Which page is to come.
enum Next {
    First,
    At(String),
    None,
}

impl Walk {
    async fn next(&mut self) -> Result<Option<Listed>, BackendError> {
        loop {
            if let Some(found) = self.found.pop_front() {
                return Ok(Some(found));
            }
            let page_token = match std::mem::replace(&mut self.next, Next::None) {
                Next::First => None,
                Next::At(token) => Some(token),
                Next::None => return Ok(None),
            };
            let mut options = PaginatedListOptions { page_token, ..PaginatedListOptions::default() };
            options.offset.clone_from(&self.after);
            options.extensions.insert(Disguised);
            let prefix = Some(self.prefix.as_str()).filter(|prefix| !prefix.is_empty());
            let page = self.inner.client.list_paginated(prefix, options).await;
            let page = page.map_err(fault::during("list"))?;
            self.next = page.page_token.map_or(Next::None, Next::At);
            let found = page.result.objects.into_iter();
            self.found.extend(found.map(|it| Listed { name: shown(&it.location), size: it.size }));
        }
    }
}

/// A name without its disguise.
fn shown(found: &Path) -> String {
    match found.as_ref().strip_prefix(DISGUISE) {
        Some(disguised) => disguised.replace(DISGUISE, "/"),
        // None was put on.
        None => found.as_ref().to_owned(),
    }
}

/// A store's answer, whose names are disguised. What is no list stays as it is.
pub(super) fn disguise(answer: &Bytes) -> Bytes {
    let Ok(text) = std::str::from_utf8(answer) else { return answer.clone() };
    // Azure's list has names of its own; in S3's and Google's, that is the bucket's.
    let (open, close) = match text.contains("<EnumerationResults") {
        true => ("<Name>", "</Name>"),
        false => ("<Key>", "</Key>"),
    };
    let mut disguised = String::with_capacity(text.len().saturating_add(text.len() / 8));
    let mut rest = text;
    while let Some((before, (name, behind))) =
        rest.split_once(open).and_then(|(before, behind)| Some((before, behind.split_once(close)?)))
    {
        disguised.push_str(before);
        disguised.push_str(open);
        disguised.push(DISGUISE);
        disguised.extend(name.chars().map(|it| if it == '/' { DISGUISE } else { it }));
        disguised.push_str(close);
        rest = behind;
    }
    disguised.push_str(rest);
    disguised.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_comes_through_whatever_slashes_it_has() {
        for name in ["a", "/a", "//a", "a/", "a//b", "a/./b", "..", "ä/b c", "a&amp;b/c"] {
            for (root, element) in [("ListBucketResult", "Key"), ("EnumerationResults x=\"y\"", "Name")] {
                let answer = format!("<{root}><Other>a/b</Other><{element}>{name}</{element}><Size>1</Size>");
                let disguised = disguise(&Bytes::from(answer.clone()));
                let text = std::str::from_utf8(&disguised).unwrap();
                let (_, rest) = text.split_once(&format!("<{element}>")).unwrap();
                let (told, rest) = rest.split_once("</").unwrap();
                assert_eq!(shown(&Path::parse(told).unwrap()), name, "{text}");
                assert!(text.contains("<Other>a/b</Other>") && rest.ends_with("<Size>1</Size>"), "{text}");
            }
        }
        let none = Bytes::from_static(b"\xff<Key>/a</Key>");
        assert_eq!(disguise(&none), none);
    }

    #[test]
    fn only_a_name_that_is_the_same_as_a_path_can_be_asked_for() {
        for (name, is) in [
            ("a/b c", true),
            ("/a", false),
            ("a/", false),
            ("a//b", false),
            ("./a", false),
            ("a\u{1}", false),
            ("", true),
        ] {
            assert_eq!(is_plain(name), is, "{name:?}");
        }
    }
}
