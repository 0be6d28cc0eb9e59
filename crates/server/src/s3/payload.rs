//! What a body must be, as its head says: its digests, and how they come.

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use file_storage::StorageError;
use file_storage::body::ByteStream;
use file_storage::digests::{Algorithm, Hasher, Wanted};
use futures_util::StreamExt;
use http::{HeaderMap, StatusCode, header};

use super::budget::{Budget, Room};
use super::failure::Failure;
use super::signature::chunked::{self, Signing};
use crate::rest::interrupted;

const CHECKSUM: &str = "x-amz-checksum-";
/// By which algorithm an object's checksum is to be.
const ALGORITHM: &str = "x-amz-checksum-algorithm";
/// What an object's checksum covers.
const KIND: &str = "x-amz-checksum-type";
/// Which checksum a client says that it sends.
pub(super) const SDK_ALGORITHM: &str = "x-amz-sdk-checksum-algorithm";

/// How the payload is signed.
pub(super) enum Payload {
    /// By its SHA-256.
    Hash(Vec<u8>),
    /// Not at all.
    Unsigned,
    /// In chunks, perhaps signed ones, perhaps with trailers.
    Chunked { signing: Option<Box<Signing>>, trailer: bool },
}

impl Payload {
    /// Reads `x-amz-content-sha256`.
    pub(super) fn parse(text: &str, signing: impl FnOnce() -> Signing) -> Result<Self, Failure> {
        let chunked = |signing, trailer| Ok(Self::Chunked { signing, trailer });
        match text {
            "UNSIGNED-PAYLOAD" => Ok(Self::Unsigned),
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER" => chunked(None, true),
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" => chunked(Some(Box::new(signing())), false),
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => chunked(Some(Box::new(signing())), true),
            "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"
            | "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER" => {
                Err(Failure::not_implemented("Signature Version 4A"))
            }
            text => match hex::decode(text) {
                Ok(hash) if hash.len() == Algorithm::Sha256.digest_bytes() => Ok(Self::Hash(hash)),
                _ => Err(Failure::argument(
                    "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-…, or a valid SHA-256",
                )),
            },
        }
    }

    /// That of a request that nobody signed.
    pub(super) fn of_anybody(headers: &HeaderMap) -> Result<Self, Failure> {
        match headers.get("x-amz-content-sha256").and_then(|value| value.to_str().ok()) {
            None | Some("UNSIGNED-PAYLOAD") => Ok(Self::Unsigned),
            Some("STREAMING-UNSIGNED-PAYLOAD-TRAILER") => Ok(Self::Chunked { signing: None, trailer: true }),
            Some(text) if text.starts_with("STREAMING-") => {
                Err(Failure::denied("Signed chunks need a signed request"))
            }
            Some(text) => match hex::decode(text) {
                Ok(hash) if hash.len() == Algorithm::Sha256.digest_bytes() => Ok(Self::Hash(hash)),
                _ => Err(Failure::argument("x-amz-content-sha256 must be a valid SHA-256")),
            },
        }
    }
}

/// A body that was not read yet, and what it must be.
pub(super) struct Incoming {
    /// What is computed of it, and must come out.
    pub(super) wanted: Wanted,
    /// Its length once it is decoded, in bytes, where that is known.
    pub(super) length: Option<u64>,
    /// Whether it ends where its sender says, and not before, as HTTP has it: by its length, or in chunks of HTTP's own.
    has_end: bool,
    /// Its bytes, out of their chunks.
    pub(super) bytes: ByteStream,
}

impl Incoming {
    /// Takes what the head says. The body is not touched.
    pub(super) fn new(headers: &HeaderMap, payload: Payload, body: Body) -> Result<Self, Failure> {
        let mut wanted = Wanted::default();
        let announced = announce(headers, &mut wanted)?;
        let raw = body.into_data_stream().map(|chunk| chunk.map_err(|error| interrupted(&error))).boxed();
        let sent = number(headers, header::CONTENT_LENGTH.as_str())?;
        let decoded_length = number(headers, "x-amz-decoded-content-length")?;
        let is_aws_chunked = matches!(payload, Payload::Chunked { .. });
        let (length, bytes) = match payload {
            Payload::Unsigned => (sent, raw),
            Payload::Hash(hash) => {
                wanted.expect(Algorithm::Sha256, hash);
                (sent, raw)
            }
            Payload::Chunked { signing, trailer } => {
                let trailers = trailer.then(|| Trailers { wanted: wanted.clone(), announced });
                (
                    decoded_length,
                    chunked::decoded(raw, decoded_length, signing.map(|signing| *signing), trailers),
                )
            }
        };
        let in_chunks = text(headers, header::TRANSFER_ENCODING.as_str())?
            .is_some_and(|codings| codings.to_ascii_lowercase().ends_with("chunked"));
        let has_end = length.is_some() || in_chunks && !is_aws_chunked;
        Ok(Self { wanted, length, has_end, bytes })
    }

