//! See `spanwire_fuzz::inbox_ipc`.
#![cfg_attr(fuzzing, no_main)]

spanwire_fuzz::target!(inbox_ipc);
