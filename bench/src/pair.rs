//! The parent's hold on the ends of a workload: two processes, one for inproc, three where one stalls.

use crate::end::End;
use crate::peers::Peers;
use crate::subject::{Kind, Subject};
use anyhow::{Context, Result, bail};
use spanwire_bench_ends::{Cell, Job, Measure, Role, Side, Transport, Word, Work};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Makes the command that runs an end, with a tool around it if need be: program, side.
pub(crate) type Wrap<'a> = &'a dyn Fn(&Path, Side) -> Command;

/// An end under no tool.
pub(crate) fn plain(program: &Path, _: Side) -> Command {
    Command::new(program)
}

/// What a pair is made from, beside its cell and subject.
#[derive(Debug)]
pub(crate) struct Workshop {
    scratch: Scratch,
    own_program: PathBuf,
    pub(crate) peers: Option<Peers>,
}

impl Workshop {
    /// With the program of the peers, if there is one.
    pub(crate) fn open(peers: Option<&Path>) -> Result<Self> {
        Ok(Self {
            scratch: Scratch::new()?,
            own_program: std::env::current_exe().context("cannot find this program")?,
            peers: peers.map(Peers::ask).transpose()?,
        })
    }

    /// A path that nobody used yet.
    pub(crate) fn next_path(&mut self) -> Result<String> {
        self.scratch.next_path()
    }

    fn program(&self, subject: Subject) -> Result<&Path> {
        match (subject.kind(), &self.peers) {
            // It is built in, as it is what our own transport has.
            _ if subject == Subject::Quinn => Ok(&self.own_program),
            (Kind::Peer, Some(peers)) => Ok(&peers.program),
            (Kind::Peer, None) => bail!("the peers are not built"),
            _ => Ok(&self.own_program),
        }
    }

    fn address(&mut self, cell: &Cell) -> Result<String> {
        let mut one = || {
            Ok::<_, anyhow::Error>(match cell.transport {
                Transport::Tcp => "tcp://127.0.0.1:0".to_owned(),
                Transport::Ipc => format!("ipc://{}", self.next_path()?),
                Transport::Inproc => "inproc://bench".to_owned(),
                Transport::Tls => "tls+tcp://127.0.0.1:0".to_owned(),
                Transport::Ws => "ws://127.0.0.1:0/bench".to_owned(),
                Transport::Wss => "wss://127.0.0.1:0/bench".to_owned(),
                Transport::Quic => "quic://127.0.0.1:0".to_owned(),
            })
        };
        match cell.work {
            Work::Mixed => Ok(format!("{},{}", one()?, one()?)),
            _ => one(),
        }
    }
}

/// What the two ends said after a job.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    /// The end that counted what arrived. For inproc, the only one.
    pub(crate) counting: Measure,
    pub(crate) other: Measure,
}

impl Told {
    /// How often the threads of both gave up their CPU.
    pub(crate) fn switches(&self) -> u64 {
        self.counting.switches + self.other.switches
    }

    /// What both know to be lost.
    pub(crate) fn lost(&self) -> u64 {
        self.counting.lost + self.other.lost
    }
}

/// The ends of one workload, connected and waiting for jobs.
#[derive(Debug)]
pub(crate) struct Pair {
    cell: Cell,
    /// Absent for inproc, where the client is both.
    server: Option<End>,
    client: End,
    /// The subscriber that will be stopped.
    staller: Option<End>,
    patience: Duration,
}

