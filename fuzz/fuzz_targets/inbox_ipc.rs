//! Any bytes as frames of ipc, in any cuts; see `cuts`.
#![no_main]

mod cuts;

use libfuzzer_sys::fuzz_target;
use spanwire_core::framing::sp::Framing;

fuzz_target!(|data: &[u8]| cuts::check(Framing::Ipc, data));
