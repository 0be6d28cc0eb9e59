//! Lists of objects, in their two forms: both are the same walk over the same rows.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use file_storage::executor::{
    Collation, Cursor, Delimiter, Entry, Listing, ObjectSort, PageStart, SortOrder,
};
use file_storage::storage::SharedPage;
use file_storage::{Operation, StorageObject};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};
use s3s::dto::{
    CommonPrefix, ETag, EncodingType, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input,
    ListObjectsV2Output, Object, ObjectStorageClass,
};

use super::acl::owner;
use super::names::Names;
use crate::s3::bucket::timestamp;
use crate::s3::call::Call;
use crate::s3::failure::Failure;

/// Most entries of a page.
pub(super) const MOST: i32 = 1000;

/// What stays as it is where keys are asked for in URL encoding.
pub(super) const IN_KEYS: AsciiSet =
    NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'*').remove(b'~');

/// What all forms ask for.
struct Asked {
    prefix: Option<String>,
    delimiter: Option<String>,
    max_keys: Option<i32>,
    after: Option<String>,
    encoding: Option<EncodingType>,
}

/// A page, with names in the encoding that was asked for.
struct Listed {
    page: Arc<SharedPage>,
    max_keys: i32,
    names: Names,
}

impl Listed {
    fn name(&self, name: impl AsRef<str>) -> String {
        self.names.told(name.as_ref())
    }

    fn given(&self, name: Option<String>) -> Option<String> {
        name.map(|name| self.name(name))
    }

    fn objects(&self) -> impl Iterator<Item = &StorageObject> {
        self.page.entries.iter().filter_map(|entry| match entry {
            Entry::Object(object) => Some(&**object),
            Entry::Folder(_) => None,
        })
    }

    fn contents(&self, with_owner: bool) -> Vec<Object> {
        let of = |object: &StorageObject| Object {
            key: Some(self.name(object.path.as_str())),
            size: i64::try_from(object.size).ok(),
            e_tag: Some(ETag::Strong(object.etag.clone())),
            last_modified: Some(timestamp(object.updated_at)),
            storage_class: Some(ObjectStorageClass::from_static(ObjectStorageClass::STANDARD)),
            owner: with_owner.then(|| owner(object.owner_id)),
            ..Default::default()
        };
        self.objects().map(of).collect()
    }

    fn prefixes(&self) -> Option<Vec<CommonPrefix>> {
        let folders = self.page.entries.iter().filter_map(|entry| match entry {
            Entry::Folder(path) => Some(CommonPrefix { prefix: Some(self.name(path)) }),
            Entry::Object(_) => None,
        });
        Some(folders.collect::<Vec<_>>()).filter(|folders| !folders.is_empty())
    }

    fn count(&self) -> i32 {
        i32::try_from(self.page.entries.len()).unwrap_or(i32::MAX)
    }

    fn next(&self) -> Option<&str> {
        self.page.next.as_ref().map(|cursor| cursor.path.as_str())
    }
}

async fn list(call: &Call, asked: &Asked) -> Result<Listed, Failure> {
    call.begin(Operation::List);
    let bucket = call.bucket()?;
    let max_keys = asked.max_keys.unwrap_or(MOST);
    if max_keys < 0 {
        return Err(Failure::argument("Argument maxKeys must be an integer between 0 and 2147483647"));
    }
    let names = Names::of(asked.encoding.as_ref())?;
    let given = [("prefix", &asked.prefix), ("delimiter", &asked.delimiter), ("marker", &asked.after)];
    names.check_all(given)?;
    let prefix = asked.prefix.clone().unwrap_or_default();
    let max_keys = max_keys.min(MOST);
    let limit = u32::try_from(max_keys).unwrap_or(0);
    let after = asked.after.clone().filter(|after| !after.is_empty());
    // No path has that character, and lists after or below it are empty or begin anew.
    let is_nowhere = prefix.contains('\0') || after.as_ref().is_some_and(|after| after.contains('\0'));
    if limit == 0 || is_nowhere {
        call.storage().reach(call.context(), bucket).await?;
        return Ok(Listed { page: Arc::default(), max_keys, names });
    }
    let listing = Listing {
        prefix,
        delimiter: asked.delimiter.as_deref().and_then(Delimiter::new),
        search: String::new(),
        collation: Collation::Bytes,
        sort: (ObjectSort::Name, SortOrder::Ascending),
        limit,
        start: match after {
            Some(path) => PageStart::After(Cursor { path, time: None }),
            None => PageStart::First,
        },
    };
    let page = call.storage().list(call.context(), bucket, &listing).await?;
    if page.entries.is_empty() {
        // An empty bucket, or none that the caller may look into.
        call.storage().reach(call.context(), bucket).await?;
    }
    Ok(Listed { page, max_keys, names })
}

