//! [`LinkOptions`]: every bound and every timer of a plain connection.

use crate::framing::link::MAX_WHOLE_BYTES;
use core::time::Duration;

/// The options of plain connections, of their dialers and of their servers. Change the fields that matter
/// and keep the rest:
///
/// ```
/// use spanwire_core::link::LinkOptions;
/// use core::time::Duration;
/// let options = LinkOptions { keep_alive: Some(Duration::from_secs(2)), ..LinkOptions::default() };
/// assert_eq!(options.recv_messages, 1_024);
/// ```
///
/// Values outside a field's range are moved to the nearest end of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkOptions {
    /// Messages that may wait in each priority to be sent. Default 1,024; at least 1.
    pub send_messages: usize,
    /// Bytes that may wait in each priority to be sent. Default 1 MiB; a single message may always wait.
    pub send_bytes: usize,
    /// Messages that the peer may have sent and the program has not taken. Default 1,024; at least 1. The
    /// peer learns of it in our Hello, and waits.
    pub recv_messages: u32,
    /// Bytes of them. Default 4 MiB; a single message may always be on its way.
    pub recv_bytes: u32,
    /// The largest message that is accepted and kept in one piece. Default 64 MiB; at least 1. The peer
    /// learns of it in our Hello, and refuses to send larger ones but as streams.
    pub max_message_bytes: u64,
    /// Larger messages go in pieces of this size, so that more urgent ones come between. Default 64 KiB;
    /// 1 KiB to almost 1 MiB.
    pub chunk_bytes: usize,
    /// Bytes that may wait to be handed to the kernel, behind which an urgent message has to wait. Default
    /// 64 KiB; at least 1.
    pub write_buffer_bytes: usize,
    /// How long a small write may wait for others to go with it. Default zero: nothing waits longer than
    /// the one who writes is busy. In steps of the runtime's timers (1 ms), and only while fewer than
    /// `write_buffer_bytes` wait.
    pub linger: Duration,
    /// Streamed messages that may be on their way to us at once. Default 16.
    pub streams: u16,
    /// Bytes of each of them that the program has not taken. Default 256 KiB; at least 1.
    pub stream_bytes: u32,
    /// Requests of the peer that may wait for a handler or be in its hands; more are answered with
    /// `Busy`. Default 64; at least 1.
    pub requests: usize,
    /// Requests of ours that may wait for their answers. Default 1,024; at least 1.
    pub calls: usize,
    /// How long the peer may be silent until it is asked whether it is there. Default 10 s; `None` never
    /// asks.
    pub keep_alive: Option<Duration>,
    /// How long the peer may be silent until it counts as dead, with `keep_alive`. Default 30 s; moved up to
    /// twice `keep_alive`.
    pub dead_after: Duration,
    /// How long the whole handshake may take. Default 10 s.
    pub handshake_timeout: Duration,
    /// Messages a second that a peer may send on average, over all of its connections; a second's worth may come
    /// at once. Requests and answers count, too. A peer is a logical host where a hook judges proofs, else an
    /// IP address, or a user over unix sockets; all that has neither is one peer. Default: any number.
    pub messages_per_second: Option<u32>,
    /// The same in bytes of messages, those of streams included. Default: any number.
    pub bytes_per_second: Option<u64>,
    /// What happens to a peer that is faster. Default: it is slowed down.
    pub too_fast: TooFast,
    /// Pings, updates and other messages about the connection itself that a peer may send each second, on each of
    /// its connections.
    /// Default 1,000; at least 10. A peer that sends more is dismissed.
    pub controls_per_second: u32,
    /// How long a connection of which all handles are dropped goes on in the background to get rid of its
    /// messages. Default 1 s.
    pub close_deadline: Duration,
}

/// What happens to a peer that sends more than its rate.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum TooFast {
    /// It gets new credit at the rate that it may send at, and waits.
    #[default]
    Slow,
    /// The connection that goes beyond it ends. Bursts of a second's worth are allowed.
    Dismiss,
}

impl Default for LinkOptions {
    fn default() -> Self {
        Self {
            send_messages: 1_024,
            send_bytes: 1024 * 1024,
            recv_messages: 1_024,
            recv_bytes: 4 * 1024 * 1024,
            max_message_bytes: 64 * 1024 * 1024,
            chunk_bytes: 64 * 1024,
            write_buffer_bytes: 64 * 1024,
            linger: Duration::ZERO,
            streams: 16,
            stream_bytes: 256 * 1024,
            requests: 64,
            calls: 1_024,
            keep_alive: Some(Duration::from_secs(10)),
            dead_after: Duration::from_secs(30),
            handshake_timeout: Duration::from_secs(10),
            messages_per_second: None,
            bytes_per_second: None,
            too_fast: TooFast::Slow,
            controls_per_second: 1_000,
            close_deadline: Duration::from_secs(1),
        }
    }
}

impl LinkOptions {
    /// The same with every value inside its range; links apply this themselves.
    #[must_use]
    pub fn clamped(mut self) -> Self {
        self.send_messages = self.send_messages.max(1);
        self.recv_messages = self.recv_messages.max(1);
        self.max_message_bytes = self.max_message_bytes.max(1);
        self.chunk_bytes = self.chunk_bytes.clamp(1024, MAX_WHOLE_BYTES);
        self.write_buffer_bytes = self.write_buffer_bytes.max(1);
        self.stream_bytes = self.stream_bytes.max(1);
        self.requests = self.requests.max(1);
        self.calls = self.calls.max(1);
        self.controls_per_second = self.controls_per_second.max(10);
        self.messages_per_second = self.messages_per_second.map(|rate| rate.max(1));
        self.bytes_per_second = self.bytes_per_second.map(|rate| rate.max(1));
        if let Some(keep_alive) = self.keep_alive {
            self.dead_after = self.dead_after.max(keep_alive.saturating_mul(2));
        }
        self
    }
}
