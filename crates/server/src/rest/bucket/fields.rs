//! Fields that creating and changing a bucket have in common.

use file_storage::bucket::MimePattern;
use file_storage::{BucketPolicy, Versioning};

use crate::errors::ApiError;
use crate::rest::json::Bytes64;

/// The policy that `policy` and `public` ask for together; `None` where neither is there.
pub(super) fn policy(policy: Option<&str>, public: Option<bool>) -> Result<Option<BucketPolicy>, ApiError> {
    let word = policy.map(|word| {
        BucketPolicy::from_word(word)
            .ok_or_else(|| ApiError::schema("body/policy must be one of: public, authenticated, private"))
    });
    match (word.transpose()?, public) {
        (Some(policy), Some(public)) if (policy == BucketPolicy::Public) != public => {
            Err(ApiError::schema(format!("body/policy '{}' contradicts public: {public}", policy.as_str())))
        }
        (Some(policy), _) => Ok(Some(policy)),
        (None, Some(true)) => Ok(Some(BucketPolicy::Public)),
        (None, Some(false)) => Ok(Some(BucketPolicy::Private)),
        (None, None) => Ok(None),
    }
}

/// The limit that either name of the field asks for; null and 0 mean none.
pub(super) fn size_limit(
    file_size_limit: Option<Option<Bytes64>>,
    max_file_size: Option<Option<Bytes64>>,
) -> Result<Option<u64>, ApiError> {
    let bytes = |limit: Option<Bytes64>| limit.map_or(0, |limit| limit.0);
    match (file_size_limit.map(bytes), max_file_size.map(bytes)) {
        (Some(one), Some(other)) if one != other => {
            Err(ApiError::schema("body/file_size_limit contradicts max_file_size"))
        }
        (one, other) => Ok(one.or(other)),
    }
}

/// Whether versions are kept.
pub(super) fn versioning(word: Option<&str>) -> Result<Option<Versioning>, ApiError> {
    let parsed = word.map(|word| {
        Versioning::from_word(word)
            .ok_or_else(|| ApiError::schema("body/versioning must be one of: off, enabled, suspended"))
    });
    parsed.transpose()
}

/// The content types of a list; none and an empty list mean any.
pub(super) fn mime_types(patterns: Option<Vec<String>>) -> Result<Option<Vec<MimePattern>>, ApiError> {
    let patterns = patterns.unwrap_or_default();
    let parsed: Result<Vec<_>, _> = patterns.iter().map(|pattern| MimePattern::parse(pattern)).collect();
    Ok(Some(parsed?).filter(|patterns| !patterns.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policy_and_public_must_agree() {
        use BucketPolicy::{Authenticated, Private, Public};
        let check =
            |word, public, wanted| assert_eq!(policy(word, public).ok(), wanted, "{word:?} {public:?}");
        check(None, None, Some(None));
        check(None, Some(true), Some(Some(Public)));
        check(None, Some(false), Some(Some(Private)));
        check(Some("public"), None, Some(Some(Public)));
        check(Some("authenticated"), Some(false), Some(Some(Authenticated)));
        check(Some("public"), Some(true), Some(Some(Public)));
        check(Some("public"), Some(false), None);
        check(Some("private"), Some(true), None);
        check(Some("authenticated"), Some(true), None);
        check(Some("secret"), None, None);
    }

    #[test]
    fn limits_have_two_names_and_none_may_differ() {
        let set = |bytes| Some(Some(Bytes64(bytes)));
        assert_eq!(size_limit(None, None).unwrap(), None);
        assert_eq!(size_limit(set(5), None).unwrap(), Some(5));
        assert_eq!(size_limit(None, set(5)).unwrap(), Some(5));
        assert_eq!(size_limit(Some(None), None).unwrap(), Some(0));
        assert!(size_limit(set(5), set(6)).is_err());
        assert!(mime_types(Some(vec!["no type".to_owned()])).is_err());
        assert_eq!(mime_types(Some(Vec::new())).unwrap(), None);
    }
}
