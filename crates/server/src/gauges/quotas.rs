//! How full quotas are: those of buckets, and that of all that is stored.

use std::collections::HashMap;

use file_storage::bucket::Bucket;
use file_storage::{FileStorage, QuotaScope, RlsContext, StorageError};

use super::MAX_LABELS;

/// Buckets that are ever told of by name. A metrics store forgets no name, so that a bucket that fills when others are told already gets
/// one of its own, up to here. How full the fullest is, is told of all.
const MOST_NAMES: usize = 1000;

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
    /// The fullest of the others, which may be told from now on, the fullest first.
    fullest: Vec<(String, Figures)>,
    /// How full the fullest of all is.
    fullness: f64,
}

impl Quotas {
    /// What is measured now: nothing yet.
    pub(super) fn measured(&self) -> Measured {
        let told = self.buckets.keys().map(|name| (name.clone(), (0, 0))).collect();
        Measured { told, fullest: Vec::new(), fullness: 0.0 }
    }

    /// Takes the figures of now, and tells them.
    ///
    /// # Errors
    /// The quota of all can't be read: it counts as it was, and those of buckets are told.
    pub(super) async fn take(
        &mut self,
        measured: Measured,
        storage: &FileStorage,
        context: &RlsContext,
    ) -> Result<(), StorageError> {
        let of_buckets = self.take_buckets(measured);
        for (bucket, figures) in &self.buckets {
            tell("bucket", bucket, *figures);
        }
        let of_all = storage.quota(context, &QuotaScope::Global).await;
        let of_all = of_all.map(|quota| self.take_all((quota.used, quota.limit)));
        if let Some(figures) = self.of_all {
            tell("global", "", figures);
        }
        let fullest = self.of_all.map_or(0.0, fullness).max(of_buckets);
        metrics::gauge!("storage_quota_fullest_ratio").set(fullest);
        of_all
    }

    fn take_all(&mut self, (used, limit): (u64, Option<u64>)) {
        self.of_all = match limit {
            Some(limit) => Some((used, limit)),
            None => self.of_all.map(|_| (0, 0)),
        };
    }

    /// Says how full the fullest is, whether it is told by name or not. Those are, of the others, that are among the fullest now.
    fn take_buckets(&mut self, measured: Measured) -> f64 {
        self.buckets = measured.told;
        let mut told: Vec<_> = self.buckets.values().copied().map(fullness).collect();
        told.sort_by(|one, other| other.total_cmp(one));
        for (before, (name, figures)) in measured.fullest.into_iter().enumerate() {
            let as_full = told.partition_point(|told| *told >= fullness(figures));
            if before + as_full >= MAX_LABELS || self.buckets.len() >= MOST_NAMES {
                break;
            }
            self.buckets.insert(name, figures);
        }
        measured.fullness
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
            self.fullness = self.fullness.max(fullness(figures));
            match self.told.get_mut(&name) {
                Some(told) => *told = figures,
                None => self.fullest.push((name, figures)),
            }
        }
        self.fullest.sort_by(|(_, one), (_, other)| fullness(*other).total_cmp(&fullness(*one)));
        self.fullest.truncate(MAX_LABELS);
    }
}

