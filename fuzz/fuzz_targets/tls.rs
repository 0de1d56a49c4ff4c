//! See `spanwire_fuzz::tls`.
#![cfg_attr(fuzzing, no_main)]

spanwire_fuzz::target!(tls);
