//! Deleting objects, one or many.

use std::collections::{HashMap, HashSet};

use file_storage::file::ETags;
use file_storage::versions::{DeleteMarker, ObjectVersion};
use file_storage::{BucketName, ObjectPath, Operation, StorageError, VersionId};
use futures_util::{StreamExt, stream};
use s3s::dto::{
    DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject, ETag,
    Error,
};

use crate::conditional;
use crate::s3::call::{Call, version};
use crate::s3::failure::Failure;
use crate::s3::xml;

/// Most objects of one request.
const MOST: usize = 1000;
/// Objects that are looked at alone, at a time.
const AT_ONCE: usize = 8;

/// Deletes one, or a version for good; what is not there counts as deleted.
pub(in crate::s3) async fn one(call: Call, input: DeleteObjectInput) -> Result<DeleteObjectOutput, Failure> {
    let version = call.version()?;
    call.begin(if version.is_some() { Operation::DeleteVersion } else { Operation::Delete });
    if input.if_match_last_modified_time.is_some() || input.if_match_size.is_some() {
        return Err(Failure::not_implemented("Deleting under a condition other than If-Match"));
    }
    let condition = conditional::deletion(call.headers());
    let condition =
        condition.map_err(|_| Failure::not_implemented("A condition on a deletion other than If-Match"))?;
    let at = call.object()?;
    let Some(version) = version else {
        let marker = current(&call, at, condition.as_ref()).await?;
        let version_id = marker.map(|marker| marker.id().to_string());
        return Ok(DeleteObjectOutput {
            delete_marker: marker.map(|_| true),
            version_id,
            ..Default::default()
        });
    };
    let gone = old(&call, at, version, condition.as_ref()).await?;
    Ok(DeleteObjectOutput {
        delete_marker: gone.map(|gone| gone.is_delete_marker).filter(|is_marker| *is_marker),
        version_id: Some(version.to_string()),
        ..Default::default()
    })
}

/// Deletes what is current; under a condition, what is not there is gone already, as S3 has it, and what a delete marker hides
/// is another.
async fn current(
    call: &Call,
    (bucket, path): (&BucketName, &ObjectPath),
    condition: Option<&ETags>,
) -> Result<Option<DeleteMarker>, StorageError> {
    let (storage, context) = (call.storage(), call.context());
    match storage.delete(context, bucket, path, condition).await {
        Ok(deletion) => Ok(deletion.marker),
        Err(failed @ StorageError::PreconditionFailed { .. }) => {
            match storage.info(context, bucket, path).await {
                Err(StorageError::ObjectNotFound { .. }) => Ok(None),
                _ => Err(failed),
            }
        }
        Err(error) => Err(error),
    }
}

/// Deletes a version for good; one that is not there is gone already, also under a condition.
async fn old(
    call: &Call,
    (bucket, path): (&BucketName, &ObjectPath),
    version: VersionId,
    condition: Option<&ETags>,
) -> Result<Option<ObjectVersion>, StorageError> {
    call.storage().delete_version(call.context(), bucket, path, version, condition).await
}

