//! The first few of many, in memory that is bounded by their number, for orders that no index has.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::executor::SortOrder;

/// What entries are ordered by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    /// Microseconds, where the order is by time; else 0.
    pub(super) time: i64,
    /// The path as it compares.
    pub(super) name: String,
    /// The path as it is; a folder's ends with a slash.
    pub(super) path: String,
    /// Whether it is a folder.
    pub(super) folder: bool,
}

/// An order of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Order {
    /// Folders stand before all objects, whichever way the rest goes.
    pub(super) folders_first: bool,
    /// Which way.
    pub(super) way: SortOrder,
}

impl Order {
    /// Which of two entries comes first.
    pub(super) fn compare(self, a: &Key, b: &Key) -> Ordering {
        let by_kind = if self.folders_first { b.folder.cmp(&a.folder) } else { Ordering::Equal };
        by_kind.then_with(|| match self.way {
            SortOrder::Ascending => a.cmp(b),
            SortOrder::Descending => b.cmp(a),
        })
    }
}

/// Keeps the first `size` of the keys that it is shown.
pub(super) struct Top {
    order: Order,
    size: usize,
    heap: BinaryHeap<Ranked>,
}

impl Top {
    pub(super) fn new(order: Order, size: usize) -> Self {
        Self { order, size, heap: BinaryHeap::new() }
    }

    /// Shows a key.
    pub(super) fn offer(&mut self, key: Key) {
        if self.heap.len() < self.size {
            self.heap.push(Ranked { key, order: self.order });
        } else if let Some(mut last) = self.heap.peek_mut()
            && self.order.compare(&key, &last.key).is_lt()
        {
            last.key = key;
        }
    }

    /// The keys that were kept, in order.
    pub(super) fn into_sorted(self) -> Vec<Key> {
        self.heap.into_sorted_vec().into_iter().map(|ranked| ranked.key).collect()
    }
}

struct Ranked {
    key: Key,
    order: Order,
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ranked {}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order.compare(&self.key, &other.key)
    }
}
