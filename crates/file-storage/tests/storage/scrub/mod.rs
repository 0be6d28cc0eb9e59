//! Scrubs over real disks whose files are damaged behind the storage's back, on either engine of the metadata.

mod meanwhile;
mod repairs;
mod reports;
mod scene;
