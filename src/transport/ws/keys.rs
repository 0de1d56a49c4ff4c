//! Random bytes from the system: masks of frames, and the key of an opening handshake.

use std::cell::RefCell;

/// So many are asked for at once: a system call for each frame would cost as much as a short message.
const POOL_BYTES: usize = 1_024;

struct Pool {
    bytes: [u8; POOL_BYTES],
    used: usize,
}

thread_local! {
    static POOL: RefCell<Pool> = const { RefCell::new(Pool { bytes: [0; POOL_BYTES], used: POOL_BYTES }) };
}

/// Bytes that nobody can foresee (RFC 6455 5.3), and that are not given out again.
pub(super) fn random<const N: usize>() -> [u8; N] {
    POOL.with_borrow_mut(|pool| {
        if POOL_BYTES - pool.used < N {
            getrandom::fill(&mut pool.bytes).expect("the system has random numbers");
            pool.used = 0;
        }
        let mut bytes = [0; N];
        let taken = &mut pool.bytes[pool.used..pool.used + N];
        bytes.copy_from_slice(taken);
        taken.fill(0);
        pool.used += N;
        bytes
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_are_the_same() {
        let keys: HashSet<[u8; 16]> = (0..1_000).map(|_| random()).collect();
        assert_eq!(keys.len(), 1_000);
        let masks: HashSet<[u8; 4]> = (0..1_000).map(|_| random()).collect();
        assert!(masks.len() > 990, "{}", masks.len());
    }
}
