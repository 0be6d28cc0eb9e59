//! Figures that somebody must go and look for: whether the database answers, room on the disks, bytes by bucket and user, how full
//! quotas are, what waits.

mod quotas;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use file_storage::executor::{BucketListing, BucketSort, JobListing, JobStatus, SortOrder};
use file_storage::{FileStorage, RlsContext, StorageError};
use tokio_util::sync::CancellationToken;

use crate::serve::last_backup::LastBackup;

/// Time between two looks. A bucket's bytes are its row's counter, so that a look reads rows and counts nothing.
const PAUSE: Duration = Duration::from_secs(60);
/// How long the database may take to answer before it counts as away.
const PATIENCE: Duration = Duration::from_secs(5);
/// Labels of each kind at most, so that no caller can make a metrics store grow without bound.
const MAX_LABELS: usize = 100;
/// Buckets that are read at once.
const PAGE: u32 = 1000;
/// Jobs that are counted at once, and how often at most: that there are many is all that counts then.
const JOB_PAGE: u32 = 100;
const MOST_JOB_PAGES: u32 = 50;
/// The label of buckets that came too late for one of their own.
const OTHER: &str = "other";

/// What is looked at.
pub(crate) struct Gauges {
    storage: FileStorage,
    /// Directories whose disks are measured, by the label that they have.
    disks: Vec<(&'static str, PathBuf)>,
    /// Where backups are noted.
    data_dir: PathBuf,
    per_user: bool,
    buckets: Labels,
    users: Labels,
    quotas: quotas::Quotas,
}

/// The labels of a figure that there are already. They stay: one that is gone is at 0.
#[derive(Default)]
struct Labels(HashMap<String, u64>);

/// Values of one look, as they come in.
struct Measured {
    /// Of the labels that there are.
    labelled: HashMap<String, u64>,
    /// Those that get a label of their own, as long as there are some left: the ones that have most.
    most: Vec<(String, u64)>,
    /// All others together.
    others: u64,
}

impl Gauges {
    /// Of this storage and data directory, and of the disks of these directories.
    pub(crate) fn new(
        storage: FileStorage,
        disks: Vec<(&'static str, PathBuf)>,
        data_dir: PathBuf,
        per_user: bool,
    ) -> Self {
        let (buckets, users, quotas) = Default::default();
        Self { storage, disks, data_dir, per_user, buckets, users, quotas }
    }

    /// Looks now and then, until stopped.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        loop {
            let (disks, data_dir) = (self.disks.clone(), self.data_dir.clone());
            // A network file system may keep its caller waiting; nobody but this job waits for it.
            let looked = tokio::task::spawn_blocking(move || {
                measure_disks(&disks);
                measure_backup(&data_dir);
            });
            let look = async {
                self.measure_database().await;
                if let Err(error) = self.measure_deletions().await {
                    tracing::warn!(error = error.with_causes(), "blobs that wait for deletion not counted");
                }
                if let Err(error) = self.measure_usage().await {
                    tracing::warn!(error = error.with_causes(), "usage not measured");
                }
                if let Err(error) = self.measure_jobs().await {
                    tracing::warn!(error = error.with_causes(), "jobs not counted");
                }
                let _ = looked.await;
                tokio::time::sleep(PAUSE).await;
            };
            if stop.run_until_cancelled(look).await.is_none() {
                return;
            }
        }
    }

    /// Asks the database whether it answers. Also where nobody else asks it, it is noticed then that it does not.
    async fn measure_database(&self) {
        let answer = tokio::time::timeout(PATIENCE, self.storage.check_database()).await;
        metrics::gauge!("storage_database_up").set(if matches!(answer, Ok(Ok(()))) { 1.0 } else { 0.0 });
    }

    /// Counts blobs that nothing refers to any more and that are still there: many, or old ones, are a deletion that does not go on.
    async fn measure_deletions(&self) -> Result<(), StorageError> {
        let backlog = self.storage.backlog().await?;
        let waited = backlog.oldest_deletion.map(|since| (chrono::Utc::now() - since).num_seconds().max(0));
        metrics::gauge!("storage_deletions_pending").set(backlog.pending_deletions as f64);
        metrics::gauge!("storage_deletions_oldest_seconds").set(waited.unwrap_or(0) as f64);
        Ok(())
    }

