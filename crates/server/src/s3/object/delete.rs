//! Deleting objects, one or many.

use std::collections::HashSet;

use file_storage::{ObjectPath, Operation};
use futures_util::{StreamExt, stream};
use s3s::dto::{
    DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject, Error,
};

use crate::s3::call::Call;
use crate::s3::failure::Failure;

/// Most objects of one request.
const MOST: usize = 1000;
/// Objects that are looked at alone, at a time.
const AT_ONCE: usize = 8;

/// Deletes one; one that is not there counts as deleted.
pub(in crate::s3) async fn one(call: Call, input: DeleteObjectInput) -> Result<DeleteObjectOutput, Failure> {
    call.begin(Operation::Delete);
    if input.if_match.is_some()
        || input.if_match_last_modified_time.is_some()
        || input.if_match_size.is_some()
    {
        return Err(Failure::not_implemented("Deleting under a condition"));
    }
    let (bucket, path) = call.object()?;
    call.storage().delete(call.context(), bucket, path).await?;
    Ok(DeleteObjectOutput::default())
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
    let (mut errors, mut paths) = (Vec::new(), Vec::new());
    for object in asked {
        let conditional =
            object.e_tag.is_some() || object.size.is_some() || object.last_modified_time.is_some();
        let versioned = object.version_id.as_deref().is_some_and(|version| version != "null");
        match ObjectPath::parse(&object.key) {
            _ if conditional => {
                errors.push(error(&object.key, &Failure::not_implemented("Deleting under a condition")));
            }
            _ if versioned => {
                errors.push(error(&object.key, &Failure::not_implemented("Versions of objects")));
            }
            Ok(path) => paths.push(path),
            Err(refused) => errors.push(error(&object.key, &refused.into())),
        }
    }
    let gone = call.storage().delete_many(call.context(), &bucket, &paths).await?;
    let gone: HashSet<_> = gone.into_iter().map(|object| object.path).collect();
    let left = paths.iter().filter(|path| !gone.contains(*path));
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
    errors.extend(refused.iter().map(|(path, failure)| error(path.as_str(), failure)));
    let refused: HashSet<_> = refused.into_iter().map(|(path, _)| path).collect();
    let quiet = input.delete.quiet.unwrap_or(false);
    let deleted = paths.into_iter().filter(|path| !quiet && !refused.contains(path));
    let deleted = deleted.map(|path| DeletedObject { key: Some(path.to_string()), ..Default::default() });
    Ok(DeleteObjectsOutput {
        deleted: Some(deleted.collect()),
        errors: (!errors.is_empty()).then_some(errors),
        ..Default::default()
    })
}

fn error(key: &str, failure: &Failure) -> Error {
    Error {
        code: Some(failure.code().to_owned()),
        key: Some(key.to_owned()),
        message: Some(failure.message().to_owned()),
        version_id: None,
    }
}
