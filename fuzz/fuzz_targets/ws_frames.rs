//! See `spanwire_fuzz::ws_frames`.
#![cfg_attr(fuzzing, no_main)]

spanwire_fuzz::target!(ws_frames);
