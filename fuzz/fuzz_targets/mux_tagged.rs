//! See `spanwire_fuzz::mux_tagged`.
#![cfg_attr(fuzzing, no_main)]

spanwire_fuzz::target!(mux_tagged);
