//! `spanwire cat` and `spanwire nanocat` beside the programs that they stand in for.
//!
//! * `program.rs`: finding and running programs, always with a bound
//! * `rows.rs`: running a table, and saying how much of it ran
//! * `help.rs`: no flag of the installed programs is unknown to us
//! * `arguments.rs`: one process: how command lines are read, what cannot work, timeouts
//! * `network.rs`: two processes, either of them ours, the other theirs
//! * `better.rs`: where we differ on purpose
//!
//! nngcat and nanocat come with Debian's `nng-utils` and `nanomsg-utils`. Without them the rows are
//! skipped, loudly; with `SPANWIRE_REQUIRE_PEERS=1` that is a failure.

mod arguments;
mod better;
mod help;
mod network;
mod program;
mod rows;
