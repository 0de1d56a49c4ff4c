//! The workloads: each [`Cell`] is one line of work, and each [`Subject`] one way to do it.

use anyhow::{Context, Result, bail};
use std::fmt;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// One request outstanding: send, wait for the answer, repeat.
    RoundTrip,
    /// One side only sends, the other only receives and counts.
    OneWay,
}

/// Between whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// Two processes, loopback.
    Tcp,
    /// Two processes, unix stream socket.
    Ipc,
    /// One process.
    Inproc,
}

/// Where the two ends run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Pinned to different cores.
    Split,
    /// Pinned to the same core: shows the work without the wake-ups.
    Same,
    /// Wherever the scheduler likes.
    Free,
    /// Inproc only: two tasks of one single-threaded runtime.
    Runtime,
}

/// By what means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// Raw sockets or channels: what the machine can do.
    Limit,
    /// The async API on a single-threaded runtime in each process.
    Async,
    /// The async API on tokio's multi-threaded runtime.
    AsyncThreads,
    /// The async API, `send_many` and `recv_many`; one-way only.
    AsyncMany,
    /// The blocking API.
    Blocking,
    /// The blocking API, `send_many` and `recv_many`; one-way only.
    BlockingMany,
}

/// The subjects this build can measure.
pub(crate) const SUBJECTS: &[Subject] = &[
    Subject::Limit,
    Subject::Async,
    Subject::AsyncThreads,
    Subject::AsyncMany,
    Subject::Blocking,
    Subject::BlockingMany,
];

/// An enum whose values have names on the command line.
pub(crate) trait Word: Copy + PartialEq + 'static {
    /// Every value with its name.
    const WORDS: &'static [(&'static str, Self)];

    fn find(text: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(word, _)| *word == text).map(|(_, value)| *value)
    }

    fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, value)| *value == self).map_or("?", |(word, _)| word)
    }
}

impl Word for Work {
    const WORDS: &'static [(&'static str, Self)] = &[("req", Self::RoundTrip), ("push", Self::OneWay)];
}

impl Word for Transport {
    const WORDS: &'static [(&'static str, Self)] =
        &[("tcp", Self::Tcp), ("ipc", Self::Ipc), ("inproc", Self::Inproc)];
}

impl Word for Mode {
    const WORDS: &'static [(&'static str, Self)] =
        &[("split", Self::Split), ("same", Self::Same), ("free", Self::Free), ("runtime", Self::Runtime)];
}

impl Word for Subject {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("limit", Self::Limit),
        ("async", Self::Async),
        ("async-threads", Self::AsyncThreads),
        ("async-many", Self::AsyncMany),
        ("blocking", Self::Blocking),
        ("blocking-many", Self::BlockingMany),
    ];
}

/// One workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) work: Work,
    pub(crate) transport: Transport,
    pub(crate) body_bytes: usize,
    pub(crate) mode: Mode,
}

impl Cell {
    /// Whether the ends are two processes.
    pub(crate) fn is_between_processes(&self) -> bool {
        self.transport != Transport::Inproc
    }

    /// Whether this kind of work exists in this arrangement.
    fn exists(&self) -> bool {
        self.mode != Mode::Runtime || self.transport == Transport::Inproc
    }

    /// Whether `subject` can do it.
    pub(crate) fn suits(&self, subject: Subject) -> bool {
        match subject {
            Subject::Limit | Subject::Async => true,
            Subject::Blocking => self.mode != Mode::Runtime,
            Subject::AsyncMany => self.work == Work::OneWay,
            Subject::BlockingMany => self.work == Work::OneWay && self.mode != Mode::Runtime,
            Subject::AsyncThreads => self.is_between_processes(),
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (work, transport, mode) = (self.work.word(), self.transport.word(), self.mode.word());
        write!(f, "{work} {transport} {} {mode}", size_word(self.body_bytes))
    }
}

/// Which cells and subjects to run. An empty list means the default of that kind.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    works: Vec<Work>,
    transports: Vec<Transport>,
    bodies: Vec<usize>,
    modes: Vec<Mode>,
    subjects: Vec<Subject>,
}

impl Selection {
    /// Adds comma-separated words, such as `push,tcp,64`. Words of one kind widen the choice, words
    /// of different kinds narrow it.
    pub(crate) fn add(&mut self, words: &str) -> Result<()> {
        for word in words.split(',').filter(|word| !word.is_empty()) {
            if let Some(work) = Work::find(word) {
                self.works.push(work);
            } else if let Some(transport) = Transport::find(word) {
                self.transports.push(transport);
            } else if let Some(mode) = Mode::find(word) {
                self.modes.push(mode);
            } else if let Some(subject) = Subject::find(word) {
                if !SUBJECTS.contains(&subject) {
                    bail!("{word} is not part of this build");
                }
                self.subjects.push(subject);
            } else {
                self.bodies.push(parse_size(word).with_context(|| format!("--only does not know {word:?}"))?);
            }
        }
        Ok(())
    }

