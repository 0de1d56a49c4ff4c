//! Any bytes as what a peer of any pattern sends, from the wire to the application.
//!
//! Input: bytes for the pattern and its form, the seed, and the hop limit, then records. A record is
//! a byte of flags, a byte for the length, and the payload.

use bytes::Bytes;
use spanwire_core::framing::sp::Framing;
use spanwire_core::pattern::script::Script;
use spanwire_core::pattern::sequences::Kind;
use spanwire_core::pattern::{CtxId, Member, Nothing, Pattern, Rep, Req, Rules, Sub, Surveyor, Tickets};
use spanwire_core::session::inbox::Inbox;
use spanwire_core::{DetachReason, Dropped, Message, PipeId, Time};

/// Each payload ends where the format says, told from its bytes alone, and only a peer that broke
/// the protocol loses its connection.
///
/// # Panics
///
/// It ends somewhere else.
pub fn payloads(data: &[u8]) {
    let [kind, seed, hop_limit, data @ ..] = data else { return };
    let mut data = data;
    let mut socket = Socket::new(Kind::ALL[usize::from(*kind) % Kind::ALL.len()], *seed, *hop_limit);
    while let [flags, length, rest @ ..] = data {
        let (payload, rest) = rest.split_at(rest.len().min(usize::from(*length % 100)));
        data = rest;
        socket.receive(*flags, payload);
    }
}

/// Where a payload ends.
#[derive(Debug, PartialEq)]
enum End {
    /// The application sees this header and this body.
    Taken(Vec<u8>, Vec<u8>),
    Dropped(Dropped),
    /// As well as the connection.
    Violation(Dropped),
}

/// A rule with one peer, and an application that takes at once whatever comes.
struct Socket {
    kind: Kind,
    rule: Rules,
    hop_limit: u8,
    fx: Script,
    pipe: PipeId,
    inbox: Inbox,
}

impl Socket {
    fn new(kind: Kind, seed: u8, hop_limit: u8) -> Self {
        let mut options = kind.options();
        options.hop_limit = hop_limit;
        let options = options.clamped();
        let mut rule = kind.rule(&options, seed);
        if let Some(rule) = Sub::of(&mut rule) {
            TOPICS.iter().for_each(|topic| rule.subscribe(CtxId::DEFAULT, topic));
        }
        let pipe = PipeId::new(1, 0).expect("not zero");
        let inbox = Inbox::new(Framing::Tcp, 0);
        let mut socket =
            Self { kind, rule, hop_limit: options.hop_limit, fx: Script::default(), pipe, inbox };
        socket.attach();
        socket
    }

    fn attach(&mut self) {
        self.rule.attach(NOW, self.pipe, &mut self.fx).expect("it has no other peer");
        self.inbox = Inbox::new(Framing::Tcp, 0);
    }

    fn receive(&mut self, flags: u8, payload: &[u8]) {
        // Some answers are to what was asked.
        let id = self.ask();
        let payload = match id {
            Some(id) if flags & 1 > 0 => [&id.to_be_bytes(), payload].concat(),
            _ => payload.to_vec(),
        };
        let message = match flags >> 1 {
            0 => self.over_the_wire(&payload),
            // In the process nobody joins header and body before the rule does.
            split => {
                let (header, body) = payload.split_at(payload.len().min(usize::from(split)));
                Message::with_header(header, body.to_vec())
            }
        };
        assert!(!self.rule.room(self.pipe).is_none(), "nothing waits");
        self.fx = Script::default();
        self.rule.recv(NOW, self.pipe, message.received(self.pipe, NOW), &mut self.fx);
        self.rule.check_invariants();
        let expected = self.end(&payload, id);
        assert_eq!(self.found(payload.len()), expected, "{:?} and {payload:?}", self.kind);
    }

    fn over_the_wire(&mut self, payload: &[u8]) -> Message {
        let prefix = Framing::Tcp.encode_prefix(payload.len() as u64);
        let prefix = &prefix[..Framing::Tcp.prefix_bytes()];
        self.inbox.feed(Bytes::from([prefix, payload].concat()));
        let body = self.inbox.next().expect("a good frame").expect("a whole one");
        assert!(self.inbox.at_boundary());
        body.into()
    }

    /// A new question, for what takes only answers. Returns its id.
    fn ask(&mut self) -> Option<u32> {
        if !matches!(self.kind, Kind::Req | Kind::ReqOnce | Kind::Surveyor) {
            return None;
        }
        self.fx.sent.clear();
        self.rule.send(NOW, CtxId::DEFAULT, "?".into(), &mut self.fx).expect("there is room");
        self.rule.drained(NOW, self.pipe, 1, self.fx.sent[0].1.len(), &mut self.fx);
        let request = Req::of(&mut self.rule).map(|rule| rule.ticket(CtxId::DEFAULT));
        request.or_else(|| Surveyor::of(&mut self.rule).map(|rule| rule.ticket(CtxId::DEFAULT)))
    }

