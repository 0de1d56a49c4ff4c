//! [`Foreign`]: a process that holds sockets of another library, and does with them what it is told.

use crate::Outcome;
use std::cell::RefCell;
use std::fmt::Display;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// How long one step may take. Most take milliseconds; this is for loaded machines.
pub(crate) const STEP: Duration = Duration::from_secs(15);

/// How long a foreign socket waits for a message; shorter than [`STEP`], so that it is the one that
/// gives up and can be told something else.
const PATIENCE: Duration = Duration::from_secs(12);

/// A library that we talk with.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Library {
    /// The system's, an old one.
    Nng,
    Nanomsg,
    Pynng,
    /// NNG 1.12, which the tests have built for themselves.
    NewNng,
}

impl Library {
    pub(crate) const ALL: [Self; 4] = [Self::Nng, Self::Nanomsg, Self::Pynng, Self::NewNng];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nng => "nng",
            Self::Nanomsg => "nanomsg",
            Self::Pynng => "pynng",
            Self::NewNng => "nng-c-sys",
        }
    }
}

/// A process of a foreign library, for the time of a case. Afterwards it waits for the next case of
/// the same test, since starting an interpreter takes longer than most cases.
pub(crate) struct Foreign {
    pub(crate) library: Library,
    process: Option<Process>,
}

/// It dies with this value.
struct Process {
    library: Library,
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    /// Nothing keeps it from working for another case.
    reusable: bool,
}

thread_local! {
    /// Every test has a thread, a runtime and a pool of its own.
    static IDLE: RefCell<Vec<Process>> = const { RefCell::new(Vec::new()) };
}

/// A message as a foreign socket received it.
pub(crate) struct Received {
    /// The pipe it came over; 0 where the library does not tell.
    pub(crate) pipe: u32,
    /// Its protocol header in hex, on raw sockets of NNG.
    pub(crate) header: String,
    pub(crate) body: Vec<u8>,
}

/// Why there is no process.
pub(crate) enum NoPeer {
    /// The library or the interpreter is not installed.
    Missing(String),
    /// It should be there, and did not come up.
    Broken(String),
}

impl Foreign {
    /// A process of this library, without sockets.
    pub(crate) async fn start(library: Library) -> Result<Self, NoPeer> {
        let idle = IDLE.with_borrow_mut(|idle| {
            let at = idle.iter().position(|process| process.library == library)?;
            Some(idle.swap_remove(at))
        });
        if idle.is_some() {
            let mut foreign = Self { library, process: idle };
            if foreign.call("reset", b"").await.is_ok() {
                return Ok(foreign);
            }
            // Whatever ails it, a new one has not.
            foreign.process = None;
        }
        Ok(Self { library, process: Some(Process::start(library).await?) })
    }

    /// The same for a library that is known to be there.
    pub(crate) async fn again(library: Library) -> Outcome<Self> {
        Self::start(library).await.map_err(|why| match why {
            NoPeer::Missing(why) | NoPeer::Broken(why) => why.into(),
        })
    }

    /// Ends the processes that wait for another case.
    pub(crate) fn end_idle() {
        IDLE.take();
    }

    /// Opens a socket of a pattern, which may be followed by `raw` or `poly`.
    pub(crate) async fn open(&mut self, name: &str, pattern: &str) -> Outcome {
        self.call(&format!("open {name} {pattern}"), b"").await.map(drop)
    }

    /// Sets an option that is a time, by its name in NNG.
    pub(crate) async fn set(&mut self, name: &str, option: &str, time: Duration) -> Outcome {
        self.call(&format!("set {name} {option} {}", time.as_millis()), b"").await.map(drop)
    }

    /// Listens; returns the address with its real port.
    pub(crate) async fn listen(&mut self, name: &str, url: &str) -> Outcome<String> {
        Ok(self.call(&format!("listen {name} {url}"), b"").await?.0)
    }

    pub(crate) async fn dial(&mut self, name: &str, url: &str) -> Outcome {
        self.call(&format!("dial {name} {url}"), b"").await.map(drop)
    }

    pub(crate) async fn subscribe(&mut self, name: &str, topic: &[u8]) -> Outcome {
        self.call(&format!("subscribe {name}"), topic).await.map(drop)
    }

    pub(crate) async fn unsubscribe(&mut self, name: &str, topic: &[u8]) -> Outcome {
        self.call(&format!("unsubscribe {name}"), topic).await.map(drop)
    }

    pub(crate) async fn send(&mut self, name: &str, body: &[u8]) -> Outcome {
        self.call(&format!("send {name}"), body).await.map(drop)
    }

    /// Sends to the peer behind a pipe, on a polyamorous socket.
    pub(crate) async fn send_to(&mut self, name: &str, pipe: u32, body: &[u8]) -> Outcome {
        self.call(&format!("send {name} {pipe}"), body).await.map(drop)
    }

    /// Sends with a protocol header, on a raw socket of NNG.
    pub(crate) async fn send_raw(&mut self, name: &str, header: &str, body: &[u8]) -> Outcome {
        self.call(&format!("send {name} - {header}"), body).await.map(drop)
    }

