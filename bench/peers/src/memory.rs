//! How much memory an end needs, against what its options allow.

use spanwire_bench_ends::{Measure, Role, usage};

/// How many messages each end may keep, where a library can be told that: as many of 1 MiB as Spanwire, which
/// counts bytes, is allowed in the same work.
pub(crate) const MESSAGES: u32 = 4;

/// Sees how much this process grows from now on.
pub(crate) struct Watch {
    before: u64,
    bound_bytes: u64,
}

impl Watch {
    pub(crate) fn start(role: &Role, is_bounded: bool) -> Self {
        usage::forget_peak();
        // And the one message beside them that is being handed over or read.
        let allowed = (u64::from(MESSAGES) + 1) * role.cell.body_bytes as u64;
        Self { before: usage::rss_bytes(), bound_bytes: if is_bounded { allowed } else { 0 } }
    }

    pub(crate) fn finish(self, measure: Measure) -> Measure {
        let peak_bytes = usage::peak_bytes().saturating_sub(self.before);
        Measure { peak_bytes, bound_bytes: self.bound_bytes, ..measure }
    }
}
