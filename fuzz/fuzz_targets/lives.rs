//! See `spanwire_fuzz::lives`.
#![cfg_attr(fuzzing, no_main)]

spanwire_fuzz::target!(lives);
