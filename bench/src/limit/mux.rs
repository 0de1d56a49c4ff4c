//! What multiplexers are compared with: TCP connections, on tokio as they are, with messages cut by hand.
//!
//! A logical connection is a connection of its own here: for `mux-mixed` two, so that the kernel keeps the large
//! messages out of the small one's way, with a turn for the other task after each 64 KiB; and for `mux-idle` 10,000. `mux-send` and `mux-recv` write 64 KiB at
//! once.
//!
//! But `mux-echo` of many is **one** connection with 16 messages in flight, and one task at each end: the client
//! writes a message for each answer that has come, all of them with one write; the server sends back all that has
//! come with one write. A row of 1,000 logical connections has the same limit as one of 16: with 1,000 in flight a
//! write would carry 100 KB, and the row would tell how fast memory is copied, not what echoing costs. So a
//! multiplexer can be ahead of this limit where it has more in flight. A connection and a task for each would
//! be another kind of work, with as many reads and writes as messages.

use anyhow::{Context, Result, bail};
use spanwire_bench_ends::mux::{self, Message, Multiplexer, StreamChannel};
use spanwire_bench_ends::{Job, Measure, Mux, Role, Samples, Side, Work, role, serve};
use std::collections::VecDeque;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub(super) fn run(role: &Role) -> Result<()> {
    let is_pipelined = role.cell.work == Work::Mux(Mux::Echo) && role.cell.many > 1;
    mux::runtime()?.block_on(async {
        match (is_pipelined, role.side) {
            (false, _) => mux::run(&Raw { work: role.cell.work }, role).await,
            (true, Side::Server) => answer(role).await,
            (true, Side::Client) => ask(role).await,
        }
    })
}

struct Raw {
    work: Work,
}

impl Raw {
    fn channel(&self, stream: TcpStream) -> Result<StreamChannel<TcpStream>> {
        stream.set_nodelay(true)?;
        let channel = StreamChannel::batching(stream);
        Ok(if self.work == Work::Mux(Mux::Mixed) { channel.giving_way() } else { channel })
    }
}

impl Multiplexer for Raw {
    type Server = TcpListener;
    type Link = String;
    type Channel = StreamChannel<TcpStream>;

    async fn listen(&self, url: &str) -> Result<(TcpListener, String)> {
        listen(url).await
    }

    async fn dial(&self, url: &str) -> Result<String> {
        address(url).map(str::to_owned)
    }

    async fn accept(&self, listener: &mut TcpListener) -> Result<Self::Channel> {
        self.channel(listener.accept().await?.0)
    }

    async fn open(&self, address: &mut String) -> Result<Self::Channel> {
        self.channel(TcpStream::connect(address.as_str()).await?)
    }
}

async fn listen(url: &str) -> Result<(TcpListener, String)> {
    let listener = TcpListener::bind(address(url)?).await?;
    let url = format!("tcp://{}", listener.local_addr()?);
    Ok((listener, url))
}

fn address(url: &str) -> Result<&str> {
    url.strip_prefix("tcp://").with_context(|| format!("raw multiplexing does not know {url}"))
}

/// Keeps messages in flight.
async fn ask(role: &Role) -> Result<()> {
    let mut stream = TcpStream::connect(address(&role.address)?).await.context("dialing")?;
    stream.set_nodelay(true)?;
    let mut incoming = Incoming::new(role);
    serve::on_runtime(async |job| ask_job(&mut stream, &mut incoming, job, role).await).await
}

async fn ask_job(stream: &mut TcpStream, incoming: &mut Incoming, job: Job, role: &Role) -> Result<Measure> {
    let message = Message::new(role.cell.body_bytes);
    let mut samples = Samples::start(job.count);
    let mut asked_at = VecDeque::new();
    let mut left = job.count;
    let mut due = left.min(IN_FLIGHT);
    loop {
        let now = Instant::now();
        asked_at.extend((0..due).map(|_| now));
        left -= due;
        stream.write_all(&message.frame().repeat(due as usize)).await.context("asking")?;
        let count = incoming.read(stream).await?;
        let now = Instant::now();
        asked_at.drain(..count).for_each(|then| samples.note(now - then));
        incoming.forget(count);
        if asked_at.is_empty() && left == 0 {
            return Ok(samples.finish(job.count));
        }
        due = left.min(count as u64);
    }
}

/// Sends back what comes.
async fn answer(role: &Role) -> Result<()> {
    let (listener, url) = listen(&role.address).await.context("listening")?;
    role::say_url(&url)?;
    let (mut stream, _) = listener.accept().await.context("accepting")?;
    stream.set_nodelay(true)?;
    let mut incoming = Incoming::new(role);
    serve::on_runtime(async |job| {
        let mut left = job.count;
        while left > 0 {
            let count = incoming.read(&mut stream).await?;
            stream.write_all(incoming.messages(count)).await.context("answering")?;
            incoming.forget(count);
            left -= count as u64;
        }
        Ok(Measure::moved(job.count))
    })
    .await
}

/// Messages cut out of large reads.
struct Incoming {
    buffer: Vec<u8>,
    filled: usize,
    body_bytes: usize,
}

impl Incoming {
    fn new(role: &Role) -> Self {
        Self { buffer: vec![0; READ_BYTES], filled: 0, body_bytes: role.cell.body_bytes }
    }

    /// Reads until there is a whole message, and says how many there are.
    async fn read(&mut self, stream: &mut TcpStream) -> Result<usize> {
        let frame_bytes = Message::frame_bytes(self.body_bytes);
        while self.filled < frame_bytes {
            match stream.read(&mut self.buffer[self.filled..]).await.context("waiting for messages")? {
                0 => bail!("the other end has closed"),
                count => self.filled += count,
            }
        }
        let count = self.filled / frame_bytes;
        self.messages(count)
            .chunks(frame_bytes)
            .try_for_each(|frame| Message::check(frame, self.body_bytes))?;
        Ok(count)
    }

    fn messages(&self, count: usize) -> &[u8] {
        &self.buffer[..count * Message::frame_bytes(self.body_bytes)]
    }

    fn forget(&mut self, count: usize) {
        let length = self.messages(count).len();
        self.buffer.copy_within(length..self.filled, 0);
        self.filled -= length;
    }
}

/// As many as the fewest of many logical connections.
const IN_FLIGHT: u64 = 16;

const READ_BYTES: usize = 64 << 10;
