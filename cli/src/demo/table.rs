//! What the tour prints.

use super::grid::{Pattern, Stop, Transport};
use super::stage::{Figures, Trouble};
use crate::terminal::{Terminal, bytes, grouped, span};
use std::io::{self, Write};
use std::time::Duration;

/// The table, a row at a time.
pub(super) struct Table<W> {
    out: W,
    terminal: Terminal,
    /// How many rows of the present pattern were printed.
    row: usize,
}

/// Columns of the first one: patterns and their legends.
const LEFT: usize = 20;
/// Columns of the second.
const TRANSPORT: usize = 12;

impl<W: Write> Table<W> {
    pub(super) fn new(out: W, terminal: Terminal) -> Self {
        Self { out, terminal, row: 0 }
    }

    pub(super) fn head(&mut self) -> io::Result<()> {
        let version = env!("CARGO_PKG_VERSION");
        let title = self.terminal.bold(&format!("Spanwire {version}"));
        writeln!(self.out, "{title}: every pattern over every transport, here and now\n")?;
        let columns = format!(
            "{:LEFT$}{:TRANSPORT$}{:>8}{:>10}{:>13}{:>11}",
            "", "", "messages", "data", "round trip", "p99"
        );
        writeln!(self.out, "{}", self.terminal.dim(&columns))
    }

    /// Begins a pattern.
    pub(super) fn begin(&mut self) {
        self.row = 0;
    }

    /// Shows what is being played, until its row takes the place.
    pub(super) fn playing(&mut self, stop: Stop) -> io::Result<()> {
        if !self.terminal.live {
            return Ok(());
        }
        write!(self.out, "{}{} …", self.left(stop.pattern), stop.transport.name())?;
        self.out.flush()
    }

    /// Shows how it went.
    pub(super) fn row(&mut self, stop: Stop, result: &Result<Figures, Trouble>) -> io::Result<()> {
        if self.terminal.live {
            write!(self.out, "\r\x1b[K")?;
        }
        write!(self.out, "{}", self.left(stop.pattern))?;
        let transport = format!("{:TRANSPORT$}", stop.transport.name());
        match result {
            Ok(figures) => {
                let (messages, data) = (grouped(figures.messages), bytes(figures.bytes));
                let (median, p99) = (span(figures.median), span(figures.p99));
                let tail = format!("{p99:>11}");
                writeln!(
                    self.out,
                    "{transport}{messages:>8}{data:>10}{}{}   {}",
                    self.terminal.cyan(&format!("{median:>13}")),
                    self.terminal.dim(&tail),
                    self.terminal.green("ok")
                )?;
            }
            Err(Trouble { what, .. }) => {
                writeln!(self.out, "{transport}  {}  {what}", self.terminal.red("FAILED"))?;
            }
        }
        self.row += 1;
        Ok(())
    }

    /// Ends a pattern.
    pub(super) fn end(&mut self, pattern: Pattern) -> io::Result<()> {
        // On a system with few transports the legend may be longer than the rows.
        while self.terminal.live && self.row <= pattern.legend().len() {
            let left = self.left(pattern);
            if !left.trim().is_empty() {
                writeln!(self.out, "{left}")?;
            }
            self.row += 1;
        }
        writeln!(self.out)
    }

    /// The first column: on a terminal the pattern and its legend, else its name in every row, for
    /// those who search.
    fn left(&self, pattern: Pattern) -> String {
        let text = match self.row {
            0 => pattern.title(),
            _ if !self.terminal.live => pattern.title(),
            row => pattern.legend().get(row - 1).copied().unwrap_or_default(),
        };
        let cell = format!("{text:LEFT$}");
        if self.row == 0 { self.terminal.bold(&cell) } else { self.terminal.dim(&cell) }
    }

    pub(super) fn summary(&mut self, summary: &Summary) -> io::Result<()> {
        let out = &mut self.out;
        let (messages, data) = (grouped(summary.messages), bytes(summary.bytes));
        let took = span(summary.took);
        let score = format!("{} of {}", summary.stops - summary.failed.len(), summary.stops);
        let score = match summary.failed.is_empty() {
            true => self.terminal.green(&score),
            false => self.terminal.red(&score),
        };
        writeln!(out, "{score} worked: {messages} messages, {data}, every byte checked, in {took}.")?;
        for (stop, why) in &summary.failed {
            writeln!(out, "{} {stop}: {why}", self.terminal.red("failed"))?;
        }
        if let Some((stop, median)) = summary.fastest {
            writeln!(out, "Fastest: {stop}, {} there and back.", span(median))?;
        }
        let note = "Round trips: the median of 201, with 64 bytes, between sockets of this process.\n\
                    Between two processes: spanwire perf. As a tool: spanwire cat --help.";
        writeln!(out, "{}", self.terminal.dim(note))
    }
}

/// The tour as a whole.
#[derive(Default)]
pub(super) struct Summary {
    pub(super) stops: usize,
    pub(super) failed: Vec<(Stop, String)>,
    pub(super) messages: u64,
    pub(super) bytes: u64,
    pub(super) took: Duration,
    pub(super) fastest: Option<(Stop, Duration)>,
}

impl Summary {
    pub(super) fn add(&mut self, stop: Stop, result: Result<Figures, Trouble>) {
        self.stops += 1;
        match result {
            Ok(figures) => {
                self.messages += figures.messages;
                self.bytes += figures.bytes;
                // In-process delivery is no journey; the fastest way between programs is of interest.
                let travels = stop.transport != Transport::Inproc;
                if travels && self.fastest.is_none_or(|(_, median)| figures.median < median) {
                    self.fastest = Some((stop, figures.median));
                }
            }
            Err(Trouble { what, detail: None }) => self.failed.push((stop, what)),
            Err(Trouble { what, detail: Some(why) }) => {
                self.failed.push((stop, format!("{what}\n       {why}")))
            }
        }
    }
}
