//! What a process needs to be one end of a workload, whichever library it is about.
//!
//! The benchmark starts two processes for each workload, a server and a client, and talks to them over
//! stdin and stdout. `spanwire-bench` itself has the raw limit and Spanwire; the program
//! `spanwire-peer`, in a workspace of its own under `bench/peers/`, has the other libraries. Both are
//! built on this crate, which knows no library.
//!
//! * [`words`]: what a workload is: [`Cell`]. * [`role`]: the command line and the talk with the parent.
//! * [`measure`]: what an end tells. * [`arrivals`], [`stopwatch`]: counting and timing.
//! * [`pace`]: sending at a rate; `clock`: the same in a task; `serve`: jobs for such an end. * [`bulk`]: what is in the messages of `mixed`.
//! * `mux`: the works of multiplexers, the same for all of them.
//! * [`secure`]: the certificate of servers. * [`pin`]: which CPU. * [`usage`]: CPU time, memory, descriptors.
//!
//! # The contract
//!
//! ```text
//! PROGRAM role SIDE SUBJECT WORK TRANSPORT BYTES MODE MANY ADDRESS
//! PROGRAM list
//! ```
//!
//! `role` makes the process one end until its stdin ends; [`role`] draws the talk. `SIDE` is `server`
//! (it listens at `ADDRESS` and says where) or `client` (it dials `ADDRESS`). Inproc has one process,
//! which is called the client and is both. The subjects of `spanwire-peer` are `nng`, `nanomsg`, `zmq`,
//! `rzmq`, `zeromq`, `zenoh`, `nats`, `yamux`, `tokio-yamux` and `h2`. An end pins itself with [`pin::this_thread`] before it starts
//! anything else; [`role::main`] does.
//!
//! `list` prints a line for each subject: `NAME<TAB>VERSION<TAB>SETTINGS<TAB>ABILITIES`, the settings in
//! words for people, the abilities as `WORK:TRANSPORT` or `WORK:TRANSPORT:MODE`, comma-separated. Without
//! a mode all are meant but `spin` and `runtime`. A subject that could not be built or started here has
//! no line; why not goes to stderr.
//!
//! # The works
//!
//! `BYTES` is the size of a body and `count` what the parent's `RUN` names. "Counts" is who reports how
//! many messages arrived, and when: [`Work::counting_side`]. The other end reports what it sent, or 0.
//! The end that waits for the other gets its `RUN` first, so that it is there before anything comes:
//! [`Work::waiting_side`].
//!
//! | work | server | client | `count`, `MANY` | counts |
//! | --- | --- | --- | --- | --- |
//! | `req` | answers with the same body | asks, one at a time | round trips, 1 | client, with a [`Stopwatch`] |
//! | `push` | receives | sends | messages, 1 | server, with [`Arrivals`] |
//! | `pub` | publishes `count` messages | has `MANY` subscribers, each its own socket and connection | messages published, subscribers | client: all deliveries, `count * MANY` of them |
//! | `stall` | as `pub`, with 1 more subscriber than `MANY` | as `pub`; a second client process has 1 subscriber and is stopped by the parent | as `pub` | as `pub` |
//! | `flight` | answers, with [`WORKERS`] threads or tasks | keeps `MANY` requests in flight on one socket and one connection | requests, in flight | client, with [`Samples`] |
//! | `pushers` | receives, and counts by pusher | has `MANY` pushers, each its own socket and connection; they share the `count` through one [`Budget`] and each sends as fast as it may | messages, pushers | server, with [`Fairness`] |
//! | `threads` | receives | sends from `MANY` threads through one socket, which share the `count` through one [`Budget`] | messages, threads | server |
//! | `idle` | accepts, then watches itself for the job's `millis` | opens `MANY` connections and keeps them | connections, the same | server: `count` the connections it has, `rss_bytes` what it grew since it listened, `cpu_nanos` |
//! | `load` | as `flight` | asks at the job's `rate`, without waiting for answers (at most [`MOST_OUTSTANDING`] outstanding); with rate 0, [`IN_FLIGHT`] at a time | requests, percent of capacity (for the parent) | client: latency from the time each request was due |
//! | `connect` | receives | makes a socket, dials, sends 1 message, closes when that is delivered; again | connections, 1 | server |
//! | `mixed` | receives from two sockets at two addresses (`URL` and `ADDRESS` are two, with a comma between) | sends singles of `BYTES` at the job's `rate` through the first, stamped with [`bulk::single`]; meanwhile, if `MANY` is 1, messages of [`BULK_BYTES`] as fast as it may through the second, and when the singles are out one of 8 bytes, big-endian: how many those were | singles, bulk senders (0 or 1) | server: latency from the stamp to the receiver; fails unless all bulk came; `other` is how many |
//! | `outrun` | sleeps for the job's `millis` and then receives until nothing has come for [`QUIET`] | sends messages, each freshly made, until one waits for half of `millis` or `count` are sent | most messages, 1 | server; both: `peak_bytes` grown since they were connected, `bound_bytes` what their options allow, 0 for no bound |
//! | `mux-echo` | answers on every logical connection with the same body | has `MANY` on one physical connection, which share the `count` through one [`Budget`], one message of each in flight | round trips, logical connections | client, with [`Samples`] |
//! | `mux-send` | receives | sends | messages, 1 | server |
//! | `mux-recv` | sends | receives | messages, 1 | client |
//! | `mux-links` | as `mux-echo` | as `mux-echo`, with `MANY` physical connections of one logical connection each | round trips, physical connections | client |
//! | `mux-mixed` | answers on one logical connection, receives on another | sends `count` messages of [`LARGE_BYTES`] on the second; asks on the first until they are sent, one at a time | large messages, 1 | server: the large ones; client: latency of the round trips, `other` how many |
//! | `mux-idle` | accepts | opens `MANY` logical connections on one physical one and keeps them; both watch themselves for the job's `millis` | logical connections, the same | server; both: `rss_bytes` grown since the first one was used, `cpu_nanos` |
//!
//! Bodies are made once and handed over as cheaply as the library can, except where told otherwise.
//! Bodies of `pushers` start with the number of the pusher, 4 bytes, big-endian.
//!
//! # Loss
//!
//! All that was sent must arrive, or be in `lost` of one of the ends: what the library itself counted as
//! dropped. Where it counts nothing, the end that counts says how many did not come: it may give up when
//! nothing has come for [`QUIET`], which [`Arrivals::quiet`] takes off the clock again. A row in which
//! sent is not received plus lost is void.

