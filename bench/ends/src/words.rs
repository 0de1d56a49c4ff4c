//! The words of a workload: what is done, over what, where, and with how many.

use anyhow::{Result, bail};
use std::fmt;

/// What is done. The table in the crate's documentation says who does what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// One request outstanding: send, wait for the answer, repeat.
    RoundTrip,
    /// One side only sends, the other only receives and counts.
    OneWay,
    /// One publisher, many subscribers.
    Publish,
    /// The same while one more subscriber does not read.
    Stall,
    /// Many requests in flight on one connection.
    Flight,
    /// Many senders, each its own connection, and one receiver.
    Pushers,
    /// Many threads that share one sending socket.
    Threads,
    /// Many connections on which nothing happens.
    Idle,
    /// Requests at a given rate, whether answers come or not.
    Load,
    /// Connections made, used for one message, and closed.
    Connect,
    /// Single messages at a rate, beside a bulk sender in the same process.
    Mixed,
    /// A sender that outruns a receiver which does not read.
    Outrun,
    /// Many logical connections on few physical ones.
    Mux(Mux),
}

/// What is done with logical connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mux {
    /// Each echoes, one message of it in flight, all on one physical connection.
    Echo,
    /// One only sends.
    Send,
    /// One only receives.
    Recv,
    /// Several physical connections with one logical one each, which echoes.
    Links,
    /// One echoes small messages while another is full of large ones.
    Mixed,
    /// Many on which nothing happens.
    Idle,
}

/// The word for all of them.
pub const MUX: &str = "mux";

impl Work {
    /// Who counts what arrived and keeps the time.
    pub fn counting_side(self) -> crate::Side {
        match self {
            Self::RoundTrip | Self::Publish | Self::Stall | Self::Flight | Self::Load => crate::Side::Client,
            Self::Mux(Mux::Echo | Mux::Recv | Mux::Links) => crate::Side::Client,
            _ => crate::Side::Server,
        }
    }

    /// Who is told of a job first: the end that waits for the other.
    pub fn waiting_side(self) -> crate::Side {
        match self {
            Self::Publish | Self::Stall | Self::Mux(Mux::Recv) => crate::Side::Client,
            _ => crate::Side::Server,
        }
    }
}

/// Between whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Two processes, loopback.
    Tcp,
    /// Two processes, unix stream socket.
    Ipc,
    /// One process.
    Inproc,
    /// TLS over tcp, with the certificate of [`secure`](crate::secure).
    Tls,
    /// WebSocket.
    Ws,
    /// WebSocket over TLS.
    Wss,
    /// QUIC.
    Quic,
}

/// Where the two ends run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Pinned to different cores.
    Split,
    /// Pinned to the same core: shows the work without the wake-ups.
    Same,
    /// Wherever the scheduler likes.
    Free,
    /// Pinned to different cores, and both ends look for input for a while before they sleep.
    Spin,
    /// Inproc only: two tasks of one single-threaded runtime.
    Runtime,
}

/// An enum whose values have names on the command line.
pub trait Word: Copy + PartialEq + 'static {
    /// Every value with its name.
    const WORDS: &'static [(&'static str, Self)];

    /// The value of that name.
    fn find(text: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(word, _)| *word == text).map(|(_, value)| *value)
    }

    /// Its name.
    fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, value)| *value == self).map_or("?", |(word, _)| word)
    }
}

impl Word for Work {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("req", Self::RoundTrip),
        ("push", Self::OneWay),
        ("pub", Self::Publish),
        ("stall", Self::Stall),
        ("flight", Self::Flight),
        ("pushers", Self::Pushers),
        ("threads", Self::Threads),
        ("idle", Self::Idle),
        ("load", Self::Load),
        ("connect", Self::Connect),
        ("mixed", Self::Mixed),
        ("outrun", Self::Outrun),
        ("mux-echo", Self::Mux(Mux::Echo)),
        ("mux-send", Self::Mux(Mux::Send)),
        ("mux-recv", Self::Mux(Mux::Recv)),
        ("mux-links", Self::Mux(Mux::Links)),
        ("mux-mixed", Self::Mux(Mux::Mixed)),
        ("mux-idle", Self::Mux(Mux::Idle)),
    ];
}

impl Word for Transport {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("tcp", Self::Tcp),
        ("ipc", Self::Ipc),
        ("inproc", Self::Inproc),
        ("tls", Self::Tls),
        ("ws", Self::Ws),
        ("wss", Self::Wss),
        ("quic", Self::Quic),
    ];
}

impl Word for Mode {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("split", Self::Split),
        ("same", Self::Same),
        ("free", Self::Free),
        ("spin", Self::Spin),
        ("runtime", Self::Runtime),
    ];
}

/// One workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// What is done.
    pub work: Work,
    /// Over what.
    pub transport: Transport,
    /// The size of a body.
    pub body_bytes: usize,
    /// Where the ends run.
    pub mode: Mode,
    /// Of subscribers, requests in flight, pushers, threads, connections, logical or not; see the table in the crate's
    /// documentation. 1 where it has no meaning.
    pub many: u32,
}

impl Cell {
    /// Whether the ends are two processes.
    pub fn is_between_processes(&self) -> bool {
        self.transport != Transport::Inproc
    }

    /// The same with another `many`.
    pub fn with_many(self, many: u32) -> Self {
        Self { many, ..self }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.work.word())?;
        match self.work {
            Work::Load => write!(f, " {}%", self.many)?,
            Work::Mixed if self.many == 0 => write!(f, " alone")?,
            _ if self.many > 1 => write!(f, " x{}", self.many)?,
            _ => {}
        }
        write!(f, " {} {} {}", self.transport.word(), size_word(self.body_bytes), self.mode.word())
    }
}

/// Reads `64`, `1k`, `1m`.
pub fn parse_size(text: &str) -> Result<usize> {
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
pub fn size_word(bytes: usize) -> String {
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
    fn sizes_read_back() {
        for bytes in [1, 64, 1 << 10, 64 << 10, 1 << 20] {
            assert_eq!(parse_size(&size_word(bytes)).unwrap(), bytes);
        }
        assert!(parse_size("0").is_err());
    }

    #[test]
    fn every_word_finds_its_value() {
        for (word, work) in Work::WORDS {
            assert_eq!(Work::find(word), Some(*work));
            assert_eq!(work.word(), *word);
        }
    }
}
