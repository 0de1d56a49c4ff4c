//! Programs, started and waited for with a bound.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Which of the two programs.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    Nngcat,
    Nanocat,
}

/// Whose.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    Ours,
    Theirs,
}

impl Tool {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nngcat => "nngcat",
            Self::Nanocat => "nanocat",
        }
    }

    /// The foreign program, if it is installed.
    pub(crate) fn installed(self) -> Option<PathBuf> {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).map(|folder| folder.join(self.name())).find(|file| file.is_file())
    }

    fn command(self, whose: Whose) -> Command {
        match whose {
            Whose::Theirs => Command::new(self.installed().expect("rows run only where it is installed")),
            Whose::Ours => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_spanwire"));
                command.arg(if self == Self::Nngcat { "cat" } else { "nanocat" });
                command
            }
        }
    }

    /// Starts it with these arguments.
    pub(crate) fn start(self, whose: Whose, args: &[String]) -> Process {
        let mut command = self.command(whose);
        command.args(args).stdin(Stdio::null());
        Process::start(command)
    }
}

/// A program that was started.
pub(crate) struct Process {
    child: Child,
    stdout: Receiver<Vec<u8>>,
    stderr: Receiver<Vec<u8>>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) status: Status,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Exit(i32),
    Signal(i32),
    /// It was still running, and has been killed.
    Running,
}

impl Process {
    /// Starts `command`; its output is read from now on.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdout = reader(child.stdout.take().expect("it is piped"));
        let stderr = reader(child.stderr.take().expect("it is piped"));
        Self { child, stdout, stderr }
    }

    /// Waits for its end, at most until `deadline`; then kills it.
    pub(crate) fn end(mut self, deadline: Instant) -> Outcome {
        let left = || deadline.saturating_duration_since(Instant::now());
        // A program that ends closes its output; that can be waited for with a bound.
        let stdout = self.stdout.recv_timeout(left()).ok();
        let stderr = self.stderr.recv_timeout(left()).ok();
        if stdout.is_none() || stderr.is_none() {
            return Outcome { status: Status::Running, ..self.kill_with(stdout, stderr) };
        }
        self.kill_with(stdout, stderr)
    }

    /// Ends it now.
    pub(crate) fn kill(self) -> Outcome {
        Outcome { status: Status::Running, ..self.end(Instant::now()) }
    }

    fn kill_with(&mut self, stdout: Option<Vec<u8>>, stderr: Option<Vec<u8>>) -> Outcome {
        if stdout.is_none() || stderr.is_none() {
            self.child.kill().expect("it is our child");
        }
        let status = self.child.wait().expect("it is our child");
        let rest = |got: Option<Vec<u8>>, from: &Receiver<Vec<u8>>| {
            got.unwrap_or_else(|| from.recv().expect("the reader ends with the program"))
        };
        Outcome {
            status: status.code().map(Status::Exit).unwrap_or_else(|| {
                Status::Signal(status.signal().expect("it ended by itself or by a signal"))
            }),
            stdout: rest(stdout, &self.stdout),
            stderr: rest(stderr, &self.stderr),
        }
    }
}

fn reader(mut from: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (send, receive) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        let _ = send.send(bytes);
    });
    receive
}

/// A directory of its own, removed when dropped.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("spanwire-cli-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("the temporary directory can be written");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// A file with this content; its path.
    pub(crate) fn file(&self, name: &str, content: &[u8]) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, content).expect("the temporary directory can be written");
        path.to_str().expect("its name is ASCII").to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Waits until somebody listens at the unix socket `path`, as the kernel's table tells; `false` if
/// nobody did until `deadline`.
pub(crate) fn wait_for_listener(path: &Path, deadline: Instant) -> bool {
    const ACCEPTS: &str = "00010000";
    let listens = |line: &str| {
        let mut columns = line.split_whitespace();
        columns.nth(3) == Some(ACCEPTS)
            && columns.nth(3).is_some_and(|at| squeezed(at) == squeezed(&path.to_string_lossy()))
    };
    while Instant::now() < deadline {
        let table = std::fs::read_to_string("/proc/net/unix").expect("this is Linux");
        if table.lines().any(listens) {
            return true;
        }
        thread::park_timeout(Duration::from_millis(2));
    }
    false
}

/// A path without repeated slashes.
fn squeezed(path: &str) -> String {
    path.split('/').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
}
