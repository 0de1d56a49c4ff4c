//! Many requests in flight, from a DEALER to a ROUTER.

use super::{Message, ZMQ_DEALER, ZMQ_ROUTER, ZMQ_SNDMORE, Zmq};
use crate::blocking::{Socket as _, flight};
use crate::body;
use anyhow::{Context, Result};
use spanwire_bench_ends::{Measure, Role, role};

pub(super) fn ask(library: &Zmq, role: &Role) -> Result<()> {
    let mut socket = library.socket(ZMQ_DEALER)?;
    socket.dial(&role.address).context("dialing")?;
    flight::ask(&mut socket, role)
}

pub(super) fn answer(library: &Zmq, role: &Role) -> Result<()> {
    let mut socket = library.socket(ZMQ_ROUTER)?;
    role::say_url(&socket.listen(&role.address).context("listening")?)?;
    let (mut asker, mut request) = (Message::new(&library.context)?, Message::new(&library.context)?);
    role::serve(|job| {
        for _ in 0..job.count {
            // The first frame says who asks.
            socket.recv_message(&mut asker)?;
            socket.recv_message(&mut request)?;
            body::check(request.body().len(), role.cell.body_bytes)?;
            socket.send_message(&mut asker, ZMQ_SNDMORE)?;
            socket.send_message(&mut request, 0)?;
        }
        Ok(Measure::moved(job.count))
    })
}
