//! What lies below a folder, a page at a time, as the job's caller sees it; and how a page is worked through.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::errors::StorageError;
use crate::executor::{
    ClaimedJob, Collation, Cursor, Entry, JobProgress, Listing, ObjectSort, PageStart, SortOrder,
};
use crate::file::StorageObject;
use crate::permissions::RlsContext;
use crate::storage::{FileStorage, Folder};

/// Objects of a page.
const PAGE: u32 = 1000;

/// Pages that are counted before the first of them is worked through. Where there are more, nobody is told how many there are.
const COUNTED: usize = 20;

/// Time after which a step ends that has more to do: what is written down then is what its caller sees.
const TURN: Duration = Duration::from_secs(1);

/// Objects of a folder, in the order of their paths, after those that the job is through with.
pub(super) struct Page {
    pub(super) objects: Vec<StorageObject>,
    pub(super) is_last: bool,
    ends: Instant,
}

impl Page {
    /// Reads the next one. With the first one, a job that does more than look is told how many objects there are.
    pub(super) async fn read(
        storage: &FileStorage,
        job: &mut ClaimedJob,
        folder: &Folder,
    ) -> Result<Self, StorageError> {
        let after = job.progress.state.get("after").and_then(Value::as_str).map(str::to_owned);
        let is_first = after.is_none();
        let page = Self::after(storage, &job.caller, folder, after).await?;
        if is_first && !job.job.dry_run {
            job.progress.total = page.count_on(storage, &job.caller, folder).await?;
        }
        Ok(Self { ends: Instant::now() + TURN, ..page })
    }

    async fn after(
        storage: &FileStorage,
        caller: &RlsContext,
        folder: &Folder,
        after: Option<String>,
    ) -> Result<Self, StorageError> {
        let start = after.map_or(PageStart::First, |path| PageStart::After(Cursor { path, time: None }));
        let listing = Listing {
            prefix: folder.prefix().to_owned(),
            delimiter: None,
            search: String::new(),
            collation: Collation::Bytes,
            sort: (ObjectSort::Name, SortOrder::Ascending),
            limit: PAGE,
            start,
        };
        let page = storage.list(caller, &folder.bucket, &listing).await?.into_page();
        let objects = page.entries.into_iter().filter_map(|entry| match entry {
            Entry::Object(object) => Some(*object),
            Entry::Folder(_) => None,
        });
        let ends = Instant::now() + TURN;
        Ok(Self { objects: objects.collect(), is_last: page.next.is_none(), ends })
    }

    /// How many objects there are from here on; `None` where they are too many to be counted.
    async fn count_on(
        &self,
        storage: &FileStorage,
        caller: &RlsContext,
        folder: &Folder,
    ) -> Result<Option<u64>, StorageError> {
        let (mut count, mut is_last) = (self.objects.len(), self.is_last);
        let mut last = self.last_path();
        for _ in 1..COUNTED {
            if is_last {
                break;
            }
            let page = Self::after(storage, caller, folder, last).await?;
            count += page.objects.len();
            (is_last, last) = (page.is_last, page.last_path());
        }
        Ok(is_last.then_some(count as u64))
    }

    fn last_path(&self) -> Option<String> {
        self.objects.last().map(|object| object.path.as_str().to_owned())
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
