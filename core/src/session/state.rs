//! [`Session`]: the life of one connection, as an explicit state machine.

use crate::event::DetachReason;
use crate::framing::sp::{HANDSHAKE_BYTES, HandshakeError, Protocol};
use crate::time::Time;

/// Where a connection is in its life.
///
/// ```text
///              8 good bytes            accepted
///  Handshaking ────────────▶ Attaching ────────▶ Attached ──────────────┐
///      │                         │                  │ close            │ the peer ended, the
///      │ bad bytes, EOF,         │ refused          ▼                  │ connection broke, or
///      │ deadline, evicted       │               Draining ────────────▶│ the peer broke the rules
///      │                         │                  │ all written      │
///      │                         │                  ▼                  │
///      │                         │               HalfClosed ──────────▶│ or the deadline passed
///      ▼                         ▼                                     ▼
///    Closed(why) ◀──────────────────────────────────────────────────────
/// ```
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Our header is on its way, the peer's is not complete.
    Handshaking,
    /// The headers fit; filter and pattern have to agree.
    Attaching,
    /// A pipe of its socket.
    Attached,
    /// Closing from our side; what waits is still written.
    Draining,
    /// All is written and our end of the stream is shut; the peer's end is awaited.
    HalfClosed,
    /// Over.
    Closed(DetachReason),
}

/// What happens to a connection.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The filter and the pattern took the pipe.
    Accepted,
    /// One of them did not.
    Refused(DetachReason),
    /// We want it to end, once everything is written.
    Close,
    /// Nothing waits to be written any more.
    Flushed,
    /// The peer shut its end, between two messages or inside one.
    PeerEnded {
        /// Whether it was between two.
        at_boundary: bool,
    },
    /// Reading or writing failed, or the peer broke the protocol.
    Failed(DetachReason),
    /// The deadline of [`Session::deadline`] passed.
    Expired,
}

/// What the driver has to do after an input.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing new.
    Stay,
    /// Ask the filter and the pattern, then come back with `Accepted` or `Refused`.
    Attach,
    /// Shut our end of the stream, and read on until the peer's end.
    ShutDownWrite,
    /// Drop the connection; it was attached if `detach` is set.
    Drop {
        /// Whether the pattern has to hear of it.
        detach: bool,
    },
}

/// The state of a connection, and its handshake as far as it has come.
#[derive(Debug)]
pub struct Session {
    state: State,
    protocol: Protocol,
    received: [u8; HANDSHAKE_BYTES],
    received_len: usize,
    deadline: Option<Time>,
}

impl Session {
    /// A connection of a `protocol` socket, just made; the peer has until `deadline`.
    pub fn new(protocol: Protocol, deadline: Time) -> Self {
        Self {
            state: State::Handshaking,
            protocol,
            received: [0; HANDSHAKE_BYTES],
            received_len: 0,
            deadline: Some(deadline),
        }
    }

    /// The same where both sides have agreed on their protocols already, as in the opening handshake of
    /// a WebSocket: there are no headers.
    pub fn agreed(protocol: Protocol, deadline: Time) -> Self {
        let received = protocol.peer().handshake();
        let received_len = received.len();
        Self { state: State::Attaching, protocol, received, received_len, deadline: Some(deadline) }
    }

    /// The header to send: at once, without waiting for the peer's (nanomsg allows 1 s for it).
    pub fn greeting(&self) -> [u8; HANDSHAKE_BYTES] {
        self.protocol.handshake()
    }

    /// Where the connection is in its life.
    pub fn state(&self) -> State {
        self.state
    }

    /// When [`Input::Expired`] is due.
    pub fn deadline(&self) -> Option<Time> {
        self.deadline
    }

    /// How many bytes the handshake still lacks; never read more than that before it is done.
    pub fn handshake_missing(&self) -> usize {
        HANDSHAKE_BYTES - self.received_len
    }

    /// Bytes of the peer's header. At most [`handshake_missing`](Self::handshake_missing) are used.
    ///
    /// The header is judged when it is complete, and not before: everybody sends their own first,
    /// and a peer that is refused should have had ours (spec 2.1).
    pub fn handshake(&mut self, bytes: &[u8]) -> Step {
        if self.state != State::Handshaking {
            return Step::Stay;
        }
        let used = bytes.len().min(self.handshake_missing());
        self.received[self.received_len..][..used].copy_from_slice(&bytes[..used]);
        self.received_len += used;
        if self.handshake_missing() > 0 {
            return Step::Stay;
        }
        match self.protocol.check(&self.received) {
            Ok(()) => {
                self.state = State::Attaching;
                Step::Attach
            }
            Err(HandshakeError::NotSp) => self.end(DetachReason::BadHandshake),
            Err(HandshakeError::WrongProtocol { .. }) => self.end(DetachReason::WrongProtocol),
        }
    }

