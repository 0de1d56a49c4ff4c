//! Our multiplexer, as the works of multiplexers use it. What they do is in `spanwire_bench_ends::mux`; here is
//! only what differs between subjects.
//!
//! **Not connected yet**: `spanwire::mux` is being built. Until it is, no cell has this subject (`IS_BUILT`), and
//! an end that is started nevertheless says so.
//!
//! What is to be filled in, with `spanwire::mux::{Pool, Channel, Server}` in the places of [`Absent`]:
//!
//! | here | with |
//! | --- | --- |
//! | [`Multiplexer::listen`] | `mux::serve(mux+tcp://ADDRESS, …)`, with bounds that let 10,000 channels in, any id and no idle deadline; returns the server, and where it listens as `tcp://ADDRESS` or as our own URL: it is handed to `dial` as it is |
//! | [`Multiplexer::dial`] | a `Pool` of its own with one physical connection for the address, and the URL beside it: `mux-links` calls this four times for four physical connections |
//! | [`Multiplexer::accept`] | `server.accept()` |
//! | [`Multiplexer::open`] | `pool.open(url, id)`; a counter in the link makes the ids |
//! | [`Channel::send`] | `channel.send(message.body())`, which clones no byte |
//! | [`Channel::flush`] | nothing, as what `send` took leaves by itself; not waiting for delivery, which no peer does here |
//! | [`Channel::recv`] | `channel.recv()`, a check of its length, 1; or as many as there are at once, if the API has that |
//! | [`Channel::echo`] | `channel.recv()`, the check, `channel.send(body)` with the body that came, not a copy |
//! | [`Channel::ask`] | `channel.send(message.body())`, `channel.recv()`, the check |

use anyhow::{Result, bail};
use spanwire_bench_ends::Role;
use spanwire_bench_ends::mux::{self, Channel, Message, Multiplexer};

/// Whether the works of multiplexers have this subject.
pub(crate) const IS_BUILT: bool = false;

/// Is one end.
pub(super) fn run(role: &Role) -> Result<()> {
    mux::runtime()?.block_on(mux::run(&Ours, role))
}

struct Ours;

/// What takes the places of `mux::Server`, of a pool with its URL, and of `mux::Channel`.
enum Absent {}

impl Multiplexer for Ours {
    type Server = Absent;
    type Link = Absent;
    type Channel = Absent;

    async fn listen(&self, _url: &str) -> Result<(Absent, String)> {
        bail!(NOT_YET)
    }

    async fn dial(&self, _url: &str) -> Result<Absent> {
        bail!(NOT_YET)
    }

    async fn accept(&self, server: &mut Absent) -> Result<Absent> {
        match *server {}
    }

    async fn open(&self, link: &mut Absent) -> Result<Absent> {
        match *link {}
    }
}

impl Channel for Absent {
    async fn send(&mut self, _message: &Message) -> Result<()> {
        match *self {}
    }

    async fn flush(&mut self) -> Result<()> {
        match *self {}
    }

    async fn recv(&mut self, _body_bytes: usize) -> Result<u64> {
        match *self {}
    }

    async fn echo(&mut self, _body_bytes: usize) -> Result<()> {
        match *self {}
    }

    async fn ask(&mut self, _message: &Message) -> Result<()> {
        match *self {}
    }
}

const NOT_YET: &str = "spanwire's multiplexer is not part of this benchmark yet";