    /// Counts jobs that have not ended. Lists begin with the youngest, so that the last one is the oldest.
    async fn measure_jobs(&self) -> Result<(), StorageError> {
        let context = RlsContext::system("metrics");
        for status in [JobStatus::Pending, JobStatus::Running] {
            let (mut count, mut oldest) = (0_u64, None);
            let mut listing = JobListing { status: Some(status), kind: None, before: None, limit: JOB_PAGE };
            for _ in 0..MOST_JOB_PAGES {
                let page = self.storage.jobs(&context, &listing).await?;
                count += page.len() as u64;
                let Some(last) = page.last() else { break };
                (oldest, listing.before) = (Some(last.created_at), Some(last.id));
            }
            let age = oldest.map_or(0, |asked| (chrono::Utc::now() - asked).num_seconds().max(0));
            metrics::gauge!("storage_jobs", "status" => status.as_str()).set(count as f64);
            metrics::gauge!("storage_jobs_oldest_seconds", "status" => status.as_str()).set(age as f64);
        }
        Ok(())
    }

    async fn measure_usage(&mut self) -> Result<(), StorageError> {
        let context = RlsContext::system("metrics");
        let (mut of_buckets, mut of_quotas) = (self.buckets.measured(), self.quotas.measured());
        let mut after = String::new();
        loop {
            let listing = BucketListing {
                limit: PAGE,
                after,
                sort: (BucketSort::Name, SortOrder::Ascending),
                ..BucketListing::default()
            };
            let page = self.storage.list_buckets(&context, &listing).await?;
            let last = page.last().filter(|_| page.len() >= usize::try_from(PAGE).unwrap_or(usize::MAX));
            let next = last.map(|bucket| bucket.name.to_string());
            of_quotas.add(&page);
            of_buckets.add(page.into_iter().map(|bucket| (bucket.name.to_string(), bucket.total_bytes)));
            match next {
                Some(name) => after = name,
                None => break,
            }
        }
        for (bucket, bytes) in self.buckets.take(of_buckets, Some(OTHER)) {
            metrics::gauge!("storage_usage_bytes", "bucket" => bucket).set(bytes as f64);
        }
        // Neither keeps the other one from being told.
        let of_users = if self.per_user { self.measure_users(&context).await } else { Ok(()) };
        let of_quotas = self.quotas.take(of_quotas, &self.storage, &context).await;
        of_users.and(of_quotas)
    }

    async fn measure_users(&mut self, context: &RlsContext) -> Result<(), StorageError> {
        let most = u32::try_from(MAX_LABELS).unwrap_or(u32::MAX);
        let users = self.storage.all_usage(context, most).await?.into_iter();
        let users = users.filter_map(|user| Some((user.user_id?.to_string(), user.total_bytes)));
        let mut of_users = self.users.measured();
        of_users.add(users);
        for (user, bytes) in self.users.take(of_users, None) {
            metrics::gauge!("storage_user_usage_bytes", "user" => user).set(bytes as f64);
        }
        Ok(())
    }
}

impl Labels {
    /// What is measured now: nothing yet.
    fn measured(&self) -> Measured {
        let labelled = self.0.keys().map(|name| (name.clone(), 0)).collect();
        Measured { labelled, most: Vec::new(), others: 0 }
    }

    /// Takes the values of now; gives each label's. What has none is counted together, where there is a name for it, and so is what bears
    /// that name itself: of two values of one label, only one would be told.
    fn take(&mut self, measured: Measured, rest: Option<&str>) -> impl Iterator<Item = (String, u64)> {
        self.0 = measured.labelled;
        self.0.extend(measured.most);
        let namesake = rest.and_then(|name| self.0.get(name)).copied();
        let others = measured.others.saturating_add(namesake.unwrap_or(0));
        let rest = rest.filter(|_| others > 0 || namesake.is_some() || self.0.len() >= MAX_LABELS);
        let rest = rest.map(|name| (name.to_owned(), others));
        let is_other = rest.clone();
        let own =
            self.0.iter().filter(move |(name, _)| is_other.as_ref().is_none_or(|(rest, _)| rest != *name));
        own.map(|(name, bytes)| (name.clone(), *bytes)).chain(rest)
    }
}

