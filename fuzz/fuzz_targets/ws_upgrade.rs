//! See `spanwire_fuzz::ws_upgrade`.
#![cfg_attr(fuzzing, no_main)]

spanwire_fuzz::target!(ws_upgrade);