/// How full a quota is: 1 where it is used up, and more where it holds more. One of nothing is used up by anything.
fn fullness((used, limit): Figures) -> f64 {
    match (used, limit) {
        (0, _) => 0.0,
        (_, 0) => 1.0,
        (used, limit) => used as f64 / limit as f64,
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

    /// Looks at these pages: the buckets that are told then, and how full the fullest is.
    fn look(quotas: &mut Quotas, pages: &[&[(&str, Figures)]]) -> (Vec<(String, Figures)>, f64) {
        let mut measured = quotas.measured();
        for page in pages {
            measured.add_figures(page.iter().map(|(name, figures)| ((*name).to_owned(), *figures)));
            assert!(measured.fullest.len() <= MAX_LABELS);
        }
        let fullest = quotas.take_buckets(measured);
        let mut told: Vec<_> =
            quotas.buckets.iter().map(|(name, figures)| (name.clone(), *figures)).collect();
        told.sort();
        (told, fullest)
    }

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("b{number:03}")).collect()
    }

    #[test]
    fn the_fullest_are_told_and_stay() {
        let mut quotas = Quotas::default();
        let names = names(150);
        let many: Vec<_> = names.iter().zip(0_u64..).map(|(name, used)| (&**name, (used, 1000))).collect();
        // Those that are fullest, on whichever page they come, and not those that hold most.
        let pages: [&[(&str, Figures)]; 3] =
            [&many[..70], &[("big", (9999, 1_000_000)), ("none", (1, 0))], &many[70..]];
        let (told, fullest) = look(&mut quotas, &pages);
        assert_eq!((told.len(), fullest), (MAX_LABELS, 1.0));
        assert_eq!(
            (&told[0], &told[MAX_LABELS - 1]),
            (&("b051".to_owned(), (51, 1000)), &("none".to_owned(), (1, 0)))
        );
        // What is gone keeps nobody else from being told.
        let (told, fullest) =
            look(&mut quotas, &[&[("b051", (7, 10)), ("new", (9, 10)), ("empty", (0, 10))]]);
        assert_eq!((told.len(), fullest), (MAX_LABELS + 1, 0.9));
        assert_eq!(told[0], ("b051".to_owned(), (7, 10)));
        let of_now = told.iter().filter(|(_, figures)| *figures != (0, 0)).map(|(name, _)| &**name);
        assert_eq!(of_now.collect::<Vec<_>>(), ["b051", "new"]);
        assert_eq!(look(&mut quotas, &[]).1, 0.0);
    }

    #[test]
    fn one_that_fills_when_all_labels_are_taken_is_told() {
        let mut quotas = Quotas::default();
        let names = names(120);
        let mut many: Vec<(&str, Figures)> = names.iter().map(|name| (&**name, (0, 1000))).collect();
        let (told, fullest) = look(&mut quotas, &[&many]);
        assert_eq!((told.len(), fullest), (MAX_LABELS, 0.0));
        assert!(told.iter().all(|(name, _)| name != "b119"));
        many[119].1 = (950, 1000);
        let (told, fullest) = look(&mut quotas, &[&many[..60], &many[60..]]);
        assert_eq!((told.len(), fullest), (MAX_LABELS + 1, 0.95));
        assert_eq!(told[MAX_LABELS], ("b119".to_owned(), (950, 1000)));
    }

    #[test]
    fn however_many_fill_names_are_bounded_and_the_fullest_is_known() {
        let mut quotas = Quotas::default();
        for round in 0..15_u64 {
            let names: Vec<_> = (0..MAX_LABELS).map(|number| format!("{round}-{number}")).collect();
            let used = 100 + round;
            let all: Vec<(&str, Figures)> = names.iter().map(|name| (&**name, (used, 100))).collect();
            let (told, fullest) = look(&mut quotas, &[&all]);
            assert!(told.len() <= MOST_NAMES, "{}", told.len());
            assert_eq!(fullest, used as f64 / 100.0);
        }
        assert_eq!(quotas.buckets.len(), MOST_NAMES);
    }

    #[test]
    fn a_quota_of_nothing_is_used_up_by_anything() {
        for (figures, full) in [((0, 0), 0.0), ((1, 0), 1.0), ((0, 10), 0.0), ((5, 10), 0.5), ((20, 10), 2.0)]
        {
            assert_eq!(fullness(figures), full, "{figures:?}");
        }
    }

    #[test]
    fn the_quota_of_all_that_is_taken_off_is_at_nothing() {
        let mut quotas = Quotas::default();
        for (limit, told) in [(None, None), (Some(10), Some((5, 10))), (None, Some((0, 0)))] {
            quotas.take_all((5, limit));
            assert_eq!(quotas.of_all, told);
        }
    }
}
