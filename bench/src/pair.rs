//! The parent's hold on the ends of a workload: two processes, or one for inproc.

use crate::measure::Measure;
use crate::pin::Side;
use crate::plan::{Cell, Subject, Transport, Work};
use crate::role::{Job, Role};
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Makes the command that runs an end, with a tool around it if need be: program, side.
pub(crate) type Wrap<'a> = &'a dyn Fn(&Path, Side) -> Command;

/// An end under no tool.
pub(crate) fn plain(program: &Path, _: Side) -> Command {
    Command::new(program)
}

/// The ends of one workload, connected and waiting for jobs.
#[derive(Debug)]
pub(crate) struct Pair {
    work: Work,
    /// Absent for inproc, where the client is both.
    server: Option<End>,
    client: End,
    patience: Duration,
}

impl Pair {
    /// Starts the ends and waits until they are connected. No answer may take longer than `patience`.
    pub(crate) fn start(
        cell: Cell,
        subject: Subject,
        scratch: &mut Scratch,
        patience: Duration,
        wrap: Wrap<'_>,
    ) -> Result<Self> {
        let deadline = Instant::now() + patience;
        let address = match cell.transport {
            Transport::Tcp => "tcp://127.0.0.1:0".to_owned(),
            Transport::Ipc => format!("ipc://{}", scratch.next_path()?),
            Transport::Inproc => "inproc://bench".to_owned(),
        };
        let role = |side, address| Role { side, subject, cell, address };
        if !cell.is_between_processes() {
            let mut client = End::start(&role(Side::Client, address), wrap)?;
            client.hear("READY", deadline)?;
            return Ok(Self { work: cell.work, server: None, client, patience });
        }
        let mut server = End::start(&role(Side::Server, address), wrap)?;
        let url = server.hear("URL", deadline)?;
        let mut client = End::start(&role(Side::Client, url), wrap)?;
        client.hear("READY", deadline)?;
        server.hear("READY", deadline)?;
        Ok(Self { work: cell.work, server: Some(server), client, patience })
    }

    /// Has the ends do one job. Fails if a message is missing at the receiver.
    pub(crate) fn run(&mut self, job: Job) -> Result<Measure> {
        let deadline = Instant::now() + self.patience;
        if let Some(server) = &mut self.server {
            server.tell(job)?;
            server.hear("GO", deadline)?;
        }
        self.client.tell(job)?;
        self.client.hear("GO", deadline)?;
        let client: Measure = self.client.hear("DONE", deadline)?.parse()?;
        let measure = match &mut self.server {
            None => client,
            Some(server) => {
                let server: Measure = server.hear("DONE", deadline)?.parse()?;
                let figures = if self.work == Work::OneWay { server } else { client };
                Measure { switches: server.switches + client.switches, ..figures }
            }
        };
        if measure.count != job.count {
            bail!("void: {} of {} arrived", measure.count, job.count);
        }
        Ok(measure)
    }

    /// Lets the ends go and waits for them.
    pub(crate) fn finish(self) -> Result<()> {
        let deadline = Instant::now() + self.patience;
        self.client.finish(deadline)?;
        self.server.map_or(Ok(()), |server| server.finish(deadline))
    }
}

/// One process.
#[derive(Debug)]
struct End {
    name: String,
    child: Child,
    /// Closing it asks the end to leave.
    commands: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl End {
    fn start(role: &Role, wrap: Wrap<'_>) -> Result<Self> {
        let name = role.to_string();
        let program = std::env::current_exe().context("cannot find this program")?;
        let mut child = wrap(&program, role.side)
            .args(role.arguments())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start the {name}"))?;
        let commands = child.stdin.take();
        let output = BufReader::new(child.stdout.take().context("the end has no stdout")?);
        // A thread, because std cannot wait for a line and for a deadline at once. It ends with the
        // process that it listens to.
        let (sender, lines) = channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|l| sender.send(l)));
        Ok(Self { name, child, commands, lines })
    }

    fn tell(&mut self, job: Job) -> Result<()> {
        let commands = self.commands.as_mut().context("the end was let go")?;
        writeln!(commands, "{job}").with_context(|| format!("the {} does not listen", self.name))
    }

    /// Waits for a line that starts with `word`, and returns the rest of it.
    fn hear(&mut self, word: &str, deadline: Instant) -> Result<String> {
        let wait = deadline.saturating_duration_since(Instant::now());
        let line = match self.lines.recv_timeout(wait) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => bail!("void: no {word} in time from the {}", self.name),
            Err(RecvTimeoutError::Disconnected) => bail!("void: the {} broke off before {word}", self.name),
        };
        match line.strip_prefix(word) {
            Some(rest) => Ok(rest.trim().to_owned()),
            None => bail!("void: the {} said {line:?} instead of {word}", self.name),
        }
    }

    fn finish(mut self, deadline: Instant) -> Result<()> {
        self.commands = None;
        let wait = deadline.saturating_duration_since(Instant::now());
        match self.lines.recv_timeout(wait) {
            Ok(line) => bail!("the {} said {line:?} at the end", self.name),
            Err(RecvTimeoutError::Timeout) => bail!("the {} does not leave", self.name),
            Err(RecvTimeoutError::Disconnected) => {}
        }
        let status = self.child.wait().with_context(|| format!("cannot wait for the {}", self.name))?;
        if !status.success() {
            bail!("the {} failed at the end ({status})", self.name);
        }
        Ok(())
    }
}

impl Drop for End {
    fn drop(&mut self) {
        // Both fail harmlessly when it has left already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A directory for socket files and tool output, removed at the end.
#[derive(Debug)]
pub(crate) struct Scratch {
    directory: PathBuf,
    paths: usize,
}

impl Scratch {
    pub(crate) fn new() -> Result<Self> {
        let directory = std::env::temp_dir().join(format!("spanwire-bench-{}", std::process::id()));
        std::fs::create_dir(&directory)
            .with_context(|| format!("cannot make the directory {}", directory.display()))?;
        Ok(Self { directory, paths: 0 })
    }

    /// A path that nobody used yet.
    pub(crate) fn next_path(&mut self) -> Result<String> {
        self.paths += 1;
        let path = self.directory.join(self.paths.to_string());
        path.into_os_string().into_string().ok().context("the temporary directory's name is not UTF-8")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
