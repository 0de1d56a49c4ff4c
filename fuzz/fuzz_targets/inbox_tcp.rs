//! See `spanwire_fuzz::inbox_tcp`.
#![cfg_attr(fuzzing, no_main)]

spanwire_fuzz::target!(inbox_tcp);