    /// Modes to use where none were asked for.
    pub(crate) fn default_modes(&mut self, modes: &[Mode]) {
        if self.modes.is_empty() {
            self.modes = modes.to_vec();
        }
    }

    /// The cells, in the order in which they run.
    pub(crate) fn cells(&self) -> Vec<Cell> {
        let mut cells = Vec::new();
        for work in or(&self.works, &[Work::RoundTrip, Work::OneWay]) {
            for transport in or(&self.transports, &[Transport::Tcp, Transport::Ipc, Transport::Inproc]) {
                let modes: &[Mode] = match transport {
                    Transport::Tcp | Transport::Ipc => &[Mode::Split, Mode::Same],
                    Transport::Inproc => &[Mode::Runtime, Mode::Split],
                };
                for body_bytes in or(&self.bodies, &[64, 1 << 10, 64 << 10, 1 << 20]) {
                    cells.extend(
                        or(&self.modes, modes)
                            .into_iter()
                            .map(|mode| Cell { work, transport, body_bytes, mode })
                            .filter(Cell::exists),
                    );
                }
            }
        }
        cells
    }

    /// The subjects of a cell. The limit comes first and is always there: nothing else has a meaning
    /// without it.
    pub(crate) fn subjects(&self, cell: &Cell) -> Vec<Subject> {
        let wanted = or(&self.subjects, &[Subject::Async, Subject::Blocking]);
        SUBJECTS
            .iter()
            .copied()
            .filter(|subject| *subject == Subject::Limit || wanted.contains(subject))
            .filter(|subject| cell.suits(*subject))
            .collect()
    }
}

/// Prints one cell a line.
pub(crate) fn print(cells: &[Cell]) {
    for cell in cells {
        println!("{cell}");
    }
}

fn or<T: Copy>(chosen: &[T], default: &[T]) -> Vec<T> {
    if chosen.is_empty() { default } else { chosen }.to_vec()
}

/// Reads `64`, `1k`, `1m`.
pub(crate) fn parse_size(text: &str) -> Result<usize> {
    let (digits, shift) = match text.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 10),
        None => text.strip_suffix(['m', 'M']).map_or((text, 0), |digits| (digits, 20)),
    };
    let number: usize = digits.parse()?;
    match number.checked_mul(1 << shift) {
        Some(bytes @ 1..=LARGEST_BODY) => Ok(bytes),
        _ => bail!("a body has 1 byte to {}", size_word(LARGEST_BODY)),
    }
}

/// The limit reads a frame into one buffer of its size; this keeps typing errors cheap.
const LARGEST_BODY: usize = 64 << 20;

/// Writes what [`parse_size`] reads.
pub(crate) fn size_word(bytes: usize) -> String {
    match bytes {
        bytes if bytes % (1 << 20) == 0 => format!("{}m", bytes >> 20),
        bytes if bytes % (1 << 10) == 0 => format!("{}k", bytes >> 10),
        bytes => bytes.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_different_kinds_narrow_the_choice() {
        let mut selection = Selection::default();
        selection.add("push,tcp,64,split").unwrap();
        let cell = Cell { work: Work::OneWay, transport: Transport::Tcp, body_bytes: 64, mode: Mode::Split };
        assert_eq!(selection.cells(), [cell]);
    }

    #[test]
    fn words_of_one_kind_widen_the_choice() {
        let mut selection = Selection::default();
        selection.add("push,tcp,ipc,1k,1m,same").unwrap();
        assert_eq!(selection.cells().len(), 4);
    }

    #[test]
    fn unknown_words_are_refused() {
        assert!(Selection::default().add("pull").is_err());
        assert!(Selection::default().add("0").is_err());
    }

    #[test]
    fn one_runtime_is_for_inproc_alone() {
        let mut selection = Selection::default();
        selection.add("req,64,runtime").unwrap();
        assert_eq!(selection.cells().len(), 1);
    }

    #[test]
    fn sizes_read_back() {
        for bytes in [1, 64, 1 << 10, 64 << 10, 1 << 20] {
            assert_eq!(parse_size(&size_word(bytes)).unwrap(), bytes);
        }
    }
}
