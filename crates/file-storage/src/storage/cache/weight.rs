//! How much memory answers take: an estimate, and rather too much than too little.

use serde_json::Value;

use crate::bucket::BucketName;
use crate::executor::{Cursor, Entry, Listing, Page, PageStart};
use crate::file::{Place, Segment, StorageObject, StoredObject};
use crate::path::ObjectPath;

/// What is kept of each entry by the cache itself, and by the allocator around every piece of memory.
const OVERHEAD: usize = 256;

/// What a map or a vector takes for an element beside the element's own bytes.
const ELEMENT: usize = 64;

/// What a protocol writes for an object, beside its texts, and keeps with the page ([`super::SharedPage`]).
const WRITTEN: usize = 900;

/// Bytes of a page, and of what is written for it: that is counted whether it was written or not.
pub(super) fn of_page(page: &Page) -> u32 {
    let entries = page.entries.iter().map(|entry| {
        size_of::<Entry>()
            + match entry {
                Entry::Object(object) => of_object(object),
                Entry::Folder(path) => path.len(),
            }
    });
    let next = page.next.as_ref().map_or(0, |cursor| cursor.path.len());
    bounded(OVERHEAD + size_of::<Page>() + next + entries.sum::<usize>())
}

/// Bytes of a question.
pub(super) fn of_question(bucket: &BucketName, listing: &Listing) -> u32 {
    let start = match &listing.start {
        PageStart::After(Cursor { path, .. }) => path.len(),
        PageStart::First | PageStart::Offset(_) => 0,
    };
    let delimiter = listing.delimiter.as_ref().map_or(0, |delimiter| delimiter.as_str().len());
    let texts = bucket.as_str().len() + listing.prefix.len() + listing.search.len() + start + delimiter;
    bounded(OVERHEAD + size_of::<Listing>() + texts)
}

/// Bytes of a question for one object.
pub(super) fn of_place(bucket: &BucketName, path: &ObjectPath) -> u32 {
    bounded(OVERHEAD + size_of::<Listing>() + bucket.as_str().len() + path.as_str().len())
}

/// Bytes of an object's row with its segments, and of those that are in them.
pub(super) fn of_row(row: &StoredObject) -> u32 {
    let segments = row.segments.iter().map(|segment| {
        size_of::<Segment>()
            + ELEMENT
            + match &segment.place {
                Place::Inline(bytes) => bytes.len(),
                Place::Blob { provider, key } => ELEMENT + provider.len() + key.as_str().len(),
            }
    });
    bounded(OVERHEAD + size_of::<StoredObject>() + said_of(&row.object) + segments.sum::<usize>())
}

fn of_object(object: &StorageObject) -> usize {
    // Texts stand in what is written, too, some of them twice.
    size_of::<StorageObject>() + ELEMENT + WRITTEN + 3 * said_of(object)
}

/// Bytes that an object's texts take.
fn said_of(object: &StorageObject) -> usize {
    let texts = object.path.as_str().len()
        + object.bucket.as_str().len()
        + object.content_type.len()
        + object.cache_control.as_ref().map_or(0, String::len)
        + object.etag.len();
    let metadata = object.metadata.iter().map(|(name, value)| ELEMENT + name.len() + of_value(value));
    // Rarely there, and of many kinds: as it is written down.
    let extra = if object.extra == Default::default() {
        0
    } else {
        serde_json::to_string(&object.extra).map_or(0, |text| ELEMENT + 2 * text.len())
    };
    texts + metadata.sum::<usize>() + extra
}

fn of_value(value: &Value) -> usize {
    size_of::<Value>()
        + match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
            Value::String(text) => text.len(),
            Value::Array(values) => values.iter().map(of_value).sum(),
            Value::Object(values) => {
                values.iter().map(|(name, value)| ELEMENT + name.len() + of_value(value)).sum()
            }
        }
}

fn bounded(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
