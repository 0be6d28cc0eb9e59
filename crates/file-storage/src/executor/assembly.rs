//! What an object will be that is made of parts: which of them, how large, under which tag. Decided here once, for every
//! engine. Knows no SQL.

use aws_lc_rs::digest;
use md5::{Digest, Md5};

use crate::errors::StorageError;
use crate::file::Sha256;
use crate::multipart::{Append, ListedPart, MultipartUpload, Resumable};

/// What is looked at of a part.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub(super) number: u32,
    pub(super) size: u64,
    pub(super) sha256: Sha256,
    pub(super) etag: String,
}

/// What the parts make together.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Assembled {
    /// Bytes of all parts.
    pub(super) size: u64,
    /// SHA-256 of all bytes, where there is one part, or none.
    pub(super) checksum: Option<Sha256>,
    /// The entity tag.
    pub(super) etag: String,
}

/// Compares what a caller lists with the parts that are there, both by number, and gives the numbers that are not listed.
pub(super) fn choose(
    there: &mut Vec<Piece>,
    listed: &[ListedPart],
    min_part_size: u64,
) -> Result<Vec<u32>, StorageError> {
    if !listed.is_sorted_by(|one, next| one.number < next.number) {
        return Err(StorageError::InvalidPartOrder);
    }
    if listed.is_empty() {
        return Err(StorageError::InvalidRequest {
            message: "an upload is completed with its parts".to_owned(),
        });
    }
    let mut left_out = Vec::new();
    let mut wanted = listed.iter().peekable();
    let mut chosen = Vec::with_capacity(listed.len());
    for piece in there.drain(..) {
        match wanted.peek() {
            Some(part) if part.number == piece.number => {
                if part.etag.as_ref().is_some_and(|etag| *etag != piece.etag) {
                    return Err(StorageError::InvalidPart { number: piece.number });
                }
                wanted.next();
                chosen.push(piece);
            }
            Some(part) if part.number < piece.number => {
                return Err(StorageError::InvalidPart { number: part.number });
            }
            _ => left_out.push(piece.number),
        }
    }
    if let Some(part) = wanted.next() {
        return Err(StorageError::InvalidPart { number: part.number });
    }
    let all_but_last = chosen.len().saturating_sub(1);
    if let Some(small) = chosen.iter().take(all_but_last).find(|piece| piece.size < min_part_size) {
        let (number, size) = (small.number, small.size);
        return Err(StorageError::PartTooSmall { number, size, minimum: min_part_size });
    }
    *there = chosen;
    Ok(left_out)
}

/// What parts in this order make, under the tag that S3 gives them: the MD5 of their MD5s and their number, where every part
/// has an MD5 for its tag; else [`of_run`]'s.
pub(super) fn of_parts(pieces: &[Piece]) -> Assembled {
    let run = of_run(pieces);
    let etags: Vec<&str> = pieces.iter().map(|piece| piece.etag.as_str()).collect();
    match tag_of_parts(&etags) {
        Some(etag) => Assembled { etag, ..run },
        None => run,
    }
}

/// The tag that S3 gives to parts with these tags; `None` where one is no MD5, or there is none.
pub(crate) fn tag_of_parts(etags: &[&str]) -> Option<String> {
    let mut all = Md5::new();
    for etag in etags {
        all.update(hex::decode(etag).ok().filter(|md5| md5.len() == 16)?);
    }
    (!etags.is_empty()).then(|| format!("{}-{}", hex::encode(all.finalize()), etags.len()))
}

/// What runs that were appended make. The tag is the SHA-256 of the bytes where there is one run, else that of the runs'
/// SHA-256s.
pub(super) fn of_run(pieces: &[Piece]) -> Assembled {
    let size = pieces.iter().fold(0_u64, |size, piece| size.saturating_add(piece.size));
    match pieces {
        [] => {
            let checksum = Sha256::of(&[]);
            Assembled { size, checksum: Some(checksum), etag: checksum.to_hex() }
        }
        [one] => Assembled { size, checksum: Some(one.sha256), etag: one.sha256.to_hex() },
        several => {
            let mut all = digest::Context::new(&digest::SHA256);
            for piece in several {
                all.update(&piece.sha256.0);
            }
            Assembled { size, checksum: None, etag: Sha256::from_digest(&all.finish()).to_hex() }
        }
    }
}

/// Whether an object may be as large.
pub(super) fn check_size(size: u64, limit: Option<u64>) -> Result<(), StorageError> {
    match limit {
        Some(limit) if size > limit => Err(StorageError::PayloadTooLarge { limit }),
        _ => Ok(()),
    }
}

/// Whether an upload can be as long as is said only now.
pub(super) fn check_length(upload: &Resumable, length: u64) -> Result<(), StorageError> {
    let refuse = |message: &str| Err(StorageError::InvalidRequest { message: message.to_owned() });
    match upload.length {
        Some(known) if known != length => refuse("the length of the upload was said before"),
        None if length < upload.offset => refuse("the upload is longer already"),
        _ => Ok(()),
    }
}

