//! What lies below a folder, a page at a time, as the job's caller sees it; and how a page is worked through.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::errors::StorageError;
use crate::executor::{
    ClaimedJob, Collation, Cursor, Entry, JobProgress, Listing, ObjectSort, PageStart, SortOrder,
};
use crate::file::StorageObject;
use crate::storage::{FileStorage, Folder};

/// Objects of a page.
const PAGE: u32 = 1000;

/// Time after which a step ends that has more to do: what is written down then is what its caller sees.
const TURN: Duration = Duration::from_secs(1);

/// Objects of a folder, in the order of their paths, after those that the job is through with.
pub(super) struct Page {
    pub(super) objects: Vec<StorageObject>,
    pub(super) is_last: bool,
    ends: Instant,
}

impl Page {
    /// Reads the next one.
    pub(super) async fn read(
        storage: &FileStorage,
        job: &ClaimedJob,
        folder: &Folder,
    ) -> Result<Self, StorageError> {
        let after = job.progress.state.get("after").and_then(Value::as_str);
        let start = after
            .map_or(PageStart::First, |path| PageStart::After(Cursor { path: path.to_owned(), time: None }));
        let listing = Listing {
            prefix: folder.prefix().to_owned(),
            delimiter: None,
            search: String::new(),
            collation: Collation::Bytes,
            sort: (ObjectSort::Name, SortOrder::Ascending),
            limit: PAGE,
            start,
        };
        let page = storage.list(&job.caller, &folder.bucket, &listing).await?.into_page();
        let objects = page.entries.into_iter().filter_map(|entry| match entry {
            Entry::Object(object) => Some(*object),
            Entry::Folder(_) => None,
        });
        let ends = Instant::now() + TURN;
        Ok(Self { objects: objects.collect(), is_last: page.next.is_none(), ends })
    }

    /// Whether the step has taken long enough.
    pub(super) fn is_over(&self) -> bool {
        self.ends <= Instant::now()
    }

    /// Counts all of it: what a job that only looks does.
    pub(super) fn count(&self, progress: &mut JobProgress) {
        for object in &self.objects {
            progress.did(object.size);
        }
        pass(progress, self.objects.last());
        progress.total = self.is_last.then_some(progress.done);
    }
}

/// Says that the job is through with all up to this object.
pub(super) fn pass(progress: &mut JobProgress, last: Option<&StorageObject>) {
    if let Some(last) = last {
        progress.state = json!({ "after": last.path.as_str() });
    }
}
