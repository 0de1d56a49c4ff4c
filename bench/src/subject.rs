//! By what means a workload is done.

use spanwire_bench_ends::{Cell, Mode, Word, Work};

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
    /// NNG, in C.
    Nng,
    /// nanomsg, in C.
    Nanomsg,
    /// libzmq, in C++.
    Zmq,
    /// rzmq, in Rust.
    Rzmq,
    /// zmq.rs, in Rust.
    Zeromq,
    /// zenoh, in Rust.
    Zenoh,
    /// NATS: its server, and async-nats.
    Nats,
    /// yamux of libp2p, in Rust; this and those below are multiplexers.
    Yamux,
    /// tokio-yamux, in Rust.
    TokioYamux,
    /// The streams of HTTP/2, by h2, in Rust.
    H2,
    /// The streams of QUIC, by quinn, in Rust.
    Quinn,
}

/// Every subject, in the order in which they take turns and are printed.
pub(crate) const SUBJECTS: &[Subject] = &[
    Subject::Limit,
    Subject::Async,
    Subject::AsyncThreads,
    Subject::AsyncMany,
    Subject::Blocking,
    Subject::BlockingMany,
    Subject::Nng,
    Subject::Nanomsg,
    Subject::Zmq,
    Subject::Rzmq,
    Subject::Zeromq,
    Subject::Zenoh,
    Subject::Nats,
    Subject::Yamux,
    Subject::TokioYamux,
    Subject::H2,
    Subject::Quinn,
];

impl Word for Subject {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("limit", Self::Limit),
        ("async", Self::Async),
        ("async-threads", Self::AsyncThreads),
        ("async-many", Self::AsyncMany),
        ("blocking", Self::Blocking),
        ("blocking-many", Self::BlockingMany),
        ("nng", Self::Nng),
        ("nanomsg", Self::Nanomsg),
        ("zmq", Self::Zmq),
        ("rzmq", Self::Rzmq),
        ("zeromq", Self::Zeromq),
        ("zenoh", Self::Zenoh),
        ("nats", Self::Nats),
        ("yamux", Self::Yamux),
        ("tokio-yamux", Self::TokioYamux),
        ("h2", Self::H2),
        ("quinn", Self::Quinn),
    ];
}

/// Whose work it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nobody's: the machine's.
    Limit,
    /// Spanwire's.
    Ours,
    /// Another library's.
    Peer,
}

impl Subject {
    /// Whose work it is.
    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::Limit => Kind::Limit,
            Self::Async | Self::AsyncThreads | Self::AsyncMany | Self::Blocking | Self::BlockingMany => {
                Kind::Ours
            }
            _ => Kind::Peer,
        }
    }

    /// Whether the limit or Spanwire can do this; what a peer can it says itself.
    pub(crate) fn suits(self, cell: &Cell) -> bool {
        if let Work::Mux(_) = cell.work {
            return self == Self::Limit || self == Self::Async;
        }
        match self {
            Self::Limit | Self::Async => true,
            Self::Blocking => cell.mode != Mode::Runtime,
            Self::AsyncMany => cell.work == Work::OneWay,
            Self::BlockingMany => cell.work == Work::OneWay && cell.mode != Mode::Runtime,
            Self::AsyncThreads => cell.is_between_processes(),
            _ => false,
        }
    }
}
