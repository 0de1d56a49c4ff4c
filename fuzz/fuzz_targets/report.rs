//! See `spanwire_fuzz::report`.
#![cfg_attr(fuzzing, no_main)]

spanwire_fuzz::target!(report);
