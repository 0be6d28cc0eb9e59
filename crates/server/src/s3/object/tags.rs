//! Tags in their two forms: as a query string in a header, and as a document.

use file_storage::extra::Tag;
use percent_encoding::percent_decode_str;

use crate::s3::failure::Failure;

/// Reads `x-amz-tagging`: `key=value&key=value`.
pub(in crate::s3) fn from_header(text: &str) -> Result<Vec<Tag>, Failure> {
    let decode = |part: &str| {
        let spaced = part.replace('+', " ");
        let text = percent_decode_str(&spaced).decode_utf8().map(std::borrow::Cow::into_owned);
        text.map_err(|_| {
            Failure::argument("The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded")
        })
    };
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    let tags = pairs.map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        Ok((decode(key)?, decode(value)?))
    });
    checked(tags.collect::<Result<_, Failure>>()?, 10)
}

/// Reads a document's tags.
pub(in crate::s3) fn from_set(set: Vec<s3s::dto::Tag>, most: usize) -> Result<Vec<Tag>, Failure> {
    let tags = set.into_iter().map(|tag| (tag.key.unwrap_or_default(), tag.value.unwrap_or_default()));
    checked(tags.collect(), most)
}

/// Writes a document's tags, by their keys.
pub(in crate::s3) fn to_set(mut tags: Vec<Tag>) -> Vec<s3s::dto::Tag> {
    tags.sort_unstable();
    tags.into_iter().map(|(key, value)| s3s::dto::Tag { key: Some(key), value: Some(value) }).collect()
}

fn checked(tags: Vec<Tag>, most: usize) -> Result<Vec<Tag>, Failure> {
    let invalid = |message: String| Failure::bad_request("InvalidTag", message);
    if tags.len() > most {
        return Err(invalid(format!("There cannot be more than {most} tags")));
    }
    for (at, (key, value)) in tags.iter().enumerate() {
        if key.is_empty() || key.chars().count() > 128 || key.starts_with("aws:") {
            return Err(invalid("The TagKey you have provided is invalid".to_owned()));
        }
        if value.chars().count() > 256 {
            return Err(invalid("The TagValue you have provided is invalid".to_owned()));
        }
        if tags.iter().take(at).any(|(before, _)| before == key) {
            return Err(invalid("Cannot provide multiple Tags with the same key".to_owned()));
        }
    }
    Ok(tags)
}
