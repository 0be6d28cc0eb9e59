//! The language, tested on its own; what PostgreSQL says of it is in `oracle`.

