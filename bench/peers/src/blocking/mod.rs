//! The works for libraries whose calls block.
//!
//! * `pairs`: one sender or asker and one receiver or answerer, in two processes or in one.
//! * `fanout`: one publisher. `crowd`: many pushers, threads or connections.
//! * `flight`: many requests in flight, for a library that lets one socket do that with blocking calls.
//!   `load`: the same at a rate. `outrun`: a sender whose receiver does not read.
//! * `mixed`: singles beside a bulk.

mod crowd;
mod fanout;
mod flight;
mod load;
mod mixed;
mod outrun;
mod pairs;

use crate::body::Seen;
use crate::kind::Kind;
use crate::tally::Tally;
use anyhow::{Result, bail};
use spanwire_bench_ends::{Role, Side, Transport, Work};
use std::time::{Duration, Instant};

/// A library.
pub(crate) trait Library: Sync + Sized {
    type Socket: Socket;

    /// Whether a publisher can lose messages although it is asked not to.
    const PUB_LOSES: bool;

    /// Whether what was sent is on its way for certain when a socket is gone, and nothing of it is left
    /// behind. Where not, [`Work::Connect`] asks instead of pushing, for an answer is the only sign.
    const CLOSE_DELIVERS: bool;

    /// Makes a socket, for bodies of `body_bytes`.
    fn open(&self, kind: Kind, body_bytes: usize) -> Result<Self::Socket>;

    /// The server of [`Work::Flight`] and [`Work::Load`], if blocking calls are not how the library does it.
    fn flight_server(&self, role: &Role) -> Result<()> {
        pairs::answer(self, Kind::Router, role)
    }

    /// The client of the first.
    fn flight_client(&self, role: &Role) -> Result<()> {
        flight::ask(self, role)
    }

    /// The client of the second.
    fn load_client(&self, role: &Role) -> Result<()> {
        load::ask(self, role)
    }
}

/// A socket.
pub(crate) trait Socket: Send {
    /// A body in the form in which it is sent most cheaply.
    type Body: Send + Sync;

    fn body(bytes: Vec<u8>) -> Result<Self::Body>;

    /// Has it keep no more than `messages`, before it listens or dials. `false` if there is no such option.
    fn bound(&mut self, _messages: u32) -> Result<bool> {
        Ok(false)
    }

    /// Listens and says where to dial.
    fn listen(&mut self, url: &str) -> Result<String>;

    /// Dials. What is sent from then on is not lost, even if the connection is still being made.
    fn dial(&mut self, url: &str) -> Result<()>;

    fn send(&mut self, body: &Self::Body) -> Result<()>;

    /// Sends a message of so many bytes with memory of its own, if there is room for it within `patience`.
    /// `false` if not.
    fn send_fresh(&mut self, _bytes: usize, _patience: Duration) -> Result<bool> {
        bail!("such a socket sends without a time limit")
    }

    /// Waits for a message and lets it go. `None` if nothing comes for `patience`.
    fn recv(&mut self, patience: Option<Duration>) -> Result<Option<Seen>>;

    /// Takes the answer that is there, or that comes until `deadline`; for a dealer, and more exact than
    /// the milliseconds of a library's own patience.
    fn recv_until(&mut self, _deadline: Option<Instant>) -> Result<Option<Seen>> {
        bail!("such a socket does not wait for a point in time")
    }

    /// Receives until nothing is missing, or nothing more comes.
    fn receive(&mut self, mut tally: Tally) -> Result<Tally> {
        while tally.arrivals.missing() > 0 {
            match self.recv(tally.patience())? {
                Some(seen) => tally.note(seen)?,
                None => {
                    tally.arrivals.quiet();
                    return Ok(tally);
                }
            }
        }
        tally.arrivals.stop();
        Ok(tally)
    }

    /// Answers a request with its own body.
    fn echo(&mut self) -> Result<Seen>;

    /// Answers until nothing is missing.
    fn answer(&mut self, mut tally: Tally) -> Result<Tally> {
        while tally.arrivals.missing() > 0 {
            tally.note(self.echo()?)?;
        }
        tally.arrivals.stop();
        Ok(tally)
    }

    /// The same socket for another thread. `None` if the library forbids that.
    fn share(&self) -> Option<Self>
    where
        Self: Sized;
}

/// Is one end.
pub(crate) fn run<L: Library>(library: &L, role: &Role) -> Result<()> {
    use Side::{Client, Server};
    let (work, side) = (role.cell.work, role.side);
    if role.cell.transport == Transport::Inproc {
        return match work {
            Work::RoundTrip => pairs::round_trips_inproc(library, role),
            Work::OneWay => pairs::one_way_inproc(library, role),
            _ => bail!("inproc is for req and push"),
        };
    }
    match (work, side) {
        (Work::RoundTrip, Server) => pairs::answer(library, Kind::Rep, role),
        (Work::RoundTrip, Client) => pairs::ask(library, role),
        (Work::Connect, Server) if !L::CLOSE_DELIVERS => pairs::answer(library, Kind::Rep, role),
        (Work::OneWay | Work::Pushers | Work::Threads | Work::Connect, Server) => {
            pairs::receive(library, role)
        }
        (Work::OneWay, Client) => pairs::send(library, role),
        (Work::Publish | Work::Stall, Server) => fanout::publish(library, role),
        (Work::Publish | Work::Stall, Client) => fanout::subscribe(library, role),
        (Work::Flight | Work::Load, Server) => library.flight_server(role),
        (Work::Flight, Client) => library.flight_client(role),
        (Work::Load, Client) => library.load_client(role),
        (Work::Pushers, Client) => crowd::push(library, role),
        (Work::Threads, Client) => crowd::share(library, role),
        (Work::Idle, Server) => crowd::watch(library, role),
        (Work::Idle, Client) => crowd::idle(library, role),
        (Work::Connect, Client) => crowd::reconnect(library, role),
        (Work::Outrun, Server) => outrun::receive(library, role),
        (Work::Outrun, Client) => outrun::send(library, role),
        (Work::Mixed, Server) => mixed::receive(library, role),
        (Work::Mixed, Client) => mixed::send(library, role),
        (Work::Mux(_), _) => bail!("it is no multiplexer"),
    }
}
