//! [`Options`] of a socket: every bound and every timer, with its default; [`mux`] has those of multiplexed
//! connections, which dialers and listeners carry.

pub mod mux;

#[cfg(feature = "ws")]
use alloc::{string::String, vec::Vec};
use core::time::Duration;

/// The options of a socket. Change the fields that matter and keep the rest:
///
/// ```
/// use spanwire_core::Options;
/// use core::time::Duration;
/// let options = Options { resend_time: Some(Duration::from_secs(5)), ..Options::default() };
/// assert_eq!(options.outbox_messages, 1_024);
/// ```
///
/// A socket copies its options when it is made; later changes to the struct do not reach it.
/// Values outside a field's range are moved to the nearest end of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// How long `send` waits for room. Default: none, it waits for ever.
    pub send_timeout: Option<Duration>,
    /// How long `recv` and `request` wait. Default: none, they wait for ever.
    pub recv_timeout: Option<Duration>,
    /// Messages that may wait for one peer, not yet handed to the kernel. Default 1,024; at least 1.
    pub outbox_messages: usize,
    /// Bytes that may wait for one peer, headers included. Default 1 MiB; a single message may
    /// always wait, however large.
    pub outbox_bytes: usize,
    /// PUSH: messages given to a peer ahead of its draining them; the window grows to
    /// `outbox_messages` only while the peer keeps draining. Default 128; at least 1.
    pub push_window_messages: usize,
    /// Messages that may wait for the application in this socket; of a SUB, in each context.
    /// Default 1,024; at least 1. When full, reading stops (back-pressure), except where the
    /// pattern drops (SUB, BUS).
    pub recv_messages: usize,
    /// Bytes that may wait for the application in this socket; of a SUB, in each context; of a
    /// SURVEYOR, for each survey. Default 4 MiB; at least 1. A single message may always wait.
    pub recv_bytes: usize,
    /// The largest message accepted, header included. Default 64 MiB; a larger one closes its
    /// connection. 0 means no limit, as in NNG; memory then still grows only as data arrives.
    pub max_message_bytes: usize,
    /// The time a peer has for its handshake. Default 10 s, as in NNG.
    pub handshake_timeout: Duration,
    /// REP and RESPONDENT: requests that may wait per peer. Default 64; at least 1.
    pub requests_per_pipe: usize,
    /// SURVEYOR: answers that may wait per survey. Default 1,024; at least 1.
    pub answers_per_survey: usize,
    /// REQ: when a request without a reply is sent again, to the next peer. Default 60 s. `None`
    /// or zero switches resending off: a request then fails when its connection is lost.
    pub resend_time: Option<Duration>,
    /// REQ: after how many connections lost in the same way, with the same request in flight, the
    /// request fails instead of being sent again. Default 3; at least 1.
    pub resend_failures: u32,
    /// SURVEYOR: how long answers are taken. Default 1 s.
    pub survey_time: Duration,
    /// How many hops a message may make: the id and the tags of devices counted together. Default
    /// 8; 1 to 15, as in NNG.
    pub hop_limit: u8,
    /// SUB: which message goes when the queue is full. Default: the oldest, as in NNG.
    pub prefer: Prefer,
    /// PUB: what happens when the outbox of a subscriber is full. Default: its oldest message goes.
    pub overflow: Overflow,
    /// How long a dropped socket goes on in the background to get rid of its messages, and how long
    /// the connections of a listener or dialer do that is closed by itself. Default 1 s.
    pub close_deadline: Duration,
    /// How long a receiver that finds no message keeps asking the kernel for one before it waits.
    /// Default: zero, it waits at once. It costs one core for that time, and gets shorter, down to
    /// nothing, while it is in vain. For sockets with one peer, over tcp or ipc.
    pub spin: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            send_timeout: None,
            recv_timeout: None,
            outbox_messages: 1_024,
            outbox_bytes: 1024 * 1024,
            push_window_messages: 128,
            recv_messages: 1_024,
            recv_bytes: 4 * 1024 * 1024,
            max_message_bytes: 64 * 1024 * 1024,
            handshake_timeout: Duration::from_secs(10),
            requests_per_pipe: 64,
            answers_per_survey: 1_024,
            resend_time: Some(Duration::from_secs(60)),
            resend_failures: 3,
            survey_time: Duration::from_secs(1),
            hop_limit: 8,
            prefer: Prefer::Newest,
            overflow: Overflow::DropOldest,
            close_deadline: Duration::from_secs(1),
            spin: Duration::ZERO,
        }
    }
}

