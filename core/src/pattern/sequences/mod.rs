//! Random lives of every pattern, for tests: whatever happens in whatever order, nothing panics, no
//! bound is exceeded, and every message is accounted for.

mod asking;
pub(super) mod telling;
