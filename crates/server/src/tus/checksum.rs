//! `Upload-Checksum`: a digest of the request's body. Bytes that do not have it are not kept.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use file_storage::digests::{Algorithm, Wanted};
use http::{HeaderMap, StatusCode};

use crate::errors::ApiError;

/// The algorithms, as OPTIONS tells them.
pub(super) const ALGORITHMS: &str = "sha1,sha256,md5";

/// What the header asks for.
pub(super) fn parse(headers: &HeaderMap) -> Result<Wanted, ApiError> {
    let mut wanted = Wanted::default();
    let Some(header) = headers.get("upload-checksum") else { return Ok(wanted) };
    let refuse = |message| ApiError::Tus { status: StatusCode::BAD_REQUEST, message };
    let text = header.to_str().map_err(|_| refuse("Upload-Checksum is invalid"))?;
    let (name, value) = text.trim().split_once(' ').ok_or_else(|| refuse("Upload-Checksum is invalid"))?;
    let digest = STANDARD.decode(value.trim()).map_err(|_| refuse("Upload-Checksum is invalid"))?;
    let algorithm = match name {
        "sha1" => Algorithm::Sha1,
        "sha256" => Algorithm::Sha256,
        "md5" => Algorithm::Md5,
        _ => return Err(refuse("Upload-Checksum has an algorithm that is not supported")),
    };
    wanted.compute(algorithm);
    wanted.expect(algorithm, digest);
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use file_storage::digests::Hasher;

    use super::*;

    #[track_caller]
    fn check(header: &str, bytes: &[u8]) -> Result<(), &'static str> {
        let mut headers = HeaderMap::new();
        headers.insert("upload-checksum", header.parse().unwrap());
        let wanted = parse(&headers).map_err(|_| "header")?;
        let mut hasher = Hasher::new(Algorithm::ALL.into_iter().filter(|one| wanted.computes(*one)));
        hasher.update(bytes);
        wanted.check(&hasher.finish()).map_err(|error| error.code())
    }

    #[test]
    fn a_body_has_the_digest_that_is_announced() {
        // As `sha1sum`, `sha256sum` and `md5sum` say of "hello".
        for good in [
            "sha1 qvTGHdzF6KLavt4PO0gs2a6pQ00=",
            "sha256 LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=",
            "md5 XUFAKrxLKna5cZ2REBfFkg==",
        ] {
            assert_eq!(check(good, b"hello"), Ok(()), "{good}");
            assert_eq!(check(good, b"hell0"), Err("WRONG_CHECKSUM"), "{good}");
        }
        for bad in ["sha1", "sha1 !", "crc64 AAAA", ""] {
            assert_eq!(check(bad, b""), Err("header"), "{bad}");
        }
        assert_eq!(check("sha1 AAAA", b"hello"), Err("WRONG_CHECKSUM"));
        assert!(parse(&HeaderMap::new()).unwrap().is_empty());
    }
}
