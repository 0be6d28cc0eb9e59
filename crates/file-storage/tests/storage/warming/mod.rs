//! Lists that are read before somebody asks: after a change and after a start, for who asked before, and never another answer than
//! the database's.

mod audit;
mod changes;
mod counts;
mod faults;
mod permissions;
mod scene;
mod starts;
mod switches;
