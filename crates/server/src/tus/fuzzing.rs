//! The parsers of this protocol for the targets of `fuzz/`. Only with the feature `fuzzing`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use file_storage::path::PathRules;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{checksum, concat, headers as numbers, location, metadata::Told};

/// The headers of a request, and the name of an upload in its URL.
pub fn headers(lines: &[(String, Vec<u8>)], name: &str) {
    let mut all = HeaderMap::new();
    for (name, value) in lines.iter().take(32) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name.as_str()), HeaderValue::from_bytes(value)) {
            all.append(name, value);
        }
    }
    let _ = numbers::check_version(&all);
    let _ = (numbers::number(&all, "upload-offset"), numbers::content_length(&all));
    let _ = concat::parse(&all);
    let _ = checksum::parse(&all);
    if let Ok(told) = Told::parse(&all) {
        for rules in [PathRules::Lenient, PathRules::Supabase] {
            let _ = told.object(rules);
        }
        let _ = told.attributes();
    }
    // An input need not guess base64, which is no code of ours.
    for name in [name.to_owned(), URL_SAFE_NO_PAD.encode(name)] {
        if let Ok(at) = location::decode(&name) {
            assert_eq!(location::decode(&location::encode(&at)).ok(), Some(at));
        }
    }
}
