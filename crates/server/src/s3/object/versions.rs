//! `?versions`: what is at each path, and what was, by path and the newest first.

use file_storage::Operation;
use file_storage::versions::{ObjectVersion, VersionEntry, VersionListing, VersionPage, VersionStart};
use s3s::dto::{
    CommonPrefix, DeleteMarkerEntry, ETag, ListObjectVersionsInput, ListObjectVersionsOutput,
    ObjectVersion as Version, ObjectVersionStorageClass,
};

use super::acl::owner;
use super::list::MOST;
use super::names::Names;
use crate::s3::bucket::timestamp;
use crate::s3::call::{Call, version};
use crate::s3::failure::Failure;

/// Lists versions and delete markers.
pub(in crate::s3) async fn list(
    call: Call,
    input: ListObjectVersionsInput,
) -> Result<ListObjectVersionsOutput, Failure> {
    call.begin(Operation::ListVersions);
    let bucket = call.bucket()?;
    let max_keys = input.max_keys.unwrap_or(MOST);
    if max_keys < 0 {
        return Err(Failure::argument("Argument maxKeys must be an integer between 0 and 2147483647"));
    }
    let max_keys = max_keys.min(MOST);
    let names = Names::of(input.encoding_type.as_ref())?;
    names.check_all([
        ("prefix", &input.prefix),
        ("delimiter", &input.delimiter),
        ("key-marker", &input.key_marker),
    ])?;
    let listing = listing(&input, u32::try_from(max_keys).unwrap_or(0))?;
    let page = call.storage().list_versions(call.context(), bucket, &listing).await?;
    if page.entries.is_empty() {
        // An empty bucket, or none that the caller may look into.
        call.storage().reach(call.context(), bucket).await?;
    }
    let name = |name: &str| names.told(name);
    let (next_key, next_version) = next(&page);
    Ok(ListObjectVersionsOutput {
        name: Some(input.bucket),
        prefix: Some(name(input.prefix.as_deref().unwrap_or_default())),
        key_marker: Some(name(input.key_marker.as_deref().unwrap_or_default())),
        version_id_marker: Some(input.version_id_marker.unwrap_or_default()),
        max_keys: Some(max_keys),
        is_truncated: Some(page.is_truncated),
        next_key_marker: next_key.map(|key| name(&key)),
        next_version_id_marker: next_version,
        versions: Some(found(&page, false).map(|found| told(found, &name)).collect()),
        delete_markers: Some(found(&page, true).map(|found| marker(found, &name)).collect()),
        common_prefixes: prefixes(&page, &name),
        delimiter: listing.delimiter.as_deref().map(name),
        encoding_type: input.encoding_type,
        ..Default::default()
    })
}

fn listing(input: &ListObjectVersionsInput, limit: u32) -> Result<VersionListing, Failure> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let start = match (given(&input.key_marker), given(&input.version_id_marker)) {
        (None, None) => VersionStart::Path(String::new()),
        (None, Some(_)) => {
            return Err(Failure::argument("A version-id marker cannot be specified without a key marker."));
        }
        (Some(key), None) => VersionStart::AfterPath(key),
        (Some(key), Some(id)) => VersionStart::AfterVersion(key, version(&id)?),
    };
    let (prefix, delimiter) = (input.prefix.clone().unwrap_or_default(), given(&input.delimiter));
    Ok(VersionListing { prefix, delimiter, start, exact: false, limit })
}

/// Where the page after this one starts.
fn next(page: &VersionPage) -> (Option<String>, Option<String>) {
    match page.entries.last().filter(|_| page.is_truncated) {
        None => (None, None),
        Some(VersionEntry::Folder(folder)) => (Some(folder.clone()), None),
        Some(VersionEntry::Version(version)) => {
            let object = &version.object;
            (Some(object.path.to_string()), Some(object.version_id().to_string()))
        }
    }
}

fn found(page: &VersionPage, markers: bool) -> impl Iterator<Item = &ObjectVersion> {
    page.entries.iter().filter_map(move |entry| match entry {
        VersionEntry::Version(version) if version.is_delete_marker == markers => Some(&**version),
        VersionEntry::Version(_) | VersionEntry::Folder(_) => None,
    })
}

fn told(version: &ObjectVersion, name: &impl Fn(&str) -> String) -> Version {
    let object = &version.object;
    Version {
        key: Some(name(object.path.as_str())),
        version_id: Some(object.version_id().to_string()),
        is_latest: Some(version.is_latest),
        size: i64::try_from(object.size).ok(),
        e_tag: Some(ETag::Strong(object.etag.clone())),
        last_modified: Some(timestamp(object.updated_at)),
        storage_class: Some(ObjectVersionStorageClass::from_static(ObjectVersionStorageClass::STANDARD)),
        owner: Some(owner(object.owner_id)),
        ..Default::default()
    }
}

fn marker(version: &ObjectVersion, name: &impl Fn(&str) -> String) -> DeleteMarkerEntry {
    let object = &version.object;
    DeleteMarkerEntry {
        key: Some(name(object.path.as_str())),
        version_id: Some(object.version_id().to_string()),
        is_latest: Some(version.is_latest),
        last_modified: Some(timestamp(object.updated_at)),
        owner: Some(owner(object.owner_id)),
    }
}

fn prefixes(page: &VersionPage, name: &impl Fn(&str) -> String) -> Option<Vec<CommonPrefix>> {
    let folders = page.entries.iter().filter_map(|entry| match entry {
        VersionEntry::Folder(folder) => Some(CommonPrefix { prefix: Some(name(folder)) }),
        VersionEntry::Version(_) => None,
    });
    Some(folders.collect::<Vec<_>>()).filter(|folders| !folders.is_empty())
}
