//! The handshake and the end. The states are drawn above [`State`].

use super::told::{Changes, Frame};
use super::{End, Link, Role, State};
use crate::framing::link::{Control, Head, Hello, HelloError, Kind, LinkError, Reason, Versions};
use crate::link::calls::Asked;
use crate::link::credit::Allowance;
use crate::message::{Header, Message};
use crate::time::Time;
use alloc::string::{String, ToString};
use bytes::Bytes;

use super::sending::Item;

impl Link {
    pub(super) fn hello_frame(&self) -> Frame {
        let head = Header::new(&Head::session(Kind::Hello).encode());
        Frame { message: Message::with_header(head, self.said.0.clone()), ends: false }
    }

    pub(super) fn greeted(&mut self, mut frame: Bytes) -> Result<(), LinkError> {
        let not_a_link = LinkError::Hello(HelloError::NotALink);
        let head = Head::decode(&mut frame).map_err(|_| not_a_link.clone())?;
        if head == Head::session(Kind::Refuse) && self.role == Role::Dialer {
            let Control::Refuse { reason, text } = Control::decode(head, frame)? else {
                return Err(not_a_link);
            };
            self.finish(End::RefusedByPeer { reason, text });
            return Ok(());
        }
        if head != Head::session(Kind::Hello) {
            return Err(not_a_link);
        }
        let hello = Hello::decode(frame.clone())?;
        if hello.instance == self.ours.instance {
            self.refuse(Reason::Myself, "");
            return Ok(());
        }
        self.said.1 = Bytes::copy_from_slice(&frame);
        self.allowance = Allowance::new(hello.window_messages, hello.window_bytes);
        self.theirs = Some(hello);
        self.enter(State::Judging { ack: false });
        Ok(())
    }

    /// The peer is fine so far. `proof` goes into our Ack.
    pub fn go_on(&mut self, proof: Bytes, now: Time) {
        match (&self.state, self.role) {
            (State::Judging { ack: false }, Role::Dialer) => {
                self.enter(State::Confirming);
                self.control.push_back(Control::Ack { proof });
            }
            (State::Judging { ack: false }, Role::Acceptor) => {
                self.enter(State::Confirming);
                self.hello_due = true;
            }
            (State::Judging { ack: true }, role) => {
                if role == Role::Acceptor {
                    self.control.push_back(Control::Ack { proof });
                }
                self.said = (Bytes::new(), Bytes::new());
                self.pulse.heard(now);
                self.changes.room = true;
                self.enter(State::Open);
            }
            _ => {}
        }
    }

    /// The peer is not wanted, or no longer.
    pub fn refuse(&mut self, reason: Reason, text: &str) {
        self.dismiss(End::RefusedHere { reason }, reason, text);
    }

    /// The program closes it. What waits is sent until the deadline.
    pub fn close(&mut self, until: Time) {
        match self.state {
            State::Open => {
                self.held_until = None;
                self.enter(State::Draining { until });
                self.part_if_drained();
            }
            State::Draining { until: other } => self.state = State::Draining { until: until.min(other) },
            State::Greeting | State::Judging { .. } | State::Confirming => {
                self.dismiss(End::ClosedHere, Reason::Closing, "");
            }
            State::Over(_) => {}
        }
    }

    /// The connection is gone.
    pub fn lost(&mut self, end: End) {
        if !matches!(self.state, State::Over(_)) {
            self.finish(end);
        }
        self.abandon();
    }

    /// Bytes that are no frame have come.
    pub fn violated(&mut self, error: LinkError) {
        // Who begins with a length like this has never heard of us.
        let error = match (&self.state, error) {
            (State::Greeting, LinkError::TooLarge { .. }) => LinkError::Hello(HelloError::NotALink),
            (_, error) => error,
        };
        let reason = match error {
            LinkError::Hello(HelloError::Version { .. }) => Reason::Version,
            LinkError::TooLarge { .. } => Reason::TooLarge,
            _ => Reason::Malformed,
        };
        let text = match &error {
            // Said so that both read it rightly.
            LinkError::Hello(HelloError::Version { theirs }) => {
                alloc::format!("spoken here: {}; asked for: {theirs}", Versions::OURS)
            }
            error => error.to_string(),
        };
        self.dismiss(End::Violation(error), reason, &text);
    }

    /// Says why, and is over.
    pub(super) fn dismiss(&mut self, end: End, reason: Reason, text: &str) {
        let text = String::from(text);
        let last = match self.state {
            State::Over(_) => return,
            State::Greeting | State::Judging { .. } | State::Confirming => Control::Refuse { reason, text },
            State::Open | State::Draining { .. } => {
                // A program that closes takes no more of what waits for it.
                let untaken = match end {
                    End::ClosedHere => (self.received.len() + self.asked.waiting()) as u64,
                    _ => 0,
                };
                let received = self.stats.received_messages - untaken;
                self.stats.discarded_messages += untaken;
                Control::Goodbye { reason, received, text }
            }
        };
        self.control.push_back(last);
        self.finish(end);
    }

    pub(super) fn finish(&mut self, end: End) {
        if end.cuts() {
            self.control.clear();
            self.hello_due = false;
        }
        if end == End::ClosedHere {
            self.received.clear();
            self.asked = Asked::default();
        }
        self.enter(State::Over(end));
        self.abandon();
        self.gather.cut();
        let everything = Changes {
            messages: true,
            requests: true,
            streams: true,
            answers: true,
            room: true,
            state: true,
            metadata: true,
        };
        self.changes = everything;
    }

    /// What waits will never be sent.
    pub(super) fn abandon(&mut self) {
        let lanes = &mut self.lanes;
        self.abandoned += lanes.drain().filter(|item| !matches!(item, Item::Stream(_))).count() as u64;
    }

    pub(super) fn enter(&mut self, state: State) {
        self.state = state;
        self.changes.state = true;
    }

    /// The peer says goodbye.
    pub(super) fn parted(&mut self, reason: Reason, received: u64, text: String) {
        self.confirmed = Some(received);
        match self.state {
            State::Draining { .. } => {
                self.abandon();
                self.part_if_drained();
            }
            _ => {
                let answer = Control::Goodbye {
                    reason: Reason::Closing,
                    received: self.stats.received_messages,
                    text: String::new(),
                };
                self.control.push_back(answer);
                self.finish(End::ClosedByPeer { reason, text });
            }
        }
    }

    /// Says goodbye once all that waited is on its way.
    pub(super) fn part_if_drained(&mut self) {
        if matches!(self.state, State::Draining { .. }) && self.lanes.is_empty() {
            self.dismiss(End::ClosedHere, Reason::Closing, "");
        }
    }
}