    /// The number of the peer's protocol, once its header is complete.
    pub fn peer_protocol_id(&self) -> Option<u16> {
        (self.handshake_missing() == 0).then(|| u16::from_be_bytes([self.received[4], self.received[5]]))
    }

    /// Something happened. `close_deadline` is when a closing connection is dropped at the latest.
    pub fn input(&mut self, input: Input, close_deadline: Time) -> Step {
        use State::{Attached, Attaching, Closed, Draining, HalfClosed, Handshaking};
        match (self.state, input) {
            (Attaching, Input::Accepted) => {
                self.state = Attached;
                self.deadline = None;
                Step::Stay
            }
            (Attaching, Input::Refused(why)) => self.end(why),
            (Handshaking | Attaching, Input::Close) => self.end(DetachReason::ClosedHere),
            (Attached, Input::Close) => {
                self.state = Draining;
                self.deadline = Some(close_deadline);
                Step::Stay
            }
            (Draining | HalfClosed, Input::Close) => {
                // A second, more impatient close may only bring the end nearer.
                self.deadline = self.deadline.min(Some(close_deadline));
                Step::Stay
            }
            (Draining, Input::Flushed) => {
                self.state = HalfClosed;
                Step::ShutDownWrite
            }
            (Handshaking, Input::PeerEnded { .. }) => self.end(DetachReason::PeerClosed),
            (HalfClosed, Input::PeerEnded { .. }) => self.end(DetachReason::ClosedHere),
            (_, Input::PeerEnded { at_boundary: true }) => self.end(DetachReason::PeerClosed),
            (_, Input::PeerEnded { at_boundary: false }) => self.end(DetachReason::ConnectionLost),
            (Handshaking | Attaching, Input::Expired) => self.end(DetachReason::HandshakeTimeout),
            (Draining | HalfClosed, Input::Expired) => self.end(DetachReason::ClosedHere),
            (_, Input::Failed(why)) => self.end(why),
            (Closed(_), _)
            | (Attached, Input::Expired | Input::Flushed)
            | (Handshaking | Attaching | HalfClosed, Input::Flushed)
            | (Handshaking | Attached | Draining | HalfClosed, Input::Accepted | Input::Refused(_)) => {
                Step::Stay
            }
        }
    }

    fn end(&mut self, why: DetachReason) -> Step {
        let detach = match self.state {
            State::Attached | State::Draining | State::HalfClosed => true,
            State::Handshaking | State::Attaching => false,
            State::Closed(_) => return Step::Stay,
        };
        self.state = State::Closed(why);
        self.deadline = None;
        Step::Drop { detach }
    }