    pub(crate) async fn recv(&mut self, name: &str) -> Outcome<Received> {
        self.recv_within(name, PATIENCE).await
    }

    pub(crate) async fn recv_within(&mut self, name: &str, timeout: Duration) -> Outcome<Received> {
        let (words, body) = self.call(&format!("recv {name} {}", timeout.as_millis()), b"").await?;
        let (pipe, header) = words.split_once(' ').ok_or("an answer without a header")?;
        Ok(Received { pipe: pipe.parse()?, header: header.replace('-', ""), body })
    }

    /// Receives one message, which has to be this.
    pub(crate) async fn expect(&mut self, name: &str, body: &[u8]) -> Outcome<Received> {
        let received = self.recv(name).await?;
        same(&format!("{} {name}", self.library.name()), &received.body, body)?;
        Ok(received)
    }

    /// Joins two raw sockets by the device of the library. The process works for nobody else then.
    pub(crate) async fn device(&mut self, front: &str, back: &str) -> Outcome {
        self.call(&format!("device {front} {back}"), b"").await?;
        self.process()?.reusable = false;
        Ok(())
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.process.as_ref()?.child.id()
    }

    /// Kills the process without any goodbye.
    pub(crate) async fn kill(mut self) -> Outcome {
        let mut process = self.process.take().ok_or("killed twice")?;
        within("killing a peer", process.child.kill()).await
    }

    async fn call(&mut self, words: &str, body: &[u8]) -> Outcome<(String, Vec<u8>)> {
        let what = format!("{} to {words}", self.library.name());
        let (answer, body) = within(&what, self.process()?.call(words, body)).await?;
        match answer.strip_prefix("ok") {
            Some(rest) => Ok((rest.trim_start().to_owned(), body)),
            None => Err(format!("{what}: {answer}").into()),
        }
    }

    fn process(&mut self) -> Outcome<&mut Process> {
        Ok(self.process.as_mut().ok_or("its process is gone")?)
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        if let Some(process) = self.process.take().filter(|process| process.reusable) {
            IDLE.with_borrow_mut(|idle| idle.push(process));
        }
    }
}

impl Process {
    async fn start(library: Library) -> Result<Self, NoPeer> {
        let python = std::env::var_os("SPANWIRE_PYTHON").unwrap_or_else(|| "python3".into());
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/peer.py");
        let mut command = Command::new(python);
        command
            .args([script, library.name()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        #[cfg(feature = "tls")]
        command.env("SPANWIRE_TLS", crate::address::tls_folder());
        let mut child = command.spawn().map_err(|error| NoPeer::Missing(error.to_string()))?;
        let stdin = child.stdin.take().expect("stdin is piped");
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut process = Self { library, child, stdin, stdout, reusable: true };
        let hello = within("starting", process.read_answer()).await;
        let (words, _) = hello.map_err(|error| NoPeer::Broken(format!("{}: {error}", library.name())))?;
        match words.split_once(' ') {
            Some(("ready", _)) => Ok(process),
            _ => Err(NoPeer::Missing(words)),
        }
    }

    async fn call(&mut self, words: &str, body: &[u8]) -> std::io::Result<(String, Vec<u8>)> {
        let line = format!("{} {words}\n", body.len());
        // Dropped before the answer is there, this leaves a process that says the wrong things.
        self.reusable = false;
        self.stdin.write_all(line.as_bytes()).await?;
        self.stdin.write_all(body).await?;
        self.stdin.flush().await?;
        let answer = self.read_answer().await?;
        self.reusable = true;
        Ok(answer)
    }

    async fn read_answer(&mut self) -> std::io::Result<(String, Vec<u8>)> {
        let mut line = String::new();
        self.stdout.read_line(&mut line).await?;
        let dead = || std::io::Error::other("the process is gone");
        let (length, words) = line.trim_end().split_once(' ').ok_or_else(dead)?;
        let mut body = vec![0; length.parse().map_err(|_| dead())?];
        self.stdout.read_exact(&mut body).await?;
        Ok((words.to_owned(), body))
    }
}

/// Bounds a step, and says which it was.
pub(crate) async fn within<T, E: Display>(
    what: impl Display,
    step: impl Future<Output = Result<T, E>>,
) -> Outcome<T> {
    match tokio::time::timeout(STEP, step).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(format!("{what}: {error}").into()),
        Err(_) => Err(format!("{what}: nothing happened in {STEP:?}").into()),
    }
}

/// Compares what arrived with what was sent, byte for byte.
pub(crate) fn same(what: &str, got: &[u8], sent: &[u8]) -> Outcome {
    if got == sent {
        return Ok(());
    }
    let at = got.iter().zip(sent).position(|(a, b)| a != b).unwrap_or(got.len().min(sent.len()));
    Err(format!("{what} got {} bytes instead of {}, other from byte {at} on", got.len(), sent.len()).into())
}
