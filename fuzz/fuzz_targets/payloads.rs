//! See `spanwire_fuzz::payloads`.
#![cfg_attr(fuzzing, no_main)]

spanwire_fuzz::target!(payloads);
