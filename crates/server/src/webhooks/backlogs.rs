//! Figures of what webhooks have still to be told of, with a bounded number of labels.

use std::collections::{HashMap, HashSet};

use file_storage::webhooks::MAX_WEBHOOKS;
use uuid::Uuid;

/// Webhooks that get a label of their own in a server's life: ten times as many as there may be at a time. All later ones share
/// `other`, so that making and deleting them does not have a metrics store grow without bound.
const MAX_LABELS: usize = 10 * MAX_WEBHOOKS as usize;

/// The label of webhooks that came too late for one of their own.
const OTHER: &str = "other";

/// The labels that there are.
#[derive(Default)]
pub(super) struct Backlogs {
    /// Webhooks that have a label of their own, or had one.
    own: HashSet<Uuid>,
    /// Labels that were told of last.
    told: HashSet<String>,
}

impl Backlogs {
    pub(super) fn tell(&mut self, all: impl IntoIterator<Item = (Uuid, u64)>) {
        for (label, backlog) in self.figures(all) {
            metrics::gauge!("storage_webhook_backlog", "webhook" => label).set(backlog as f64);
        }
    }

    /// What each label says now: 0 where nobody is left whom it means, and the most of those who share one.
    fn figures(&mut self, all: impl IntoIterator<Item = (Uuid, u64)>) -> HashMap<String, u64> {
        let mut figures: HashMap<_, _> = self.told.drain().map(|label| (label, 0)).collect();
        for (id, backlog) in all {
            let label = self.label(id);
            self.told.insert(label.clone());
            let figure = figures.entry(label).or_default();
            *figure = backlog.max(*figure);
        }
        figures
    }

    fn label(&mut self, id: Uuid) -> String {
        if self.own.len() < MAX_LABELS {
            self.own.insert(id);
        }
        if self.own.contains(&id) { id.to_string() } else { OTHER.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> Uuid {
        Uuid::from_u128(number as u128)
    }

    #[test]
    fn webhooks_that_come_and_go_have_so_many_labels_and_no_more() {
        let (mut backlogs, mut labels) = (Backlogs::default(), HashSet::new());
        for number in 0..3 * MAX_LABELS {
            labels.extend(backlogs.figures([(id(number), 1)]).into_keys());
        }
        assert_eq!(labels.len(), MAX_LABELS + 1);
        let figures = backlogs.figures([(id(0), 7), (id(4 * MAX_LABELS), 5), (id(4 * MAX_LABELS + 1), 3)]);
        assert_eq!(figures, HashMap::from([(id(0).to_string(), 7), (OTHER.to_owned(), 5)]));
        let figures = backlogs.figures([]);
        assert_eq!(figures, HashMap::from([(id(0).to_string(), 0), (OTHER.to_owned(), 0)]), "they are gone");
        assert_eq!(backlogs.figures([]), HashMap::new());
    }
}
