//! The name of an upload in URLs: base64url of bucket, path and identity, as Supabase has it. It is no secret and proves
//! nothing: who may go on with the upload is decided by its row.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use file_storage::multipart::UploadAt;
use file_storage::{BucketName, ObjectPath, StorageError};
use uuid::Uuid;

/// The name of an upload.
pub(super) fn encode(at: &UploadAt) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}/{}/{}", at.bucket, at.path, at.id))
}

/// The upload of that name. What is none names no upload.
pub(super) fn decode(name: &str) -> Result<UploadAt, StorageError> {
    let none = StorageError::UploadNotFound { upload: Uuid::nil() };
    let parse = || {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(name).ok()?).ok()?;
        let (bucket, rest) = text.split_once('/')?;
        let (path, id) = rest.rsplit_once('/')?;
        Some(UploadAt {
            bucket: BucketName::parse(bucket).ok()?,
            path: ObjectPath::parse(path).ok()?,
            id: Uuid::try_parse(id).ok()?,
        })
    };
    parse().ok_or(none)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_uploads_and_anything_else_to_none() {
        let at = UploadAt {
            bucket: BucketName::parse("b").unwrap(),
            path: ObjectPath::parse("a/ü b//c").unwrap(),
            id: Uuid::now_v7(),
        };
        assert_eq!(decode(&encode(&at)).unwrap(), at);
        for bad in ["", "x", "!!", "YS9iL2M", &URL_SAFE_NO_PAD.encode(format!("b/../{}", at.id))] {
            assert!(matches!(decode(bad), Err(StorageError::UploadNotFound { .. })), "{bad}");
        }
    }
}