impl Pair {
    /// Starts the ends and waits until they are connected. No answer may take longer than `patience`.
    pub(crate) fn start(
        cell: Cell,
        subject: Subject,
        workshop: &mut Workshop,
        patience: Duration,
        wrap: Wrap<'_>,
    ) -> Result<Self> {
        let deadline = Instant::now() + patience;
        let address = workshop.address(&cell)?;
        let program = workshop.program(subject)?;
        let start = |side, cell, address| {
            let role = Role { side, subject: subject.word().to_owned(), cell, address };
            End::start(program, &role, wrap)
        };
        if !cell.is_between_processes() {
            let mut client = start(Side::Client, cell, address)?;
            client.hear("READY", deadline)?;
            return Ok(Self { cell, server: None, client, staller: None, patience });
        }
        let mut server = start(Side::Server, cell, address)?;
        let url = server.hear("URL", deadline)?;
        let mut client = start(Side::Client, cell, url.clone())?;
        client.hear("READY", deadline)?;
        let mut staller = None;
        if cell.work == Work::Stall {
            let mut end = start(Side::Client, cell.with_many(1), url)?;
            end.hear("READY", deadline)?;
            staller = Some(end);
        }
        server.hear("READY", deadline)?;
        Ok(Self { cell, server: Some(server), client, staller, patience })
    }

    /// Has the ends do one job. Fails if a message is missing of which nobody knows.
    pub(crate) fn run(&mut self, job: Job) -> Result<Told> {
        let deadline = Instant::now() + self.patience + Duration::from_millis(job.millis);
        if let Some(staller) = self.staller.as_mut().filter(|staller| !staller.is_stopped()) {
            staller.tell(job)?;
            staller.hear("GO", deadline)?;
        }
        let first = self.cell.work.waiting_side();
        for side in [first, first.other()] {
            if let Some(end) = self.end(side) {
                end.tell(job)?;
                end.hear("GO", deadline)?;
            }
        }
        let client = self.client.hear("DONE", deadline)?.parse()?;
        let server = match &mut self.server {
            Some(server) => server.hear("DONE", deadline)?.parse()?,
            None => Measure::default(),
        };
        if let Some(staller) = self.staller.as_mut().filter(|staller| !staller.is_stopped()) {
            staller.hear("DONE", deadline)?;
        }
        let told = match (self.cell.work.counting_side(), self.server.is_some()) {
            (Side::Server, true) => Told { counting: server, other: client },
            _ => Told { counting: client, other: server },
        };
        self.account(job, &told)?;
        Ok(told)
    }

    /// From here on, one subscriber does not read.
    pub(crate) fn stall(&mut self) -> Result<()> {
        self.staller.as_mut().context("nobody is there to stall")?.stop()
    }

    /// Lets the ends go and waits for them.
    pub(crate) fn finish(self) -> Result<()> {
        let deadline = Instant::now() + self.patience;
        // Dropping it kills it; it may be stopped.
        drop(self.staller);
        self.client.finish(deadline)?;
        self.server.map_or(Ok(()), |server| server.finish(deadline))
    }

    fn end(&mut self, side: Side) -> Option<&mut End> {
        match side {
            Side::Server => self.server.as_mut(),
            Side::Client => Some(&mut self.client),
        }
    }

    /// What was sent has to be what was received and what is known to be lost.
    fn account(&self, job: Job, told: &Told) -> Result<()> {
        let many = u64::from(self.cell.many);
        let sent = match self.cell.work {
            Work::Publish | Work::Stall => job.count * many,
            Work::Outrun => told.other.count,
            _ => job.count,
        };
        let (received, lost) = (told.counting.count, told.lost());
        let is_known = match self.cell.work {
            // The publisher's count has what was dropped for the one that does not read.
            Work::Stall => received <= sent && received + lost >= sent,
            _ => received + lost == sent,
        };
        if !is_known {
            bail!("void: {received} of {sent} arrived, {lost} are known to be lost");
        }
        Ok(())
    }
}

/// A directory for socket files and tool output, removed at the end.
#[derive(Debug)]
struct Scratch {
    directory: PathBuf,
    paths: usize,
}

impl Scratch {
    fn new() -> Result<Self> {
        let directory = std::env::temp_dir().join(format!("spanwire-bench-{}", std::process::id()));
        std::fs::create_dir(&directory)
            .with_context(|| format!("cannot make the directory {}", directory.display()))?;
        Ok(Self { directory, paths: 0 })
    }

    fn next_path(&mut self) -> Result<String> {
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
