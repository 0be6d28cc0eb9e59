//! What only a shared database brings: several processes over one database and one directory, and a database that goes
//! away while they work.

mod cluster;
mod outages;
mod shared;
mod tls;
