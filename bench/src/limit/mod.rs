//! The same work with nothing between it and the kernel: what the machine can do.
//!
//! * `wire`: blocking sockets and frames as the Scalability Protocols cut them. `batch`: many small
//!   frames in one write or read. `ready`: which of many sockets has something.
//! * `tls`, `ws`, `quic`: round trips and one-way over other libraries' streams: rustls, tungstenite, quinn.
//! * `roundtrip`, `spin`, `oneway`, `publish`, `flight`, `load`, `pushers`, `threads`, `idle`, `connect`,
//!   `mixed`, `outrun`, `mux`: a work each, two processes. `inproc`: channels in one.

mod batch;
mod connect;
mod flight;
mod idle;
mod inproc;
mod load;
mod mixed;
mod mux;
mod oneway;
mod outrun;
mod publish;
mod pushers;
pub(crate) mod quic;
mod ready;
mod roundtrip;
mod spin;
mod threads;
mod tls;
mod wire;
mod ws;

use anyhow::Result;
use spanwire_bench_ends::{Mode, Role, Transport, Work};

/// Is one end of a raw workload.
pub(crate) fn run(role: &Role) -> Result<()> {
    match role.cell.transport {
        Transport::Inproc => return inproc::run(&role.cell),
        Transport::Ws | Transport::Wss => return ws::run(role),
        Transport::Quic => return quic::run(role),
        Transport::Tcp | Transport::Ipc | Transport::Tls => {}
    }
    match role.cell.work {
        Work::RoundTrip if role.cell.mode == Mode::Spin => spin::run(role),
        Work::RoundTrip => roundtrip::run(role),
        Work::OneWay => oneway::run(role),
        Work::Publish | Work::Stall => publish::run(role),
        Work::Flight => flight::run(role),
        Work::Load => load::run(role),
        Work::Pushers => pushers::run(role),
        Work::Threads => threads::run(role),
        Work::Idle => idle::run(role),
        Work::Connect => connect::run(role),
        Work::Mixed => mixed::run(role),
        Work::Outrun => outrun::run(role),
        Work::Mux(_) => mux::run(role),
    }
}
