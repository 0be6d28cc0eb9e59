//! Rows of objects that are kept: never out of date, whoever wrote, and never what somebody else was shown.
//!
//! Every object is asked for four times and compared each time with what the database says: the first is noted, the second is kept on
//! PostgreSQL, and later ones come from memory. On SQLite nothing is kept, and all else holds. The conformance suite of executors asks
//! for its objects in this way, too.

mod audit;
mod bounds;
mod by_hand;
mod callers;
mod changes;
mod cost;
mod moved;
mod scene;
mod writers;