    /// What has no head of its own, and an end.
    pub(super) fn bare(bytes: ByteStream) -> Self {
        Self { wanted: Wanted::default(), length: None, has_end: true, bytes }
    }

    /// Takes the digests that the fields of a form announce.
    pub(super) fn with_digests(mut self, headers: &HeaderMap) -> Result<Self, Failure> {
        announce(headers, &mut self.wanted)?;
        Ok(self)
    }

    /// Reads all of a document, and compares it with what was announced. The room holds it while it is used.
    pub(super) async fn document(mut self, budget: &Budget, most: usize) -> Result<(Bytes, Room), Failure> {
        let too_large = || Failure::bad_request("MaxMessageLengthExceeded", "The document is too large");
        if self.length.is_some_and(|length| length > most as u64) {
            return Err(too_large());
        }
        let (mut whole, mut room) = (BytesMut::new(), Room::default());
        while let Some(chunk) = self.bytes.next().await.transpose()? {
            let size = whole.len().saturating_add(chunk.len());
            if size > most {
                return Err(too_large());
            }
            budget.widen(&mut room, size)?;
            whole.extend_from_slice(&chunk);
        }
        let mut hasher = Hasher::new(
            Algorithm::ALL.into_iter().filter(|one| *one == Algorithm::Sha256 || self.wanted.computes(*one)),
        );
        hasher.update(&whole);
        self.wanted.check(&hasher.finish())?;
        Ok((whole.freeze(), room))
    }

    /// Refuses an upload of which nothing says where it ends.
    pub(super) fn check_end(&self) -> Result<(), Failure> {
        match self.has_end {
            true => Ok(()),
            false => {
                let message = "You must provide the Content-Length HTTP header";
                Err(Failure::new(StatusCode::LENGTH_REQUIRED, "MissingContentLength", message))
            }
        }
    }
}

/// Refuses what a write of bytes says of checksums beyond the one that it brings: an algorithm that is another's or brings none,
/// and a type that only objects of parts have.
///
/// # Errors
/// `InvalidRequest`.
pub(super) fn check_checksum_words(headers: &HeaderMap) -> Result<(), Failure> {
    let refuse =
        |name: &str| Failure::invalid(format!("The value of {name} is not that of a checksum that is sent"));
    if let Some(word) = text(headers, ALGORITHM)? {
        let name = format!("{CHECKSUM}{}", word.to_ascii_lowercase());
        let in_trailer = text(headers, "x-amz-trailer")?.unwrap_or_default();
        let is_sent = headers.contains_key(&name) || in_trailer.trim().eq_ignore_ascii_case(&name);
        if Algorithm::from_word(word).is_none() || !is_sent {
            return Err(refuse(ALGORITHM));
        }
    }
    match text(headers, KIND)? {
        None | Some("FULL_OBJECT") => Ok(()),
        Some(_) => Err(refuse(KIND)),
    }
}

