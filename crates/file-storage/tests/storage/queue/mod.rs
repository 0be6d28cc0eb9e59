//! Blobs that are not where they belong, and how they get there: over real disks and a cloud behind a proxy that harms what
//! passes, on either engine of the metadata.

mod copies;
mod crashes;
mod faults;
mod moving;
mod scene;
mod spool;
mod switches;
