//! See `spanwire_fuzz::addr`.
#![cfg_attr(fuzzing, no_main)]

spanwire_fuzz::target!(addr);
