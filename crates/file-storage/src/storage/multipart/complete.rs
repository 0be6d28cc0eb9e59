//! Making an object of an upload in parts. No byte is copied.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures_util::StreamExt;
use uuid::Uuid;

use crate::bucket::Bucket;
use crate::digests::{Algorithm, ChecksumType, Checksums, ObjectChecksum};
use crate::errors::StorageError;
use crate::executor::{Announced, Written, tag_of_parts};
use crate::extra::{ObjectExtra, OfParts};
use crate::file::{Place, PutMode};
use crate::multipart::{Chosen, Completion, ListedPart, MAX_PART_NUMBER, MultipartUpload, Part, UploadAt};
use crate::permissions::{Access, Operation, RlsContext};
use crate::storage::FileStorage;

/// How an upload becomes an object.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CompleteOptions {
    /// How it meets what is at the path; `None` takes the mode that it was begun in.
    pub mode: Option<PutMode>,
    /// Least bytes of every part but the last: 5 MiB for S3.
    pub min_part_size: u64,
    /// Bytes that the object must have.
    pub size: Option<u64>,
    /// Checksums that it must have, as they are kept.
    pub checksums: Checksums,
    /// How its checksum must cover it.
    pub checksum_type: Option<ChecksumType>,
}

/// How many bytes tell what an object is.
const HEAD: usize = 8 << 10;

/// How many parts are looked at for them. Small ones that came one after the other are one.
const HEAD_PARTS: u32 = 8;

impl FileStorage {
    /// Makes an object of the listed parts, in ascending order. Whether the caller may write there, and the condition of
    /// the mode, are decided in the transaction that makes it visible. Parts that are not listed go. Who asks again for what
    /// is done already is told that it is, as long as the object stays.
    ///
    /// # Errors
    /// As [`FileStorage::multipart`] and [`FileStorage::admit_upload`]; [`StorageError::InvalidPart`],
    /// [`StorageError::InvalidPartOrder`], [`StorageError::PartTooSmall`], [`StorageError::PayloadTooLarge`],
    /// [`StorageError::DigestMismatch`].
    pub async fn complete_multipart(
        &self,
        context: &RlsContext,
        at: &UploadAt,
        parts: Vec<ListedPart>,
        options: CompleteOptions,
    ) -> Result<Written, StorageError> {
        if parts.len() > MAX_PART_NUMBER as usize {
            let message = format!("an upload has {MAX_PART_NUMBER} parts at most");
            return Err(StorageError::InvalidRequest { message });
        }
        match self.complete_listed(context, at, &parts, options).await {
            Err(gone @ StorageError::UploadNotFound { .. }) => {
                self.completed_before(context, at, &parts).await.ok_or(gone)
            }
            outcome => outcome,
        }
    }

    async fn complete_listed(
        &self,
        context: &RlsContext,
        at: &UploadAt,
        parts: &[ListedPart],
        options: CompleteOptions,
    ) -> Result<Written, StorageError> {
        let upload = self.multipart(context, at).await?;
        let mode = options.mode.clone().unwrap_or_else(|| upload.mode());
        let access = self.access(context, Operation::CompleteMultipart(&mode), Some(&at.bucket)).await?;
        let there = self.executor().parts(&access, at, 0, MAX_PART_NUMBER).await?;
        let mut extra = upload.attributes.extra.clone();
        // The tags hold the parts to those that were looked at here.
        let parts = match seen(&there, parts)? {
            Some(seen) => {
                hold(&seen, &upload, &options, &mut extra)?;
                let held = |part: &&Part| ListedPart {
                    number: part.number,
                    etag: Some(part.etag.clone()),
                    checksums: Checksums::new(),
                };
                seen.iter().map(held).collect()
            }
            None => parts.to_vec(),
        };
        let completion = Completion {
            parts: Chosen::Listed(parts),
            mode,
            version: Uuid::now_v7(),
            extra,
            min_part_size: options.min_part_size,
            max_size: None,
            copies: self.copies_of_new(),
        };
        self.complete(&access, &upload, completion).await
    }

    /// The object that an upload became, where the caller sees it and it is what they list.
    async fn completed_before(
        &self,
        context: &RlsContext,
        at: &UploadAt,
        parts: &[ListedPart],
    ) -> Option<Written> {
        let object = self.info(context, &at.bucket, &at.path).await.ok()?;
        let is_of_it = object.extra.parts.as_ref().is_some_and(|of_parts| of_parts.upload == at.id);
        let etags: Option<Vec<&str>> = parts.iter().map(|part| part.etag.as_deref()).collect();
        let is_the_same = tag_of_parts(&etags?).is_some_and(|tag| tag == object.etag);
        (is_of_it && is_the_same).then_some(Written { object, created: false, queued: None })
    }

    /// Makes an object of an upload.
    pub(in crate::storage) async fn complete(
        &self,
        access: &Access,
        upload: &MultipartUpload,
        completion: Completion,
    ) -> Result<Written, StorageError> {
        let bucket = self.bucket_to_complete_in(access, upload, &completion.mode).await?;
        if self.inner.options.load().verify_content && bucket.config.allowed_mime_types.is_some() {
            let head = self.head_of_parts(access, &upload.at, &completion.parts).await?;
            self.check_content(&bucket, &head)?;
        }
        let completion = Completion { max_size: self.size_limit(&bucket), ..completion };
        self.hit("complete.before_commit").await?;
        let written = self.executor().complete_multipart(access, &upload.at, completion).await;
        let counted = written.as_ref().map(|written| written.object.size);
        self.count_upload(&upload.at.bucket, counted);
        if written.is_ok() {
            self.inner.deletions_queued.notify_one();
            self.ring_events();
            self.copies_were_queued();
        }
        written
    }

