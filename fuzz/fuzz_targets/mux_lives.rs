//! See `spanwire_fuzz::mux_lives`.
#![cfg_attr(fuzzing, no_main)]

spanwire_fuzz::target!(mux_lives);
