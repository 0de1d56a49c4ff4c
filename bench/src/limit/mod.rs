//! The same work with nothing between it and the kernel: what the machine can do.
//!
//! * `wire`: blocking sockets and frames as the Scalability Protocols cut them.
//! * `roundtrip`, `oneway`: two processes. `inproc`: channels in one.

mod inproc;
mod oneway;
mod roundtrip;
mod wire;

use crate::pin::Side;
use crate::plan::{Transport, Work};
use crate::role::{self, Role};
use anyhow::Result;
use wire::Format;

/// Is one end of a raw workload.
pub(crate) fn run(role: &Role) -> Result<()> {
    if role.cell.transport == Transport::Inproc {
        return inproc::run(&role.cell);
    }
    let stream = match role.side {
        Side::Server => {
            let listener = wire::listen(&role.address)?;
            role::say_url(&listener.url()?)?;
            listener.accept()?
        }
        Side::Client => wire::connect(&role.address)?,
    };
    let format = Format::new(role.cell.transport, role.cell.body_bytes);
    match (role.cell.work, role.side) {
        (Work::RoundTrip, Side::Server) => roundtrip::answer(stream, format),
        (Work::RoundTrip, Side::Client) => roundtrip::ask(stream, format),
        (Work::OneWay, Side::Server) => oneway::receive(stream, format),
        (Work::OneWay, Side::Client) => oneway::send(stream, format),
    }
}
