//! See `spanwire_fuzz::link`.
#![cfg_attr(fuzzing, no_main)]

spanwire_fuzz::target!(link);
