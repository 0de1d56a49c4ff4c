//! `spanwire perf pair`: starts both processes, for a quick figure.

use super::{count, size};
use crate::complaint::Complaint;
use crate::secure;
use crate::terminal::{Terminal, bytes, grouped, span};
use serde_json::Value;
use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

#[derive(clap::Args, Debug)]
#[group(skip)]
pub(super) struct Args {
    /// Measure over this address only; port 0 lets the system choose
    ///
    /// May be given more than once. Default: tcp, ipc and abstract, on this machine.
    #[arg(long = "url", value_name = "URL")]
    urls: Vec<String>,
    /// Bytes in each message
    #[arg(long, default_value = "64", value_parser = size)]
    size: usize,
    /// Round trips to measure
    #[arg(long, default_value = "20000", value_name = "COUNT", value_parser = count)]
    trips: u64,
    /// Messages to count [default: 1000000, fewer where they are large]
    #[arg(long, value_name = "COUNT", value_parser = count)]
    messages: Option<u64>,
    /// Use the blocking sockets instead of the async ones
    #[arg(long)]
    blocking: bool,
    /// Print an array of the figures as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    tls: secure::Flags,
}

pub(super) fn run(args: &Args) -> Result<(), Complaint> {
    let scratch = SocketFile::choose();
    let urls = if args.urls.is_empty() { scratch.urls() } else { args.urls.clone() };
    if let Some(url) = urls.iter().find(|url| url.starts_with("inproc://")) {
        return Err(Complaint::usage(format!("{url} joins sockets of one process, and here are two"))
            .advise("choose tcp, ipc or abstract; spanwire demo measures inproc"));
    }
    let terminal = Terminal::stdout();
    let mut out = io::stdout().lock();
    // As much as a second or two can move on a small machine.
    let fair = ((2 << 30) / args.size.max(1) as u64).clamp(100, 1_000_000);
    let messages = args.messages.unwrap_or(fair);
    let latencies = Part {
        title: format!("Round trips, REQ/REP, {}, {} of them", bytes(args.size as u64), grouped(args.trips)),
        columns: ["p50", "p90", "p99", "p99.9", "max", "mean"],
        local: "local-lat",
        remote: "remote-lat",
        count: args.trips,
        cells: |value| {
            let trips = &value["round_trip_ns"];
            ["p50", "p90", "p99", "p99_9", "max", "mean"]
                .map(|name| span(Duration::from_nanos(trips[name].as_u64().unwrap_or_default())))
        },
    };
    let rates = Part {
        title: format!("One way, PUSH/PULL, {}, {} of them", bytes(args.size as u64), grouped(messages)),
        columns: ["messages/s", "data/s", "", "", "", ""],
        local: "local-thr",
        remote: "remote-thr",
        count: messages,
        cells: |value| {
            let rate = |name: &str| value[name].as_f64().unwrap_or_default() as u64;
            let none = String::new;
            let (messages, data) = (grouped(rate("messages_per_second")), bytes(rate("bytes_per_second")));
            [messages, data, none(), none(), none(), none()]
        },
    };
    let mut figures = Vec::new();
    for part in [latencies, rates] {
        if !args.json {
            let head = part.columns.map(|column| format!("{column:>11}")).concat();
            writeln!(out, "{}", terminal.bold(&part.title))?;
            writeln!(out, "{}", terminal.dim(format!("  {:8}{head}", "").trim_end()))?;
        }
        for url in &urls {
            let scheme = url.split(':').next().unwrap_or_default();
            if terminal.live && !args.json {
                write!(out, "  {scheme} …")?;
                out.flush()?;
            }
            let figure = part.measure(url, args);
            if terminal.live && !args.json {
                write!(out, "\r\x1b[K")?;
            }
            let figure = figure?;
            if !args.json {
                let cells = (part.cells)(&figure).map(|cell| format!("{cell:>11}")).concat();
                writeln!(out, "  {scheme:8}{}", terminal.cyan(cells.trim_end()))?;
            }
            figures.push(figure);
        }
        if !args.json {
            writeln!(out)?;
        }
    }
    if args.json {
        writeln!(out, "{}", Value::Array(figures))?;
    } else {
        let note = "Two processes on this machine. For two machines see spanwire perf --help.";
        writeln!(out, "{}", terminal.dim(note))?;
    }
    Ok(())
}

/// One of the two things that are measured.
struct Part {
    title: String,
    columns: [&'static str; 6],
    local: &'static str,
    remote: &'static str,
    count: u64,
    cells: fn(&Value) -> [String; 6],
}

impl Part {
    fn measure(&self, url: &str, args: &Args) -> Result<Value, Complaint> {
        let mut local = Process::start(self.local, true, url, args, self.count)?;
        let address = local.line()?;
        let remote = Process::start(self.remote, false, &address, args, self.count)?;
        // Whichever of them measures says so as its last line.
        let (from_remote, from_local) = (remote.finish()?, local.finish()?);
        let figures = if from_local.is_empty() { from_remote } else { from_local };
        serde_json::from_str(&figures).map_err(|error| Complaint::new(format!("no figures came: {error}")))
    }
}

/// A side of the measurement. What goes wrong there it tells the user itself.
struct Process {
    role: &'static str,
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Process {
    fn start(
        role: &'static str,
        announce: bool,
        url: &str,
        args: &Args,
        count: u64,
    ) -> Result<Self, Complaint> {
        let failed = |error: io::Error| Complaint::new(format!("cannot start perf {role}: {error}"));
        let mut command = Command::new(std::env::current_exe().map_err(failed)?);
        command.args(["perf", role, "--json"]);
        command.args(announce.then_some("--announce")).args(args.blocking.then_some("--blocking"));
        command.args(args.tls.as_arguments());
        command.args(["--", url, &args.size.to_string(), &count.to_string()]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(failed)?;
        let output = BufReader::new(child.stdout.take().expect("it was asked for"));
        Ok(Self { role, child, output })
    }

    /// The next line of its output; empty at the end.
    fn line(&mut self) -> Result<String, Complaint> {
        let mut line = String::new();
        let read = self.output.read_line(&mut line);
        read.map_err(|error| Complaint::new(format!("cannot hear perf {}: {error}", self.role)))?;
        Ok(line.trim_end().to_owned())
    }

    /// Waits for its end; returns the next line, if there is one.
    fn finish(mut self) -> Result<String, Complaint> {
        let line = self.line()?;
        match self.child.wait() {
            Ok(status) if status.success() => Ok(line),
            _ => Err(Complaint::new(format!("perf {} failed; the line above says why", self.role))),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Only matters if something failed; then neither may be left behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A place for a socket file, removed at the end if its listener was not there to do it.
struct SocketFile(PathBuf);

impl SocketFile {
    fn choose() -> Self {
        Self(std::env::temp_dir().join(format!("spanwire-perf-{}.sock", std::process::id())))
    }

    /// What is measured when nobody says what.
    fn urls(&self) -> Vec<String> {
        let mut urls = vec!["tcp://127.0.0.1:0".to_owned()];
        if cfg!(unix) {
            urls.push(format!("ipc://{}", self.0.display()));
        }
        if cfg!(target_os = "linux") {
            urls.push("abstract://".to_owned());
        }
        urls
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