#![forbid(unsafe_code)]

pub mod arrivals;
pub mod bulk;
#[cfg(feature = "clock")]
pub mod clock;
pub mod measure;
#[cfg(feature = "mux")]
pub mod mux;
pub mod pace;
pub mod pin;
pub mod role;
pub mod secure;
#[cfg(feature = "clock")]
pub mod serve;
pub mod stopwatch;
pub mod usage;
pub mod words;

pub use arrivals::{Arrivals, Budget, Fairness};
pub use bulk::Bulk;
#[cfg(feature = "clock")]
pub use clock::Clock;
pub use measure::Measure;
pub use pace::Pace;
pub use pin::Side;
pub use role::{Begun, Job, Role};
pub use stopwatch::{Samples, Stopwatch};
pub use words::{Cell, Mode, Mux, Transport, Word, Work, parse_size, size_word};

use std::time::Duration;

/// How many threads or tasks answer requests where many are in flight.
pub const WORKERS: usize = 4;

/// How many requests are in flight when a capacity is looked for.
pub const IN_FLIGHT: u32 = 64;

/// How many requests an open loop may have outstanding before it waits. What waits here still counts
/// from when it was due.
pub const MOST_OUTSTANDING: usize = 1024;

/// The bodies of the bulk sender in `mixed`.
pub const BULK_BYTES: usize = 16 << 10;

/// The bodies of the large messages in `mux-mixed`.
pub const LARGE_BYTES: usize = 1 << 20;

/// When nothing has come for so long, nothing more will.
pub const QUIET: Duration = Duration::from_millis(500);