    /// The bucket, where the object may be written there now, of as many bytes as it lets one have.
    async fn bucket_to_complete_in(
        &self,
        access: &Access,
        upload: &MultipartUpload,
        mode: &PutMode,
    ) -> Result<Bucket, StorageError> {
        let announced =
            Announced { attributes: Some(upload.attributes.clone()), size: None, is_final: false };
        let (bucket, path) = (&upload.at.bucket, &upload.at.path);
        let admission = self.executor().admit_put(access, bucket, path, mode, &announced).await?;
        self.check_limits(&admission, &upload.attributes.content_type, 0)?;
        Ok(admission.bucket)
    }

    /// The first bytes of what an upload will be, whichever pieces they came in.
    async fn head_of_parts(
        &self,
        access: &Access,
        at: &UploadAt,
        parts: &Chosen,
    ) -> Result<Vec<u8>, StorageError> {
        let (uploads, number) = match parts {
            Chosen::Listed(listed) => {
                (std::slice::from_ref(at), listed.first().map_or(1, |part| part.number))
            }
            Chosen::Appended { .. } => (std::slice::from_ref(at), 1),
            Chosen::Concatenated(others) => (others.as_slice(), 1),
        };
        let mut head = Vec::new();
        for upload in uploads {
            // Leased while they are read: a part may be sent again, or be moved to another provider.
            let lookup = self.leases().begin_lookup().await;
            let segments = self.executor().first_parts(access, upload, number, HEAD_PARTS).await?;
            let keys = segments.iter().filter_map(|segment| segment.blob_key().cloned()).collect();
            let _lease = self.leases().hold(keys);
            drop(lookup);
            for segment in segments {
                let wanted = (HEAD as u64).saturating_sub(head.len() as u64).min(segment.size);
                if wanted == 0 {
                    continue;
                }
                match &segment.place {
                    Place::Inline(bytes) => head.extend(bytes.iter().take(HEAD)),
                    Place::Blob { provider, key } => {
                        let mut bytes = self.read_blob((provider, key), Some(0..wanted)).await?;
                        while let Some(chunk) = bytes.next().await.transpose()? {
                            head.extend_from_slice(&chunk);
                        }
                    }
                }
            }
            if head.len() >= HEAD {
                break;
            }
        }
        Ok(head)
    }
}

/// The parts that are listed. `None` where they are not all there, or not in order: the transaction says so.
fn seen<'p>(there: &'p [Part], listed: &[ListedPart]) -> Result<Option<Vec<&'p Part>>, StorageError> {
    let mut seen = Vec::with_capacity(listed.len());
    for part in listed {
        let at = there.binary_search_by_key(&part.number, |there| there.number).ok();
        let Some(found) = at.and_then(|at| there.get(at)) else { return Ok(None) };
        let same_tag = part.etag.as_ref().is_none_or(|etag| *etag == found.etag);
        let same = |(word, value): (&String, &String)| found.checksums.get(word) == Some(value);
        if !same_tag || !part.checksums.iter().all(same) {
            return Err(StorageError::InvalidPart { number: part.number });
        }
        seen.push(found);
    }
    Ok(listed.is_sorted_by(|one, next| one.number < next.number).then_some(seen))
}

/// Holds parts to what the caller says of the object, and notes what they make of it.
fn hold(
    seen: &[&Part],
    upload: &MultipartUpload,
    options: &CompleteOptions,
    extra: &mut ObjectExtra,
) -> Result<(), StorageError> {
    let refuse = |message: &str| StorageError::InvalidRequest { message: message.to_owned() };
    let size = seen.iter().fold(0_u64, |size, part| size.saturating_add(part.size));
    if options.size.is_some_and(|wanted| wanted != size) {
        return Err(refuse("the parts do not have as many bytes as was said"));
    }
    let checksum = upload.checksum.or_else(|| said(&options.checksums));
    let covers = checksum.map(|checksum| checksum.checksum_type);
    if options.checksum_type.is_some() && options.checksum_type != covers {
        return Err(refuse("the upload was not begun with that type of checksum"));
    }
    let made = checksum.and_then(|checksum| {
        let made = checksum.of_parts(seen.iter().map(|part| (&part.checksums, part.size)));
        made.map(|made| (checksum.algorithm, made))
    });
    for (word, wanted) in &options.checksums {
        let Some((algorithm, made)) = made.as_ref().filter(|(algorithm, _)| algorithm.as_str() == word)
        else {
            return Err(refuse("the upload was not begun with that checksum"));
        };
        // Amazon's clients leave the number of parts away, or do not.
        if made != wanted && made.split_once('-').is_none_or(|(digest, _)| digest != wanted) {
            return Err(StorageError::DigestMismatch { algorithm: *algorithm });
        }
    }
    let count = u32::try_from(seen.len()).unwrap_or(u32::MAX);
    let mut of_parts = OfParts { upload: upload.at.id, count, digests: None };
    if let (Some(checksum), Some((algorithm, made))) = (checksum, made) {
        if algorithm != Algorithm::Sha256 {
            let digests = checksum.digests_of(seen.iter().map(|part| &part.checksums));
            of_parts.digests = digests.map(|digests| BASE64.encode(digests.concat()));
        }
        extra.checksums.insert(algorithm.as_str().to_owned(), made);
    }
    extra.parts = Some(of_parts);
    Ok(())
}

/// The checksum that is said only at the end.
fn said(checksums: &Checksums) -> Option<ObjectChecksum> {
    let (word, value) = checksums.first_key_value()?;
    Some(ObjectChecksum { algorithm: Algorithm::from_word(word)?, checksum_type: ChecksumType::of(value) })
}
