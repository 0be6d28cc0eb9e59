//! Where in byte order a prefix begins and ends, and how to leap over what is not wanted.
//!
//! UTF-8 sorts by its bytes as code points sort, so that bounds can be whole characters, as the text of databases must be.

use std::ops::ControlFlow;

/// The smallest text above every text that starts with `prefix`; `None` where there is none.
pub(crate) fn successor(prefix: &str) -> Option<String> {
    let mut text = prefix.to_owned();
    while let Some(last) = text.pop() {
        // The range knows that surrogates are no characters.
        if let Some(next) = (last..=char::MAX).nth(1) {
            text.push(next);
            return Some(text);
        }
    }
    None
}

/// The smallest text above `text` itself.
pub(crate) fn just_after(text: &str) -> String {
    format!("{text}\0")
}

/// The smallest text, not below `text`, that starts with `prefix` but for the case of ASCII letters.
pub(in crate::executor) fn next_match(text: &str, prefix: &str) -> Option<String> {
    let smallest = |rest: &str| rest.to_ascii_uppercase();
    // The last place where a greater choice than the text's is possible, should the text be too great further on.
    let mut greater: Option<(usize, char)> = None;
    let mut chars = text.chars();
    let walked = prefix.char_indices().try_for_each(|(at, wanted)| {
        let choices = [wanted.to_ascii_uppercase(), wanted.to_ascii_lowercase()];
        let Some(found) = chars.next() else { return ControlFlow::Break((at, Some(at))) };
        if let [upper, lower] = choices
            && upper != lower
            && found < lower
        {
            if found == upper {
                greater = Some((at, lower));
                return ControlFlow::Continue(());
            }
            // Below both, or between them.
            let choice = if found < upper { upper } else { lower };
            greater = Some((at, choice));
            return ControlFlow::Break((at, None));
        }
        match choices.last() {
            Some(last) if found == *last => ControlFlow::Continue(()),
            Some(last) if found < *last => {
                greater = Some((at, *last));
                ControlFlow::Break((at, None))
            }
            _ => ControlFlow::Break((at, None)),
        }
    });
    match walked {
        ControlFlow::Continue(()) => Some(text.to_owned()),
        ControlFlow::Break((_, Some(end))) => Some(format!("{text}{}", smallest(prefix.get(end..)?))),
        ControlFlow::Break((_, None)) => {
            let (at, choice) = greater?;
            let rest = prefix.get(at + choice.len_utf8()..)?;
            Some(format!("{}{choice}{}", text.get(..at)?, smallest(rest)))
        }
    }
}

/// Whether `text` starts with `prefix` but for the case of ASCII letters.
pub(in crate::executor) fn starts_with_ignoring_case(text: &str, prefix: &str) -> bool {
    text.as_bytes().get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn successors_are_right_at_the_edges_of_utf8() {
        let check = |prefix: &str, expected: Option<&str>| {
            assert_eq!(successor(prefix).as_deref(), expected, "{prefix:?}");
        };
        check("", None);
        check("a", Some("b"));
        check("a/", Some("a0"));
        check("\u{7f}", Some("\u{80}"));
        check("a\u{7ff}", Some("a\u{800}"));
        check("\u{d7ff}", Some("\u{e000}"));
        check("\u{ffff}", Some("\u{10000}"));
        check("a\u{10ffff}", Some("b"));
        check("\u{10ffff}\u{10ffff}", None);
    }

    proptest! {
        #[test]
        fn a_prefix_is_what_lies_between_it_and_its_successor(prefix in "\\PC{0,4}", text in "\\PC{0,6}") {
            let between = text >= prefix && successor(&prefix).is_none_or(|end| text < end);
            prop_assert_eq!(between, text.starts_with(&prefix));
        }

        #[test]
        fn the_next_match_is_the_smallest_one(text in "[ABab/_é]{0,4}", prefix in "[ABab/_é]{0,3}") {
            // Every case of the prefix, alone and as the text continues it, is a candidate.
            let letters: Vec<char> = prefix.chars().collect();
            let smallest = (0..1_u32 << letters.len())
                .map(|bits| {
                    let cased: String = letters.iter().enumerate().map(|(at, c)| {
                        if bits >> at & 1 == 1 { c.to_ascii_lowercase() } else { c.to_ascii_uppercase() }
                    }).collect();
                    if text.starts_with(&cased) { text.clone() } else { cased }
                })
                .filter(|candidate| *candidate >= text)
                .min();
            prop_assert_eq!(next_match(&text, &prefix), smallest);
        }
    }
}
