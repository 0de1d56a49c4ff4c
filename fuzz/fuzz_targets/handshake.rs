//! See `spanwire_fuzz::handshake`.
#![cfg_attr(fuzzing, no_main)]

spanwire_fuzz::target!(handshake);