    /// Where `payload` has to end, read off the formats' descriptions.
    fn end(&self, payload: &[u8], asked: Option<u32>) -> End {
        let malformed = End::Violation(Dropped::Malformed);
        let pipe = self.pipe.get().to_be_bytes().to_vec();
        let first = payload.first_chunk().map(|tag| u32::from_be_bytes(*tag));
        match self.kind {
            Kind::Pair0 | Kind::Pull | Kind::Bus | Kind::RawSub => End::Taken(vec![], payload.to_vec()),
            Kind::RawBus => End::Taken(pipe, payload.to_vec()),
            Kind::Push => End::Dropped(Dropped::Unexpected),
            Kind::PubDropping | Kind::PubBlocking | Kind::PubConflating => {
                End::Violation(Dropped::Unexpected)
            }
            Kind::SubNewest | Kind::SubOldest => {
                match TOPICS.iter().any(|topic| payload.starts_with(topic)) {
                    true => End::Taken(vec![], payload.to_vec()),
                    false => End::Dropped(Dropped::NotSubscribed),
                }
            }
            Kind::Pair1 | Kind::Poly | Kind::RawPair1 => match first {
                None | Some(0x100..) => malformed,
                Some(hops) if hops > u32::from(self.hop_limit) => End::Dropped(Dropped::HopLimit),
                Some(_) => {
                    let (header, body) = payload.split_at(4);
                    let header = if self.kind == Kind::RawPair1 { header } else { &[] };
                    End::Taken(header.to_vec(), body.to_vec())
                }
            },
            Kind::Req | Kind::ReqOnce | Kind::Surveyor => match first {
                None => malformed,
                Some(id) if Some(id) == asked => End::Taken(vec![], payload[4..].to_vec()),
                Some(_) => End::Dropped(Dropped::NoRequest),
            },
            Kind::Rep => backtrace(payload, self.hop_limit, &[]),
            Kind::RawRep => backtrace(payload, self.hop_limit, &pipe),
            Kind::RawReq | Kind::RawSurveyor => backtrace(payload, 16, &[]),
        }
    }

    /// Where it has ended. One that broke the protocol is followed by another peer.
    fn found(&mut self, payload_bytes: usize) -> End {
        let readable = self.rule.readable(CtxId::DEFAULT);
        let taken = match Rep::of(&mut self.rule) {
            // Not by a context, which would miss its reply to the request before.
            Some(rule) => rule.take_request(NOW, &mut self.fx),
            None => self.rule.take(NOW, CtxId::DEFAULT, &mut self.fx),
        };
        let dropped = std::mem::take(&mut self.fx.dropped);
        let closed = std::mem::take(&mut self.fx.closed);
        if let Ok(message) = taken {
            assert!(readable && dropped.is_empty() && closed.is_empty());
            assert_eq!(self.fx.readable, [(CtxId::DEFAULT, 1)]);
            assert_eq!(message.pipe(), Some(self.pipe));
            return End::Taken(message.header().as_slice().to_vec(), message.body().to_vec());
        }
        assert!(!readable && matches!(taken, Err(Nothing::Yet | Nothing::Asked)));
        let [(why, Some(pipe), bytes)] = dropped[..] else { panic!("dropped {dropped:?}") };
        assert_eq!((pipe, bytes), (self.pipe, payload_bytes));
        match closed[..] {
            [] => End::Dropped(why),
            [(pipe, DetachReason::ProtocolViolation)] if pipe == self.pipe => {
                self.rule.detach(NOW, pipe, DetachReason::ProtocolViolation, vec![], &mut self.fx);
                self.pipe = PipeId::new(pipe.get() + 1, 0).expect("counted from 1");
                self.attach();
                End::Violation(why)
            }
            _ => panic!("closed {closed:?}"),
        }
    }
}

/// At most `most` tags, of which the last, and none before, has its top bit set.
fn backtrace(payload: &[u8], most: u8, in_front: &[u8]) -> End {
    for hop in 0..usize::from(most) {
        let Some(tag) = payload.get(4 * hop..4 * hop + 4) else {
            return End::Violation(Dropped::Malformed);
        };
        if tag[0] & 0x80 > 0 {
            let (header, body) = payload.split_at(4 * hop + 4);
            return End::Taken([in_front, header].concat(), body.to_vec());
        }
    }
    End::Dropped(Dropped::HopLimit)
}

const TOPICS: [&[u8]; 3] = [b"a", b"ab1", b"\0\0"];
const NOW: Time = Time::from_nanos(1);
