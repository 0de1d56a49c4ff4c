//! See `spanwire_fuzz::outbox_ops`.
#![cfg_attr(fuzzing, no_main)]

spanwire_fuzz::target!(outbox_ops);