/// The headers without checksums.
pub(super) fn without_checksums(headers: &HeaderMap) -> HeaderMap {
    let is_of_body = |name: &str| !name.starts_with(CHECKSUM) && name != SDK_ALGORITHM;
    let others = headers.iter().filter(|(name, _)| is_of_body(name.as_str()));
    others.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Takes digests from headers; gives the checksums that trailers will bring.
fn announce(headers: &HeaderMap, wanted: &mut Wanted) -> Result<Vec<Algorithm>, Failure> {
    if let Some(value) = text(headers, "content-md5")? {
        let digest =
            STANDARD.decode(value).ok().filter(|digest| digest.len() == Algorithm::Md5.digest_bytes());
        let invalid = || Failure::bad_request("InvalidDigest", "The Content-MD5 you specified is not valid");
        wanted.compute(Algorithm::Md5);
        wanted.expect(Algorithm::Md5, digest.ok_or_else(invalid)?);
    }
    let mut given = None;
    for algorithm in Algorithm::ALL.into_iter().filter(|algorithm| *algorithm != Algorithm::Md5) {
        let name = format!("{CHECKSUM}{}", algorithm.as_str().to_ascii_lowercase());
        let Some(value) = text(headers, &name)? else { continue };
        if given.replace(algorithm).is_some() {
            return Err(Failure::invalid("Expecting a single x-amz-checksum- header"));
        }
        wanted.compute(algorithm);
        wanted.expect(algorithm, checksum(algorithm, value)?);
    }
    let mut announced = Vec::new();
    for name in text(headers, "x-amz-trailer")?.unwrap_or_default().split(',').map(str::trim) {
        if name.is_empty() {
            continue;
        }
        let algorithm = name.to_ascii_lowercase().strip_prefix(CHECKSUM).and_then(Algorithm::from_word);
        let algorithm = algorithm.filter(|algorithm| *algorithm != Algorithm::Md5).ok_or_else(|| {
            Failure::invalid("The value specified in the x-amz-trailer header is not supported")
        })?;
        wanted.compute(algorithm);
        announced.push(algorithm);
    }
    if let Some(word) = text(headers, SDK_ALGORITHM)? {
        let algorithm = Algorithm::from_word(word).filter(|algorithm| *algorithm != Algorithm::Md5);
        let algorithm = algorithm.ok_or_else(|| {
            Failure::invalid(
                "The value specified in the x-amz-sdk-checksum-algorithm header is not supported",
            )
        })?;
        let is_there = given == Some(algorithm) || announced.contains(&algorithm);
        if !is_there {
            let message = "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer \
                           headers were found";
            return Err(Failure::invalid(message));
        }
    }
    Ok(announced)
}

/// A checksum as headers and trailers have it.
pub(super) fn checksum(algorithm: Algorithm, value: &str) -> Result<Vec<u8>, Failure> {
    let digest = STANDARD.decode(value).ok().filter(|digest| digest.len() == algorithm.digest_bytes());
    digest.ok_or_else(|| {
        let name = algorithm.as_str().to_ascii_lowercase();
        Failure::bad_request("BadDigest", format!("Value for {CHECKSUM}{name} header is invalid"))
    })
}

/// The trailers that a body is to bring.
pub(super) struct Trailers {
    wanted: Wanted,
    announced: Vec<Algorithm>,
}

impl Trailers {
    /// Takes what came.
    pub(super) fn found(&self, trailers: &[(String, String)]) -> Result<(), StorageError> {
        let malformed = |what: &str| StorageError::InvalidRequest {
            message: format!("The trailers are malformed: {what}"),
        };
        for algorithm in &self.announced {
            let name = format!("{CHECKSUM}{}", algorithm.as_str().to_ascii_lowercase());
            let value = trailers.iter().find(|(key, _)| *key == name).map(|(_, value)| value);
            let value = value.ok_or_else(|| malformed("one that was announced is missing"))?;
            let digest = checksum(*algorithm, value).map_err(|failure| malformed(failure.message()))?;
            self.wanted.expect(*algorithm, digest);
        }
        let is_announced = |name: &String| {
            self.announced.iter().any(|algorithm| {
                name.strip_prefix(CHECKSUM).is_some_and(|word| word.eq_ignore_ascii_case(algorithm.as_str()))
            })
        };
        match trailers.iter().find(|(name, _)| name.starts_with("x-amz-") && !is_announced(name)) {
            Some(_) => Err(malformed("one was not announced by x-amz-trailer")),
            None => Ok(()),
        }
    }
}

fn number(headers: &HeaderMap, name: &str) -> Result<Option<u64>, Failure> {
    let malformed = |_| Failure::invalid(format!("The header {name} is no number"));
    text(headers, name)?.map(str::parse).transpose().map_err(malformed)
}

/// A header's text.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Failure> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let malformed = |_| Failure::invalid(format!("The header {name} is malformed"));
    std::str::from_utf8(value.as_bytes()).map(|value| Some(value.trim())).map_err(malformed)
}
