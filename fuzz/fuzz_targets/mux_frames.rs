//! See `spanwire_fuzz::mux_frames`.
#![cfg_attr(fuzzing, no_main)]

spanwire_fuzz::target!(mux_frames);