/// Whether a run may be appended: by whoever took the upload over last, where it ends, and not beyond its length.
pub(super) fn check_append(upload: &MultipartUpload, run: &Append) -> Result<(), StorageError> {
    let resumable = going_on(upload, run.epoch)?;
    // What is taken in is inline, and part of the run.
    let taken = resumable.offset.checked_sub(run.offset);
    match taken {
        Some(taken) if taken <= run.part.size && (taken > 0) == (run.takes_in > 0) => {}
        _ => return Err(StorageError::OffsetMismatch { offset: resumable.offset }),
    }
    let end = run.offset.saturating_add(run.part.size);
    match resumable.length {
        Some(length) if end > length => Err(StorageError::PayloadTooLarge { limit: length }),
        _ => Ok(()),
    }
}

/// Whether an upload is all there, and whoever asks took it over last.
pub(super) fn check_end(upload: &MultipartUpload, epoch: u64) -> Result<(), StorageError> {
    let resumable = going_on(upload, epoch)?;
    if resumable.is_partial || resumable.length != Some(resumable.offset) {
        return Err(StorageError::OffsetMismatch { offset: resumable.offset });
    }
    Ok(())
}

fn going_on(upload: &MultipartUpload, epoch: u64) -> Result<&Resumable, StorageError> {
    let resumable = upload.resumable()?;
    if resumable.completed_at.is_some() {
        return Err(StorageError::OffsetMismatch { offset: resumable.offset });
    }
    if resumable.epoch != epoch {
        return Err(StorageError::UploadTakenOver { upload: upload.at.id });
    }
    Ok(resumable)
}

/// Whether an upload may be a part of another one's object.
pub(super) fn check_partial(of: &MultipartUpload, part: &MultipartUpload) -> Result<(), StorageError> {
    let refuse = |message: &str| Err(StorageError::InvalidRequest { message: message.to_owned() });
    if of.resumable()?.completed_at.is_some() {
        return Err(StorageError::UploadNotFound { upload: of.at.id });
    }
    let resumable = part.resumable()?;
    if !resumable.is_partial {
        return refuse("only partial uploads are concatenated");
    }
    if part.at.bucket != of.at.bucket {
        return refuse("a partial upload is of another bucket");
    }
    if resumable.length != Some(resumable.offset) {
        return refuse("a partial upload is not finished");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(number: u32, bytes: &[u8], etag: &str) -> Piece {
        Piece { number, size: bytes.len() as u64, sha256: Sha256::of(bytes), etag: etag.to_owned() }
    }

    fn listed(parts: &[(u32, &str)]) -> Vec<ListedPart> {
        let part = |(number, etag): &(u32, &str)| ListedPart {
            number: *number,
            etag: (!etag.is_empty()).then(|| (*etag).to_owned()),
            checksums: crate::digests::Checksums::new(),
        };
        parts.iter().map(part).collect()
    }

    #[test]
    fn listed_parts_are_there_in_order_and_large_enough() {
        let there = || vec![piece(1, b"12345", "a"), piece(3, b"1", "c"), piece(7, b"12345", "g")];
        let check = |parts: &[(u32, &str)], least| {
            let mut pieces = there();
            let outcome = choose(&mut pieces, &listed(parts), least);
            outcome.map(|left| (pieces.iter().map(|piece| piece.number).collect::<Vec<_>>(), left))
        };
        assert_eq!(check(&[(1, "a"), (3, "c"), (7, "")], 0).unwrap(), (vec![1, 3, 7], vec![]));
        assert_eq!(check(&[(1, "a"), (7, "g")], 5).unwrap(), (vec![1, 7], vec![3]));
        assert_eq!(check(&[(3, "c")], 5).unwrap(), (vec![3], vec![1, 7]));
        let code = |parts: &[(u32, &str)], least| check(parts, least).unwrap_err().code();
        assert_eq!(code(&[(3, "c"), (1, "a")], 0), "INVALID_PART_ORDER");
        assert_eq!(code(&[(1, "a"), (1, "a")], 0), "INVALID_PART_ORDER");
        assert_eq!(code(&[(1, "b")], 0), "INVALID_PART");
        assert_eq!(code(&[(1, "a"), (2, "")], 0), "INVALID_PART");
        assert_eq!(code(&[(1, "a"), (8, "")], 0), "INVALID_PART");
        assert_eq!(code(&[(1, "a"), (3, "c"), (7, "g")], 5), "PART_TOO_SMALL");
        assert_eq!(code(&[], 0), "INVALID_REQUEST");
    }

    #[test]
    fn tags_say_how_an_object_came_to_be() {
        // As `md5sum` says of "a" and "b", and of both digests one after the other.
        let md5s = ["0cc175b9c0f1b6a831c399e269772661", "92eb5ffee6ae2fec3ad71c777531578f"];
        let parts = [piece(1, b"a", md5s[0]), piece(2, b"b", md5s[1])];
        assert_eq!(of_parts(&parts).etag, "96e024ba2074fe77e8e965ba43a704be-2");
        assert_eq!(of_parts(&parts[..1]).checksum, Some(Sha256::of(b"a")));
        assert!(of_parts(&parts[..1]).etag.ends_with("-1"));
        assert_eq!(of_parts(&parts).checksum, None);
        assert_eq!(of_run(&parts[..1]).etag, Sha256::of(b"a").to_hex());
        let both = [Sha256::of(b"a").0, Sha256::of(b"b").0].concat();
        assert_eq!(of_run(&parts).etag, Sha256::of(&both).to_hex());
        assert_eq!(of_run(&[]).checksum, Some(Sha256::of(b"")));
        assert_eq!(of_parts(&[piece(1, b"a", "no md5")]).etag, Sha256::of(b"a").to_hex());
    }
}
