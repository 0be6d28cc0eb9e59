//! Whether bytes that are kept are still those that were stored (SPEC 5, integrity): blobs are read at a bounded rate and compared
//! with what their rows say.

mod pace;
mod repair;
mod start;
mod verify;

pub(crate) use pace::Pace;
pub(crate) use repair::Repair;
pub use start::ScrubRequest;
pub(crate) use verify::Verdict;

/// What is wrong with bytes that are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScrubProblem {
    /// They are not what was stored, or not as many.
    Mismatch,
    /// They are not there, while their provider is well.
    Missing,
    /// Their provider does not give them, while it is well otherwise.
    ReadError,
}

impl ScrubProblem {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Mismatch, Self::Missing, Self::ReadError];

    /// The word that reports and figures have.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mismatch => "mismatch",
            Self::Missing => "missing",
            Self::ReadError => "read_error",
        }
    }
}
