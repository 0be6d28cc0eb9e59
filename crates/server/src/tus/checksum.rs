//! `Upload-Checksum`: a digest of the request's body. Bytes that do not have it are not kept.

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use file_storage::StorageError;
use file_storage::storage::{Seal, Sealed};
use http::{HeaderMap, StatusCode};
use md5::{Digest, Md5};
use subtle::ConstantTimeEq;

use crate::errors::ApiError;

/// The algorithms, as OPTIONS tells them.
pub(super) const ALGORITHMS: &str = "sha1,sha256,md5";

/// A digest that is computed of bytes that pass, and compared in the end.
struct Checksum {
    algorithm: &'static str,
    wanted: Vec<u8>,
    hash: Hash,
}

enum Hash {
    Sha(digest::Context),
    Md5(Md5),
}

/// What the header asks for.
pub(super) fn parse(headers: &HeaderMap) -> Result<Option<Box<dyn Seal>>, ApiError> {
    let Some(header) = headers.get("upload-checksum") else { return Ok(None) };
    let refuse = |message| ApiError::Tus { status: StatusCode::BAD_REQUEST, message };
    let text = header.to_str().map_err(|_| refuse("Upload-Checksum is invalid"))?;
    let (name, value) = text.trim().split_once(' ').ok_or_else(|| refuse("Upload-Checksum is invalid"))?;
    let wanted = STANDARD.decode(value.trim()).map_err(|_| refuse("Upload-Checksum is invalid"))?;
    let sha = |algorithm| Hash::Sha(digest::Context::new(algorithm));
    let (algorithm, hash) = match name {
        "sha1" => ("sha1", sha(&digest::SHA1_FOR_LEGACY_USE_ONLY)),
        "sha256" => ("sha256", sha(&digest::SHA256)),
        "md5" => ("md5", Hash::Md5(Md5::new())),
        _ => return Err(refuse("Upload-Checksum has an algorithm that is not supported")),
    };
    Ok(Some(Box::new(Checksum { algorithm, wanted, hash })))
}

impl Seal for Checksum {
    fn update(&mut self, chunk: &[u8]) {
        match &mut self.hash {
            Hash::Sha(hash) => hash.update(chunk),
            Hash::Md5(hash) => hash.update(chunk),
        }
    }

    fn finish(self: Box<Self>) -> Result<Sealed, StorageError> {
        let found = match self.hash {
            Hash::Sha(hash) => hash.finish().as_ref().to_vec(),
            Hash::Md5(hash) => hash.finalize().to_vec(),
        };
        match bool::from(found.ct_eq(&self.wanted)) {
            true => Ok(Sealed::default()),
            false => Err(StorageError::WrongChecksum { algorithm: self.algorithm }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(header: &str, bytes: &[u8]) -> Result<(), &'static str> {
        let mut headers = HeaderMap::new();
        headers.insert("upload-checksum", header.parse().unwrap());
        let mut seal = parse(&headers).map_err(|_| "header")?.unwrap();
        bytes.chunks(2).for_each(|chunk| seal.update(chunk));
        seal.finish().map(drop).map_err(|error| error.code())
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
    }
}
