//! See `spanwire_fuzz::mux_pool`.
#![cfg_attr(fuzzing, no_main)]

spanwire_fuzz::target!(mux_pool);
