//! Lists of objects. By name they are read in the index's own order, skipping from folder to folder ([`scan`]),
//! so that a page costs what it shows; in any other order, all children are looked at and the best kept ([`top`]).

mod page;
mod scan;
mod top;

pub(super) use page::list;
#[cfg(test)]
pub(super) use scan::{Rows, sql};