    /// Panics when state, handshake and deadline do not fit together.
    pub fn check_invariants(&self) {
        assert!(self.received_len <= HANDSHAKE_BYTES, "more than a handshake");
        match self.state {
            State::Handshaking => assert!(self.handshake_missing() > 0, "a whole handshake is judged"),
            State::Attaching | State::Attached | State::Draining | State::HalfClosed => {
                assert_eq!(self.handshake_missing(), 0, "attached without a handshake");
            }
            State::Closed(_) => {}
        }
        // An attached pipe may be quiet for ever, and a closed one waits for nothing.
        let timeless = matches!(self.state, State::Attached | State::Closed(_));
        assert_eq!(self.deadline.is_none(), timeless, "deadline in {:?}", self.state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    const DEADLINE: Time = Time::from_nanos(10);
    const LATER: Time = Time::from_nanos(20);

    fn attached() -> Session {
        let mut session = Session::new(Protocol::Req, DEADLINE);
        assert_eq!(session.handshake(&Protocol::Rep.handshake()), Step::Attach);
        assert_eq!(session.input(Input::Accepted, LATER), Step::Stay);
        session
    }

    #[test]
    fn what_is_agreed_already_needs_no_header() {
        let mut session = Session::agreed(Protocol::Req, DEADLINE);
        session.check_invariants();
        assert_eq!((session.state(), session.handshake_missing()), (State::Attaching, 0));
        assert_eq!(session.peer_protocol_id(), Some(Protocol::Rep.id()));
        assert_eq!(session.input(Input::Accepted, LATER), Step::Stay);
        assert_eq!(session.state(), State::Attached);
    }

    #[test]
    fn a_handshake_may_come_byte_by_byte() {
        let mut session = Session::new(Protocol::Req, DEADLINE);
        let header = Protocol::Rep.handshake();
        for byte in &header[..7] {
            assert_eq!(session.handshake(&[*byte]), Step::Stay);
        }
        assert_eq!(session.handshake(&header[7..]), Step::Attach);
        assert_eq!(session.state(), State::Attaching);
    }

    #[test]
    fn a_handshake_that_is_late_or_wrong_ends_it() {
        let mut session = Session::new(Protocol::Req, DEADLINE);
        assert_eq!(session.deadline(), Some(DEADLINE));
        assert_eq!(session.input(Input::Expired, LATER), Step::Drop { detach: false });
        assert_eq!(session.state(), State::Closed(DetachReason::HandshakeTimeout));

        let mut session = Session::new(Protocol::Req, DEADLINE);
        session.handshake(&Protocol::Pub.handshake());
        assert_eq!(session.state(), State::Closed(DetachReason::WrongProtocol));
        assert_eq!(session.peer_protocol_id(), Some(0x20));

        let mut session = Session::new(Protocol::Req, DEADLINE);
        session.handshake(b"GET / HT");
        assert_eq!(session.state(), State::Closed(DetachReason::BadHandshake));
    }

    #[test]
    fn closing_drains_then_waits_for_the_peer() {
        let mut session = attached();
        assert_eq!(session.deadline(), None);
        assert_eq!(session.input(Input::Close, LATER), Step::Stay);
        assert_eq!((session.state(), session.deadline()), (State::Draining, Some(LATER)));
        assert_eq!(session.input(Input::Flushed, LATER), Step::ShutDownWrite);
        let end = session.input(Input::PeerEnded { at_boundary: true }, LATER);
        assert_eq!(end, Step::Drop { detach: true });
        assert_eq!(session.state(), State::Closed(DetachReason::ClosedHere));
    }

    #[test]
    fn a_closing_connection_never_outlives_its_deadline() {
        for flushed in [false, true] {
            let mut session = attached();
            session.input(Input::Close, LATER);
            if flushed {
                session.input(Input::Flushed, LATER);
            }
            assert_eq!(session.input(Input::Close, DEADLINE), Step::Stay);
            assert_eq!(session.deadline(), Some(DEADLINE), "only ever nearer");
            assert_eq!(session.input(Input::Expired, LATER), Step::Drop { detach: true });
        }
    }

    #[test]
    fn an_end_inside_a_message_is_a_loss() {
        let mut session = attached();
        session.input(Input::PeerEnded { at_boundary: false }, LATER);
        assert_eq!(session.state(), State::Closed(DetachReason::ConnectionLost));
    }

    proptest! {
        /// Whatever comes in whatever order: it attaches at most once, detaches exactly when it had
        /// attached, and stays closed.
        #[test]
        fn every_life_is_told_once(
            inputs in prop::collection::vec(prop_oneof![
                Just(Input::Accepted), Just(Input::Refused(DetachReason::Filtered)), Just(Input::Close),
                Just(Input::Flushed), Just(Input::PeerEnded { at_boundary: true }),
                Just(Input::Failed(DetachReason::ConnectionLost)), Just(Input::Expired),
            ], 0..20),
            handshake_at in 0_usize..20,
        ) {
            let mut session = Session::new(Protocol::Bus, DEADLINE);
            let (mut attaches, mut accepted, mut drops, mut detaches) = (0, false, 0, 0);
            for (at, input) in inputs.into_iter().enumerate() {
                let mut steps = Vec::new();
                if at == handshake_at {
                    steps.push(session.handshake(&Protocol::Bus.handshake()));
                }
                accepted |= session.state() == State::Attaching && input == Input::Accepted;
                steps.push(session.input(input, LATER));
                for step in steps {
                    match step {
                        Step::Attach => attaches += 1,
                        Step::Drop { detach } => { drops += 1; detaches += usize::from(detach); }
                        Step::Stay | Step::ShutDownWrite => {}
                    }
                }
            }
            prop_assert!(attaches <= 1 && drops <= 1);
            prop_assert_eq!(detaches == 1, drops == 1 && accepted);
            prop_assert_eq!(drops == 1, matches!(session.state(), State::Closed(_)));
        }
    }
}
