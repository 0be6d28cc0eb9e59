//! The language, tested on its own. What PostgreSQL itself says of it is asked in `oracle`.

mod language;
pub(crate) mod oracle;
pub(crate) mod random;