/// Deletes many: in one transaction those that may be, and says of the others why not.
pub(in crate::s3) async fn many(
    call: Call,
    input: DeleteObjectsInput,
) -> Result<DeleteObjectsOutput, Failure> {
    call.begin(Operation::Delete);
    let bucket = call.bucket()?.clone();
    let asked = input.delete.objects;
    if asked.is_empty() || asked.len() > MOST {
        return Err(Failure::bad_request("MalformedXML", "A request names between 1 and 1000 objects"));
    }
    // Whether the bucket is there and open to the caller at all is the same for all keys.
    call.storage().reach(call.context(), &bucket).await?;
    let (mut errors, mut paths, mut alone) = (Vec::new(), Vec::new(), Vec::new());
    for object in asked {
        let is_refused = object.size.is_some() || object.last_modified_time.is_some();
        let condition = object.e_tag.as_ref().map(tags);
        let id = object.version_id.as_deref();
        let named = || {
            let path = ObjectPath::parse(&object.key)?;
            Ok::<_, Failure>((path, id.map(version).transpose()?))
        };
        match named() {
            _ if is_refused => {
                let refusal = Failure::not_implemented("Deleting under a condition other than ETag");
                errors.push(error(&object.key, id, &refusal));
            }
            Ok((path, None)) if condition.is_none() => paths.push(path),
            Ok((path, version)) => alone.push(Alone { path, version, condition }),
            Err(refused) => errors.push(error(&object.key, id, &refused)),
        }
    }
    let gone = call.storage().delete_many(call.context(), &bucket, &paths).await?;
    let gone: HashMap<_, _> = gone.into_iter().map(|deletion| (deletion.path, deletion.marker)).collect();
    let left = paths.iter().filter(|path| !gone.contains_key(*path));
    let refused: Vec<_> = stream::iter(left.cloned().collect::<Vec<_>>())
        .map(|path| {
            let (call, bucket) = (call.clone(), bucket.clone());
            async move {
                let outcome = call.storage().delete(call.context(), &bucket, &path, None).await;
                outcome.err().map(|refused| (path, Failure::from(refused)))
            }
        })
        .buffer_unordered(AT_ONCE)
        .filter_map(async |refused| refused)
        .collect()
        .await;
    errors.extend(refused.iter().map(|(path, failure)| error(path.as_str(), None, failure)));
    let refused: HashSet<_> = refused.into_iter().map(|(path, _)| path).collect();
    let quiet = input.delete.quiet.unwrap_or(false);
    let mut deleted: Vec<_> = paths
        .into_iter()
        .filter(|path| !refused.contains(path))
        .map(|path| {
            let marker = gone.get(&path).copied().flatten();
            DeletedObject {
                key: Some(told(path.as_str())),
                delete_marker: marker.map(|_| true),
                delete_marker_version_id: marker.map(|marker| marker.id().to_string()),
                ..Default::default()
            }
        })
        .collect();
    for (asked, outcome) in delete_alone(&call, &bucket, alone).await {
        let version = asked.version.map(|version| version.to_string());
        match outcome {
            Ok(gone) => deleted.push(gone),
            Err(failure) => errors.push(error(asked.path.as_str(), version.as_deref(), &failure)),
        }
    }
    if quiet {
        deleted.clear();
    }
    Ok(DeleteObjectsOutput {
        deleted: Some(deleted),
        errors: (!errors.is_empty()).then_some(errors),
        ..Default::default()
    })
}

/// What is deleted by itself: a version, or under a condition.
struct Alone {
    path: ObjectPath,
    version: Option<VersionId>,
    condition: Option<ETags>,
}

fn tags(tag: &ETag) -> ETags {
    match tag {
        ETag::Strong(tag) if tag == "*" => ETags::Any,
        ETag::Strong(tag) => ETags::These(vec![tag.clone()]),
        // Equal to none.
        ETag::Weak(_) => ETags::These(Vec::new()),
    }
}

/// Deletes them, some at a time.
async fn delete_alone(
    call: &Call,
    bucket: &BucketName,
    all: Vec<Alone>,
) -> Vec<(Alone, Result<DeletedObject, Failure>)> {
    stream::iter(all)
        .map(|asked| async move {
            let (at, condition) = ((bucket, &asked.path), asked.condition.as_ref());
            let marker = match asked.version {
                None => current(call, at, condition).await.map(|marker| marker.map(|marker| marker.id())),
                Some(version) => old(call, at, version, condition)
                    .await
                    .map(|gone| gone.filter(|gone| gone.is_delete_marker).map(|_| version)),
            };
            let outcome = marker.map_err(Failure::from).map(|marker| DeletedObject {
                key: Some(told(asked.path.as_str())),
                version_id: asked.version.map(|version| version.to_string()),
                delete_marker: marker.map(|_| true),
                delete_marker_version_id: marker.map(|marker| marker.to_string()),
            });
            (asked, outcome)
        })
        .buffered(AT_ONCE)
        .collect()
        .await
}

fn error(key: &str, version: Option<&str>, failure: &Failure) -> Error {
    Error {
        code: Some(failure.code().to_owned()),
        key: Some(told(key)),
        message: Some(told(failure.message())),
        version_id: version.map(told),
    }
}

/// What stood in the request, as XML can have it.
fn told(text: &str) -> String {
    xml::tellable(text).into_owned()
}
