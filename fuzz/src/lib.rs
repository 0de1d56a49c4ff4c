//! What is fuzzed: functions that take any bytes and panic when something is wrong.
//!
//! The programs in `fuzz_targets/` only call them, and `tests/replay.rs` calls them too, with what
//! `corpus/` keeps; so the fuzzer needs a nightly compiler, and nothing else does.

mod addr;
mod handshake;
mod inbox;
mod link;
mod lives;
mod mux;
mod outbox;
mod payloads;
mod report;
mod tls;
mod websocket;

pub use addr::addr;
pub use handshake::handshake;
pub use inbox::{inbox_ipc, inbox_tcp};
pub use link::link;
pub use lives::lives;
pub use mux::{mux_frames, mux_lives, mux_pool, mux_tagged};
pub use outbox::outbox_ops;
pub use payloads::payloads;
pub use report::report;
pub use tls::tls;
pub use websocket::{ws_frames, ws_upgrade};

/// The program of a fuzz target. Without a fuzzer it replays the files it is given.
#[macro_export]
macro_rules! target {
    ($target:ident) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|data: &[u8]| $crate::$target(data));

        #[cfg(not(fuzzing))]
        fn main() -> std::io::Result<()> {
            for path in std::env::args().skip(1) {
                $crate::$target(&std::fs::read(path)?);
            }
            Ok(())
        }
    };
}
