//! Deleting objects, one or many.

use std::collections::{HashMap, HashSet};

use file_storage::{BucketName, ObjectPath, Operation, VersionId};
use futures_util::{StreamExt, stream};
use s3s::dto::{
    DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject, Error,
};

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
    if input.if_match.is_some()
        || input.if_match_last_modified_time.is_some()
        || input.if_match_size.is_some()
    {
        return Err(Failure::not_implemented("Deleting under a condition"));
    }
    let (bucket, path) = call.object()?;
    let Some(version) = version else {
        let marker = call.storage().delete(call.context(), bucket, path).await?.marker;
        let version_id = marker.map(|marker| marker.id().to_string());
        return Ok(DeleteObjectOutput {
            delete_marker: marker.map(|_| true),
            version_id,
            ..Default::default()
        });
    };
    let gone = call.storage().delete_version(call.context(), bucket, path, version).await?;
    Ok(DeleteObjectOutput {
        delete_marker: gone.map(|gone| gone.is_delete_marker).filter(|is_marker| *is_marker),
        version_id: Some(version.to_string()),
        ..Default::default()
    })
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
    let (mut errors, mut paths, mut versions) = (Vec::new(), Vec::new(), Vec::new());
    for object in asked {
        let conditional =
            object.e_tag.is_some() || object.size.is_some() || object.last_modified_time.is_some();
        let id = object.version_id.as_deref();
        let named = || {
            let path = ObjectPath::parse(&object.key)?;
            Ok::<_, Failure>((path, id.map(version).transpose()?))
        };
        match named() {
            _ if conditional => {
                errors.push(error(&object.key, id, &Failure::not_implemented("Deleting under a condition")));
            }
            Ok((path, None)) => paths.push(path),
            Ok((path, Some(version))) => versions.push((path, version)),
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
                let outcome = call.storage().delete(call.context(), &bucket, &path).await;
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
    for (path, version, outcome) in delete_versions(&call, &bucket, versions).await {
        match outcome {
            Ok(deleted_version) => deleted.push(deleted_version),
            Err(failure) => errors.push(error(path.as_str(), Some(&version.to_string()), &failure)),
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

/// Deletes versions for good, some at a time.
async fn delete_versions(
    call: &Call,
    bucket: &BucketName,
    versions: Vec<(ObjectPath, VersionId)>,
) -> Vec<(ObjectPath, VersionId, Result<DeletedObject, Failure>)> {
    stream::iter(versions)
        .map(|(path, version)| async move {
            let gone = call.storage().delete_version(call.context(), bucket, &path, version).await;
            let outcome = gone.map_err(Failure::from).map(|gone| {
                let is_marker = gone.is_some_and(|gone| gone.is_delete_marker);
                DeletedObject {
                    key: Some(told(path.as_str())),
                    version_id: Some(version.to_string()),
                    delete_marker: is_marker.then_some(true),
                    delete_marker_version_id: is_marker.then(|| version.to_string()),
                }
            });
            (path, version, outcome)
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
