//! Strangers that speak bytes, and what the events of a socket say of them.

pub(crate) use crate::waiting::{Bed, SOON, soon, until};

use spanwire::{DetachReason, Dropped, Event, Events, Protocol};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

/// What a close with peers that cooperate may take of [`SOON`] at most: it waits for nothing.
pub(crate) const PROMPT: Duration = Duration::from_secs(5);

/// The next event of the wanted kind; others are passed over.
pub(crate) async fn event<T>(events: &mut Events, what: &str, wanted: impl Fn(&Event) -> Option<T>) -> T {
    soon(what, async {
        loop {
            let event = events.next().await.expect("the socket is open");
            if let Some(found) = wanted(&event) {
                return found;
            }
        }
    })
    .await
}

/// Why the next connection that did not become a pipe was refused.
pub(crate) async fn refusal(events: &mut Events) -> DetachReason {
    event(events, "a refusal", |event| match event {
        Event::Refused(_, why) => Some(*why),
        _ => None,
    })
    .await
}

/// Why the next pipe that goes away does so.
pub(crate) async fn detachment(events: &mut Events) -> DetachReason {
    event(events, "a detachment", |event| match event {
        Event::Detached(_, why) => Some(*why),
        _ => None,
    })
    .await
}

/// Why the next message that is dropped is, and its size.
pub(crate) async fn drop_of(events: &mut Events) -> (Dropped, usize) {
    event(events, "a drop", |event| match event {
        Event::Dropped { why, bytes, .. } => Some((*why, *bytes)),
        _ => None,
    })
    .await
}

/// Closes sockets, whose peers cooperate, and expects that to be prompt.
macro_rules! close_all {
    ($($socket:expr),+ $(,)?) => {{
        $({
            let started = std::time::Instant::now();
            $socket.close($crate::support::SOON).await;
            let took = started.elapsed();
            assert!(took < $crate::support::PROMPT, "closing {} took {took:?}", stringify!($socket));
        })+
    }};
}
pub(crate) use close_all;

/// How a stranger marks its frames.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Marks {
    Tcp,
    Ipc,
}

/// A peer that speaks bytes.
pub(crate) struct Stranger<S> {
    pub(crate) stream: S,
    marks: Marks,
}

impl Stranger<TcpStream> {
    /// Connects and says nothing.
    pub(crate) async fn tcp(to: Option<SocketAddr>) -> Self {
        let to = to.expect("the listener has an IP address");
        Self::over_tcp(soon("a connection", TcpStream::connect(to)).await.unwrap())
    }

    pub(crate) fn over_tcp(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self { stream, marks: Marks::Tcp }
    }

    /// Lets what follows end the connection with a reset, as a crash of the machine would.
    pub(crate) fn reset(self) {
        self.stream.set_zero_linger().unwrap();
    }
}

impl Stranger<UnixStream> {
    pub(crate) async fn ipc(path: &Path) -> Self {
        let connect = async {
            loop {
                match UnixStream::connect(path).await {
                    // The listener's backlog is full.
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => tokio::task::yield_now().await,
                    done => return done.unwrap(),
                }
            }
        };
        Self { stream: soon("a connection", connect).await, marks: Marks::Ipc }
    }
}

/// Any byte stream.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl<S: Stream> Stranger<S> {
    /// The same, whatever it runs over.
    pub(crate) fn boxed(self) -> Stranger<Box<dyn Stream>>
    where
        S: 'static,
    {
        Stranger { stream: Box::new(self.stream), marks: self.marks }
    }

    /// Shakes hands as a peer of this protocol should; returns the header that came back.
    pub(crate) async fn greet(&mut self, as_protocol: Protocol) -> [u8; 8] {
        self.say(&header(as_protocol)).await;
        let mut theirs = [0; 8];
        soon("their header", self.stream.read_exact(&mut theirs)).await.unwrap();
        theirs
    }

    /// Sends these very bytes. That the other side may have ended already is no matter.
    pub(crate) async fn say(&mut self, bytes: &[u8]) {
        let _ = soon("to be heard", self.stream.write_all(bytes)).await;
    }

    /// Sends a whole frame.
    pub(crate) async fn frame(&mut self, payload: &[u8]) {
        self.say(&framed(self.marks, payload)).await;
    }

    /// Receives a whole frame; `None` when the connection ends instead.
    pub(crate) async fn heard(&mut self) -> Option<Vec<u8>> {
        let mut prefix = vec![0; framed(self.marks, b"").len()];
        soon("a frame", async {
            self.stream.read_exact(&mut prefix).await.ok()?;
            let length = prefix.last_chunk().map(|length| u64::from_be_bytes(*length))?;
            let mut payload = vec![0; usize::try_from(length).ok()?];
            self.stream.read_exact(&mut payload).await.ok()?;
            Some(payload)
        })
        .await
    }

    /// Waits until the other side has ended the connection, in whatever way.
    pub(crate) async fn is_ended(&mut self) {
        let mut rest = [0; 4096];
        soon("the connection ends", async { while matches!(self.stream.read(&mut rest).await, Ok(1..)) {} })
            .await;
    }
}

/// The header that a socket of this protocol sends, spelt out: these tests trust no code of ours.
pub(crate) fn header(protocol: Protocol) -> [u8; 8] {
    let number = match protocol {
        Protocol::Pair0 => 0x10,
        Protocol::Pair1 => 0x11,
        Protocol::Pub => 0x20,
        Protocol::Sub => 0x21,
        Protocol::Req => 0x30,
        Protocol::Rep => 0x31,
        Protocol::Push => 0x50,
        Protocol::Pull => 0x51,
        Protocol::Surveyor => 0x62,
        Protocol::Respondent => 0x63,
        Protocol::Bus => 0x70,
    };
    [0, b'S', b'P', 0, 0, number, 0, 0]
}

/// A frame around `payload`.
pub(crate) fn framed(marks: Marks, payload: &[u8]) -> Vec<u8> {
    [&prefix(marks, payload.len() as u64), payload].concat()
}

/// The first bytes of a frame that claims to be so long.
pub(crate) fn prefix(marks: Marks, length: u64) -> Vec<u8> {
    let mut bytes = length.to_be_bytes().to_vec();
    if marks == Marks::Ipc {
        bytes.insert(0, 1);
    }
    bytes
}

/// A path that nothing else uses, in a folder that goes when this does.
pub(crate) struct Place(PathBuf);

impl Place {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("spanwire-faults-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.0
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.join("socket")
    }

    pub(crate) fn url(&self) -> String {
        format!("ipc://{}", self.path().display())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Set in a process that a test has started to do its work, because that work changes the process.
const CHILD: &str = "SPANWIRE_FAULT_CHILD";

/// Whether this is such a process.
pub(crate) fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// A command that runs the test of this name once more, as a child.
pub(crate) fn child(wrapper: &[&str], test: &str) -> Command {
    let this = std::env::current_exe().unwrap();
    let mut words = wrapper.iter().map(|word| std::ffi::OsStr::new(*word)).chain([this.as_os_str()]);
    let mut command = Command::new(words.next().expect("at least this program"));
    command.args(words).args(["--exact", test, "--nocapture", "--test-threads=1"]).env(CHILD, "1");
    command
}

/// Runs a child and expects it to succeed.
pub(crate) fn run(mut command: Command) {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).contains("1 passed"), "the child ran its test");
}

/// Allows as many descriptors as the system lets us have: some tests need thousands.
pub(crate) fn allow_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
}