/// The first form: pages by marker.
pub(in crate::s3) async fn v1(call: Call, input: ListObjectsInput) -> Result<ListObjectsOutput, Failure> {
    let asked = Asked {
        prefix: input.prefix.clone(),
        delimiter: input.delimiter.clone(),
        max_keys: input.max_keys,
        after: input.marker.clone(),
        encoding: input.encoding_type.clone(),
    };
    let listed = list(&call, &asked).await?;
    Ok(ListObjectsOutput {
        name: Some(input.bucket),
        prefix: Some(listed.names.told_if_it_must(input.prefix.unwrap_or_default())),
        marker: Some(listed.name(input.marker.unwrap_or_default())),
        max_keys: Some(listed.max_keys),
        is_truncated: Some(listed.next().is_some()),
        contents: Some(listed.contents(true)),
        common_prefixes: listed.prefixes(),
        // Without a delimiter, the last key is the marker.
        next_marker: listed.next().filter(|_| asked.delimiter.is_some()).map(|next| listed.name(next)),
        delimiter: listed.given(input.delimiter.filter(|delimiter| !delimiter.is_empty())),
        encoding_type: input.encoding_type,
        ..Default::default()
    })
}

/// The second form: pages by token.
pub(in crate::s3) async fn v2(call: Call, input: ListObjectsV2Input) -> Result<ListObjectsV2Output, Failure> {
    // An empty one is that of the first page.
    let token = input.continuation_token.as_deref().filter(|token| !token.is_empty());
    let token = token.map(untoken).transpose()?;
    let asked = Asked {
        prefix: input.prefix.clone(),
        delimiter: input.delimiter.clone(),
        max_keys: input.max_keys,
        after: token.or_else(|| input.start_after.clone()),
        encoding: input.encoding_type.clone(),
    };
    let listed = list(&call, &asked).await?;
    listed.names.check_all([("start-after", &input.start_after)])?;
    Ok(ListObjectsV2Output {
        name: Some(input.bucket),
        prefix: Some(listed.name(input.prefix.unwrap_or_default())),
        max_keys: Some(listed.max_keys),
        key_count: Some(listed.count()),
        continuation_token: input.continuation_token,
        is_truncated: Some(listed.next().is_some()),
        next_continuation_token: listed.next().map(token_of),
        contents: Some(listed.contents(input.fetch_owner.unwrap_or(false))),
        common_prefixes: listed.prefixes(),
        delimiter: listed.given(input.delimiter.filter(|delimiter| !delimiter.is_empty())),
        start_after: listed.given(input.start_after),
        encoding_type: input.encoding_type,
        ..Default::default()
    })
}

fn token_of(path: &str) -> String {
    URL_SAFE_NO_PAD.encode(path)
}

fn untoken(token: &str) -> Result<String, Failure> {
    let path = URL_SAFE_NO_PAD.decode(token).ok().and_then(|path| String::from_utf8(path).ok());
    path.filter(|path| !path.is_empty())
        .ok_or_else(|| Failure::argument("The continuation token provided is incorrect"))
}