impl Options {
    /// The same options with every value inside its range; sockets apply this themselves.
    #[must_use]
    pub fn clamped(mut self) -> Self {
        self.outbox_messages = self.outbox_messages.max(1);
        self.push_window_messages = self.push_window_messages.clamp(1, self.outbox_messages);
        self.recv_messages = self.recv_messages.max(1);
        self.recv_bytes = self.recv_bytes.max(1);
        self.requests_per_pipe = self.requests_per_pipe.max(1);
        self.answers_per_survey = self.answers_per_survey.max(1);
        self.resend_failures = self.resend_failures.max(1);
        self.hop_limit = self.hop_limit.clamp(1, 15);
        self
    }
}

/// Which message of a full SUB queue is given up.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Prefer {
    /// Keep the newest: the oldest waiting message is dropped.
    #[default]
    Newest,
    /// Keep the oldest: the message that just came is dropped.
    Oldest,
}

/// What PUB does when the outbox of a subscriber is full.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// The subscriber loses its oldest waiting message; counted as `SlowSubscriber`.
    #[default]
    DropOldest,
    /// `send` waits until every subscriber has room, but no longer than this; then as `DropOldest`.
    Block(Duration),
    /// The newest message of each topic takes the place of an older one that still waits.
    Conflate(Topic),
}

/// Which part of a message is its topic when messages are conflated.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Topic {
    /// The first so many bytes (the whole message, if it is shorter).
    Bytes(usize),
    /// All up to the first byte of this value (the whole message, if there is none).
    Until(u8),
}

impl Topic {
    /// The topic of a message with this body.
    pub fn of<'a>(&self, body: &'a [u8]) -> &'a [u8] {
        match *self {
            Self::Bytes(count) => &body[..count.min(body.len())],
            Self::Until(end) => {
                let length = body.iter().position(|b| *b == end).unwrap_or(body.len());
                &body[..length]
            }
        }
    }
}

#[cfg(feature = "ws")]
/// Which web pages may connect. A browser says in `Origin` whose page it is that does, and nothing else keeps
/// a foreign page from using a listener that its visitor can reach. Programs send no `Origin`, and are let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// Those of these sites, as in `https://example.org`; an empty list, the default, allows no page at all.
    Listed(Vec<String>),
    /// Those of every site. Only for what the whole world may see.
    Any,
}

#[cfg(feature = "ws")]
impl Default for Origins {
    fn default() -> Self {
        Self::Listed(Vec::new())
    }
}

#[cfg(feature = "ws")]
impl Origins {
    pub(crate) fn allow(&self, origin: &str) -> bool {
        match self {
            Self::Listed(origins) => origins.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin)),
            Self::Any => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_out_of_range_are_moved_to_its_end() {
        let wild = Options {
            outbox_messages: 0,
            push_window_messages: 500,
            hop_limit: 200,
            requests_per_pipe: 0,
            ..Options::default()
        };
        let tame = wild.clamped();
        assert_eq!((tame.outbox_messages, tame.push_window_messages), (1, 1));
        assert_eq!((tame.hop_limit, tame.requests_per_pipe), (15, 1));
    }

    #[test]
    fn a_topic_is_a_prefix() {
        assert_eq!(Topic::Until(b' ').of(b"temp 21"), b"temp");
        assert_eq!(Topic::Until(b' ').of(b"temp"), b"temp");
        assert_eq!(Topic::Bytes(2).of(b"temp"), b"te");
        assert_eq!(Topic::Bytes(9).of(b"temp"), b"temp");
    }

    #[cfg(feature = "ws")]
    #[test]
    fn pages_are_allowed_by_name_only() {
        let none = Origins::default();
        assert!(!none.allow("https://a.example") && !none.allow("null"));
        assert!(Origins::Any.allow("https://a.example"));
        let listed = Origins::Listed(vec!["https://a.example".into()]);
        assert!(listed.allow("https://A.example"));
        for other in
            ["http://a.example", "https://a.example:444", "https://a.example.evil", "https://b.a.example"]
        {
            assert!(!listed.allow(other), "{other}");
        }
    }
}
