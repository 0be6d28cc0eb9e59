//! Aerostore.
fn main() {}
