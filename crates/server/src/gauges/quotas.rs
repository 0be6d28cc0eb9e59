//! How full quotas are: those of buckets, and that of all that is stored.

use std::collections::HashMap;

use file_storage::bucket::Bucket;
use file_storage::{FileStorage, QuotaScope, RlsContext, StorageError};

use super::MAX_LABELS;

/// What is in use of a quota, and the quota, in bytes. Both are 0 where it was taken off.
type Figures = (u64, u64);

/// The quotas that are told already. They stay: one that is gone is at 0.
#[derive(Default)]
pub(super) struct Quotas {
    buckets: HashMap<String, Figures>,
    of_all: Option<Figures>,
}

/// Quotas of buckets of one look, as they come in.
pub(super) struct Measured {
    /// Of those that are told already.
    told: HashMap<String, Figures>,
    /// Those that will be, as long as there may be more: the fullest. The others are not told.
    fullest: Vec<(String, Figures)>,
}

impl Quotas {
    /// What is measured now: nothing yet.
    pub(super) fn measured(&self) -> Measured {
        let told = self.buckets.keys().map(|name| (name.clone(), (0, 0))).collect();
        Measured { told, fullest: Vec::new() }
    }

    /// Takes the figures of now, and tells them.
    pub(super) async fn take(
        &mut self,
        measured: Measured,
        storage: &FileStorage,
        context: &RlsContext,
    ) -> Result<(), StorageError> {
        self.take_buckets(measured);
        for (bucket, figures) in &self.buckets {
            tell("bucket", bucket, *figures);
        }
        let of_all = storage.quota(context, &QuotaScope::Global).await?;
        match of_all.limit {
            Some(limit) => self.of_all = Some((of_all.used, limit)),
            None => self.of_all = self.of_all.map(|_| (0, 0)),
        }
        if let Some(figures) = self.of_all {
            tell("global", "", figures);
        }
        Ok(())
    }

    fn take_buckets(&mut self, measured: Measured) {
        self.buckets = measured.told;
        self.buckets.extend(measured.fullest);
    }
}

impl Measured {
    /// Takes some more buckets in. However many come, no more names are kept than there may be labels.
    pub(super) fn add(&mut self, buckets: &[Bucket]) {
        self.add_figures(buckets.iter().filter_map(|bucket| {
            Some((bucket.name.to_string(), (bucket.used_bytes(), bucket.config.quota_bytes?)))
        }));
    }

    fn add_figures(&mut self, quotas: impl IntoIterator<Item = (String, Figures)>) {
        for (name, figures) in quotas {
            match self.told.get_mut(&name) {
                Some(told) => *told = figures,
                None => self.fullest.push((name, figures)),
            }
        }
        self.fullest.sort_by_key(|(_, figures)| std::cmp::Reverse(fullness(*figures)));
        self.fullest.truncate(MAX_LABELS.saturating_sub(self.told.len()));
    }
}

/// How full a quota is, to be compared: in millionths.
fn fullness((used, limit): Figures) -> u128 {
    match (used, limit) {
        (0, _) => 0,
        (_, 0) => u128::MAX,
        (used, limit) => u128::from(used).saturating_mul(1_000_000) / u128::from(limit),
    }
}

fn tell(scope: &'static str, bucket: &str, (used, limit): Figures) {
    let labels = [("scope", scope.to_owned()), ("bucket", bucket.to_owned())];
    metrics::gauge!("storage_quota_used_bytes", &labels).set(used as f64);
    metrics::gauge!("storage_quota_limit_bytes", &labels).set(limit as f64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fullest_are_told_and_stay() {
        let mut quotas = Quotas::default();
        let mut take = |pages: &[&[(&str, Figures)]]| {
            let mut measured = quotas.measured();
            for page in pages {
                measured.add_figures(page.iter().map(|(name, figures)| ((*name).to_owned(), *figures)));
            }
            quotas.take_buckets(measured);
            let mut all: Vec<_> =
                quotas.buckets.iter().map(|(name, figures)| (name.clone(), *figures)).collect();
            all.sort();
            all
        };
        let names: Vec<String> = (0..150).map(|number| format!("b{number:03}")).collect();
        let many: Vec<_> = names.iter().zip(0_u64..).map(|(name, used)| (&**name, (used, 1000))).collect();
        // Those that are fullest, on whichever page they come, and not those that hold most.
        let first = take(&[&many[..70], &[("big", (9999, 1_000_000)), ("none", (1, 0))], &many[70..]]);
        assert_eq!(first.len(), MAX_LABELS);
        assert_eq!(
            (&first[0], &first[MAX_LABELS - 1]),
            (&("b051".to_owned(), (51, 1000)), &("none".to_owned(), (1, 0)))
        );
        let later = take(&[&[("b051", (7, 10)), ("new", (10, 10))]]);
        assert_eq!((later.len(), &later[0]), (MAX_LABELS, &("b051".to_owned(), (7, 10))));
        assert!(later[1..].iter().all(|(name, figures)| name != "new" && *figures == (0, 0)), "{later:?}");
    }
}