impl Measured {
    /// Takes some more values in. However many come, no more names are kept than there may be labels.
    fn add(&mut self, values: impl IntoIterator<Item = (String, u64)>) {
        for (name, bytes) in values {
            match self.labelled.get_mut(&name) {
                Some(labelled) => *labelled = bytes,
                None => self.most.push((name, bytes)),
            }
        }
        self.most.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        let free = MAX_LABELS.saturating_sub(self.labelled.len()).min(self.most.len());
        let late = self.most.drain(free..).map(|(_, bytes)| bytes);
        self.others = late.fold(self.others, u64::saturating_add);
    }
}

fn measure_disks(disks: &[(&'static str, PathBuf)]) {
    for (place, path) in disks {
        if let Ok(found) = rustix::fs::statvfs(path) {
            let size = found.f_blocks.saturating_mul(found.f_frsize);
            let free = found.f_bavail.saturating_mul(found.f_frsize);
            metrics::gauge!("storage_disk_size_bytes", "place" => *place).set(size as f64);
            metrics::gauge!("storage_disk_free_bytes", "place" => *place).set(free as f64);
        }
    }
}

/// Tells when the last backup was made, where the data directory says so.
fn measure_backup(data_dir: &Path) {
    match LastBackup::read(data_dir) {
        Ok(Some(last)) => {
            let made = last.created_at.timestamp();
            metrics::gauge!("storage_last_backup_timestamp_seconds").set(made as f64);
        }
        Ok(None) => {}
        Err(error) => tracing::warn!(%error, "when the last backup was made can't be read"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_bounded_and_what_is_gone_is_at_nothing() {
        let mut labels = Labels::default();
        let mut take = |pages: &[std::ops::Range<u64>], rest: Option<&str>| -> HashMap<_, _> {
            let mut measured = labels.measured();
            for page in pages {
                measured.add(page.clone().map(|number| (format!("b{number}"), number + 1)));
                assert!(measured.labelled.len() + measured.most.len() <= MAX_LABELS);
            }
            labels.take(measured, rest).collect()
        };
        let sum = |range: std::ops::Range<u64>| range.map(|number| number + 1).sum::<u64>();
        // Those that have most have labels, on whichever page they come.
        let first = take(&[0..60, 60..150], Some(OTHER));
        assert_eq!((first.len(), first[OTHER], first["b50"]), (MAX_LABELS + 1, sum(0..50), 51));
        let later = take(&[100..200, 200..250], Some(OTHER));
        assert_eq!((later.len(), later[OTHER]), (MAX_LABELS + 1, sum(150..250)));
        assert_eq!((later["b149"], later["b50"]), (150, 0));
        let none = take(&[], None);
        assert_eq!((none.len(), none.values().sum::<u64>()), (MAX_LABELS, 0));
    }

    #[test]
    fn what_is_called_as_the_rest_is_counts_with_it() {
        let mut labels = Labels::default();
        let mut take = |values: &[(&str, u64)]| -> Vec<(String, u64)> {
            let mut measured = labels.measured();
            measured.add(values.iter().map(|(name, bytes)| ((*name).to_owned(), *bytes)));
            let mut taken: Vec<_> = labels.take(measured, Some(OTHER)).collect();
            taken.sort();
            taken
        };
        let of = |name: &str, bytes| (name.to_owned(), bytes);
        assert_eq!(take(&[("a", 1), (OTHER, 2)]), [of("a", 1), of(OTHER, 2)]);
        assert_eq!(take(&[("a", 1)]), [of("a", 1), of(OTHER, 0)]);
        let many: Vec<_> = (0..MAX_LABELS).map(|number| format!("b{number:03}")).collect();
        let mut many: Vec<_> = many.iter().map(|name| (name.as_str(), 10)).collect();
        many.push((OTHER, 5));
        let taken = take(&many);
        assert_eq!(taken.iter().filter(|(name, _)| name == OTHER).count(), 1);
        // Two labels were taken already.
        assert_eq!((taken.len(), taken.last()), (MAX_LABELS, Some(&of(OTHER, 25))));
    }
}
