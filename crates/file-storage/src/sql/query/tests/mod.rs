//! The gate: what is let in, what is not and why, and that nothing but the allowed is in what goes behind it.

mod breaking_out;
pub(crate) mod generate;
mod meaning;
mod properties;
