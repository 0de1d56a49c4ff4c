//! [`MuxOptions`]: every bound and every timer of a multiplexed connection.

use core::time::Duration;

/// The options of a multiplexed connection. Change the fields that matter and keep the rest:
///
/// ```
/// use spanwire_core::mux::MuxOptions;
/// let options = MuxOptions { channels: 100, ..MuxOptions::default() };
/// assert_eq!(options.window, 16 * 1024);
/// // What the peer can make us remember, at the very most:
/// assert_eq!(options.memory_bound(), 100 * 16 * 1024 + 32 * 1024 * 1024 + 16 * 1024 * 1024);
/// ```
///
/// Values outside a field's range are moved to the nearest end of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MuxOptions {
    /// Channels that the peer may have open at once. Default 4,096; at least 1. It learns of it and waits. One counts
    /// until it is over *and* the program here has dropped it.
    pub channels: u32,
    /// Of these, channels that the program has not accepted yet; more are refused with
    /// [`Code::BUSY`](crate::mux::Code::BUSY). Default 1,024; at least 1.
    pub backlog: usize,
    /// Bytes that the peer may have sent on each channel and the program has not taken: what every channel
    /// is sure to have, whatever the others do. Default 16 KiB; at least 256 bytes.
    pub window: u32,
    /// Bytes beyond that which all channels share. A channel that is read as fast as it is written to gets more and
    /// more of it, up to half of what the others leave. Default 32 MiB.
    pub shared_window: u64,
    /// The most that one channel gets of it. Default 16 MiB.
    pub max_window: u64,
    /// The longest message that is taken whole; longer ones go as streams. Default 16 MiB; at least 1. The
    /// peer learns of it.
    pub max_message_bytes: u64,
    /// Messages that may wait to be sent on each channel. Default 1,024; at least 1.
    pub send_messages: usize,
    /// Bytes that may wait to be sent on each channel. Default 1 MiB; a single message may always wait.
    pub send_bytes: usize,
    /// Longer messages go in pieces of this size when others have something to send, too. Default 64 KiB; 1 KiB to
    /// 1 MiB.
    pub chunk_bytes: usize,
    /// Bytes that may wait to be handed to the kernel, behind which an urgent message has to wait. Default
    /// 64 KiB; at least 1.
    pub write_buffer_bytes: usize,
    /// How long the thread that serves the connection keeps asking the kernel for more after each read, before it
    /// sleeps. Default 50 us, about what it costs to sleep and to be woken; zero: it sleeps at once. The tasks of
    /// its runtime run meanwhile. It gets shorter, down to nothing, while it is in vain.
    pub spin: Duration,
    /// What becomes of a channel whose id another one has. Default: it is one of its own.
    pub same_id: SameId,
    /// How long the peer may be silent until it is asked whether it is there. Default 10 s; `None` never asks.
    pub keep_alive: Option<Duration>,
    /// How long the peer may be silent until it counts as dead, with `keep_alive`. Default 30 s; moved up to
    /// twice `keep_alive`.
    pub dead_after: Duration,
    /// How long the peer's Hello may take. Default 10 s.
    pub handshake_timeout: Duration,
    /// How long there may be no channel until the connection ends. Default 5 minutes, and zero means that; `None`
    /// never.
    pub idle_timeout: Option<Duration>,
    /// How long a channel may see no message until it is reset. Default: for ever. Zero means 5 minutes.
    pub channel_idle_timeout: Option<Duration>,
}

/// What becomes of a channel that the peer opens with the id of another one that is open.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum SameId {
    /// They share the id, and each is a connection of its own.
    #[default]
    Share,
    /// The second one is refused.
    Refuse,
}

/// The longest piece that fits into a frame.
pub(crate) const MAX_CHUNK_BYTES: usize = 1024 * 1024;

/// For connections and channels on which nothing happens.
pub const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(5 * 60);

impl Default for MuxOptions {
    fn default() -> Self {
        Self {
            channels: 4_096,
            backlog: 1_024,
            window: 16 * 1024,
            shared_window: 32 * 1024 * 1024,
            max_window: 16 * 1024 * 1024,
            max_message_bytes: 16 * 1024 * 1024,
            send_messages: 1_024,
            send_bytes: 1024 * 1024,
            chunk_bytes: 64 * 1024,
            write_buffer_bytes: 64 * 1024,
            spin: Duration::from_micros(50),
            same_id: SameId::Share,
            keep_alive: Some(Duration::from_secs(10)),
            dead_after: Duration::from_secs(30),
            handshake_timeout: Duration::from_secs(10),
            idle_timeout: Some(DEFAULT_IDLE_TIMEOUT),
            channel_idle_timeout: None,
        }
    }
}

impl MuxOptions {
    /// The most that a peer can make us remember, in bytes of messages: a window for each channel, what
    /// they share, and one message that is being put together. Each frame counts 64 bytes beside its own, which is
    /// what it takes to keep it.
    pub fn memory_bound(&self) -> u64 {
        let windows = u64::from(self.channels) * u64::from(self.window);
        windows.saturating_add(self.shared_window).saturating_add(self.max_message_bytes)
    }

    pub(crate) fn clamped(&self) -> Self {
        let default_if_zero = |timeout: Option<Duration>| {
            timeout.map(|timeout| if timeout.is_zero() { DEFAULT_IDLE_TIMEOUT } else { timeout })
        };
        Self {
            channels: self.channels.max(1),
            backlog: self.backlog.max(1),
            window: self.window.max(256),
            max_window: self.max_window.max(self.window.into()),
            max_message_bytes: self.max_message_bytes.max(1),
            send_messages: self.send_messages.max(1),
            chunk_bytes: self.chunk_bytes.clamp(1024, MAX_CHUNK_BYTES),
            write_buffer_bytes: self.write_buffer_bytes.max(1),
            dead_after: self.dead_after.max(self.keep_alive.unwrap_or_default() * 2),
            idle_timeout: default_if_zero(self.idle_timeout),
            channel_idle_timeout: default_if_zero(self.channel_idle_timeout),
            ..self.clone()
        }
    }
}
