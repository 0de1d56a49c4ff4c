//! PAIR v1 (0011): one peer or many, both ways, with a hop count. Spec 5.4.

use super::duplex::{Duplex, Peers};
use super::{CtxId, Effects, Held, Nothing, Pattern, Refusal, Room};
use crate::event::{DetachReason, Dropped};
use crate::message::{Header, Message, PipeId};
use crate::options::Options;
use crate::time::Time;
use alloc::vec::Vec;

/// One end of a pair whose messages count their hops.
///
/// ```text
/// header: 00 00 00 hops      1 on the first hop; mangos starts at 0, so 0 is accepted
/// ```
#[derive(Debug)]
pub struct Pair1 {
    duplex: Duplex,
    form: Form,
    hop_limit: u32,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Form {
    /// One peer, no header towards the application.
    Cooked,
    /// Many peers, no header towards the application.
    Poly,
    /// One peer, the application sees the header.
    Raw,
}

/// The hop count of a message that has come from no device.
const FIRST_HOP: u32 = 1;

/// The header counts in its last byte; more than this breaks the protocol.
const MOST_HOPS: u32 = 0xff;

/// Bytes of the hop count.
const HEADER_BYTES: usize = 4;

impl Pair1 {
    /// A PAIR that has one peer at a time.
    pub fn new(options: &Options) -> Self {
        Self::with_form(options, Form::Cooked)
    }

    /// A polyamorous PAIR. Received messages carry their pipe; a message goes to the pipe it is
    /// addressed to, else to the oldest one. Nothing on the wire shows the difference.
    pub fn poly(options: &Options) -> Self {
        Self::with_form(options, Form::Poly)
    }

    /// A raw PAIR of one peer, for devices: the header is shown as it came and has to be four bytes
    /// to be sent, one hop more.
    pub fn raw(options: &Options) -> Self {
        Self::with_form(options, Form::Raw)
    }

    fn with_form(options: &Options, form: Form) -> Self {
        let peers = if form == Form::Poly { Peers::Many } else { Peers::One };
        Self { duplex: Duplex::new(options, peers), form, hop_limit: u32::from(options.hop_limit) }
    }
}

/// What a device's message shall count when it goes on, if its header can be sent at all.
fn next_hop(header: &Header) -> Option<u32> {
    let hops = u32::from_be_bytes(header.as_slice().try_into().ok()?);
    (hops < MOST_HOPS).then(|| hops + 1)
}

impl Pattern for Pair1 {
    fn attach(&mut self, _: Time, pipe: PipeId, fx: &mut impl Effects) -> Result<(), DetachReason> {
        self.duplex.attach(pipe, fx)
    }

    fn detach(
        &mut self,
        _: Time,
        pipe: PipeId,
        _: DetachReason,
        unsent: Vec<Message>,
        fx: &mut impl Effects,
    ) {
        self.duplex.detach(pipe, unsent, fx);
    }

    fn drained(&mut self, _: Time, pipe: PipeId, messages: usize, bytes: usize, fx: &mut impl Effects) {
        self.duplex.drained(pipe, messages, bytes, fx);
    }

    fn room(&mut self, pipe: PipeId) -> Room {
        self.duplex.room(pipe)
    }

    fn recv(&mut self, _: Time, pipe: PipeId, mut message: Message, fx: &mut impl Effects) {
        let bytes = message.len();
        let Some(hops) = message.take_tag().filter(|hops| *hops <= MOST_HOPS) else {
            fx.discard(Dropped::Malformed, Some(pipe), bytes);
            return fx.close(pipe, DetachReason::ProtocolViolation);
        };
        if hops > self.hop_limit {
            return fx.discard(Dropped::HopLimit, Some(pipe), bytes);
        }
        message.join();
        if self.form == Form::Raw {
            message = message.header_set(Header::tag(hops));
        }
        self.duplex.deliver(pipe, message, fx);
    }

    fn put(
        &mut self,
        _: Time,
        _: CtxId,
        message: &mut Message,
        fx: &mut impl Effects,
    ) -> Result<(), Refusal> {
        let (hops, to) = match self.form {
            Form::Cooked => (Some(FIRST_HOP), None),
            Form::Poly => (Some(FIRST_HOP), message.pipe()),
            Form::Raw => (next_hop(message.header()), None),
        };
        let Some(hops) = hops else { return Err(Refusal::BadHeader) };
        match self.duplex.pick(to, HEADER_BYTES + message.body().len()) {
            Ok(pipe) => {
                *message.header_mut() = Header::tag(hops);
                fx.transmit(pipe, message);
                Ok(())
            }
            Err(why) => Err(why),
        }
    }

    fn take(&mut self, _: Time, _: CtxId, fx: &mut impl Effects) -> Result<Message, Nothing> {
        self.duplex.take(fx)
    }

    fn readable(&self, _: CtxId) -> bool {
        self.duplex.readable()
    }

    fn writable(&self, _: CtxId) -> bool {
        self.duplex.writable()
    }

    fn held(&self) -> Held {
        self.duplex.held()
    }

    fn clear(&mut self, fx: &mut impl Effects) {
        self.duplex.clear(fx);
    }

    fn check_invariants(&self) {
        self.duplex.check_invariants();
    }
}

#[cfg(test)]
mod tests {
    use super::super::script::{Script, pipe};
    use super::*;

    const CTX: CtxId = CtxId::DEFAULT;

    fn attached(mut pair: Pair1, peers: u32) -> (Pair1, Script) {
        let mut fx = Script::default();
        for n in 1..=peers {
            pair.attach(Time::ZERO, pipe(n), &mut fx).unwrap();
        }
        (pair, fx)
    }

    fn recv(pair: &mut Pair1, fx: &mut Script, from: u32, message: impl Into<Message>) {
        assert!(!pair.room(pipe(from)).is_none());
        pair.recv(Time::ZERO, pipe(from), message.into().received(pipe(from), Time::ZERO), fx);
        pair.check_invariants();
    }

    fn send(pair: &mut Pair1, fx: &mut Script, message: impl Into<Message>) -> Result<(), Refusal> {
        let sent = pair.send(Time::ZERO, CTX, message.into(), fx).map_err(|(why, _)| why);
        pair.check_invariants();
        sent
    }

    #[test]
    fn the_first_hop_is_one() {
        for pair in [Pair1::new(&Options::default()), Pair1::poly(&Options::default())] {
            let (mut pair, mut fx) = attached(pair, 1);
            send(&mut pair, &mut fx, Message::with_header(&b"old"[..], "a")).unwrap();
            assert_eq!(fx.sent, [(pipe(1), Message::with_header(Header::tag(1), "a"))]);
        }
    }

    #[test]
    fn zero_hops_are_accepted_as_mangos_sends_them() {
        let (mut pair, mut fx) = attached(Pair1::new(&Options::default()), 1);
        recv(&mut pair, &mut fx, 1, b"\0\0\0\0a");
        assert_eq!(pair.take(Time::ZERO, CTX, &mut fx).unwrap().body(), &b"a"[..]);
    }

    #[test]
    fn the_hop_limit_itself_passes_and_one_more_does_not() {
        let (mut pair, mut fx) = attached(Pair1::new(&Options::default()), 1);
        recv(&mut pair, &mut fx, 1, b"\0\0\0\x08a");
        recv(&mut pair, &mut fx, 1, b"\0\0\0\x09b");
        recv(&mut pair, &mut fx, 1, b"\0\0\0\xffc");
        assert_eq!(fx.take_dropped(), [Dropped::HopLimit, Dropped::HopLimit]);
        assert!(fx.closed.is_empty(), "the connection stays");
        assert_eq!(pair.take(Time::ZERO, CTX, &mut fx).unwrap().body(), &b"a"[..]);
        assert_eq!(pair.take(Time::ZERO, CTX, &mut fx), Err(Nothing::Yet));
    }

    #[test]
    fn short_and_wild_headers_end_the_connection() {
        for bad in [&b""[..], b"\0\0\x01", b"\0\0\x01\0x", b"\x80\0\0\x01x"] {
            let (mut pair, mut fx) = attached(Pair1::raw(&Options::default()), 1);
            recv(&mut pair, &mut fx, 1, bad);
            assert_eq!(fx.dropped, [(Dropped::Malformed, Some(pipe(1)), bad.len())]);
            assert_eq!(fx.closed, [(pipe(1), DetachReason::ProtocolViolation)]);
            assert!(!pair.readable(CTX));
        }
    }

    #[test]
    fn a_header_that_came_in_process_counts_as_one_on_the_wire() {
        for split in 0..=6 {
            let (header, body) = b"\0\0\0\x02ab".split_at(split);
            let (mut pair, mut fx) = attached(Pair1::raw(&Options::default()), 1);
            recv(&mut pair, &mut fx, 1, Message::with_header(header, body));
            let message = pair.take(Time::ZERO, CTX, &mut fx).unwrap();
            assert_eq!((message.header(), &message[..]), (&Header::tag(2), &b"ab"[..]), "split at {split}");
        }
    }

    #[test]
    fn raw_shows_the_header_as_it_came_and_adds_a_hop_when_it_goes_on() {
        let (mut pair, mut fx) = attached(Pair1::raw(&Options::default()), 1);
        recv(&mut pair, &mut fx, 1, b"\0\0\0\x03a");
        let message = pair.take(Time::ZERO, CTX, &mut fx).unwrap();
        assert_eq!(message.header(), &Header::tag(3));
        send(&mut pair, &mut fx, message).unwrap();
        assert_eq!(fx.sent[0].1.header(), &Header::tag(4));
    }

    #[test]
    fn raw_sends_only_headers_that_can_count_one_more() {
        let (mut pair, mut fx) = attached(Pair1::raw(&Options::default()), 1);
        for bad in [&b""[..], b"\0\0\x01", b"\0\0\0\0\0", b"\0\0\0\xff", b"\0\0\x01\0", &[0xff; 4]] {
            let message = Message::with_header(bad, "a");
            let refused = pair.send(Time::ZERO, CTX, message.clone(), &mut fx);
            assert_eq!(refused, Err((Refusal::BadHeader, message)));
        }
        assert_eq!(send(&mut pair, &mut fx, Message::with_header(&b"\0\0\0\xfe"[..], "a")), Ok(()));
        assert_eq!(fx.sent[0].1.header(), &Header::tag(0xff));
    }

    #[test]
    fn a_refused_message_comes_back_as_it_was() {
        let options = Options { outbox_messages: 1, ..Options::default() };
        let (mut pair, mut fx) = attached(Pair1::raw(&options), 1);
        let message = Message::with_header(Header::tag(5), "a");
        send(&mut pair, &mut fx, message.clone()).unwrap();
        assert_eq!(pair.send(Time::ZERO, CTX, message.clone(), &mut fx), Err((Refusal::Full, message)));
    }

    #[test]
    fn monogamy_refuses_the_second_and_forgets_addresses() {
        for pair in [Pair1::new(&Options::default()), Pair1::raw(&Options::default())] {
            let (mut pair, mut fx) = attached(pair, 1);
            assert_eq!(pair.attach(Time::ZERO, pipe(2), &mut fx), Err(DetachReason::Busy));
            pair.recv(Time::ZERO, pipe(2), b"\0\0\0\x01a".into(), &mut fx);
            assert!(!pair.readable(CTX), "a refused pipe is not heard");
        }
        let (mut pair, mut fx) = attached(Pair1::new(&Options::default()), 1);
        assert_eq!(send(&mut pair, &mut fx, Message::from("a").to(pipe(7))), Ok(()));
        assert_eq!(fx.take_sent(), [(1, b"a".to_vec())]);
    }

    #[test]
    fn polyamory_goes_to_whom_it_is_addressed_else_to_the_oldest() {
        let (mut pair, mut fx) = attached(Pair1::poly(&Options::default()), 0);
        assert_eq!(send(&mut pair, &mut fx, "a"), Err(Refusal::NoPeer));
        for n in [3, 1, 2] {
            pair.attach(Time::ZERO, pipe(n), &mut fx).unwrap();
        }
        recv(&mut pair, &mut fx, 2, b"\0\0\0\x01hi");
        let message = pair.take(Time::ZERO, CTX, &mut fx).unwrap();
        assert_eq!(message.pipe(), Some(pipe(2)));
        send(&mut pair, &mut fx, message).unwrap();
        send(&mut pair, &mut fx, "b").unwrap();
        pair.detach(Time::ZERO, pipe(3), DetachReason::PeerClosed, vec![], &mut fx);
        send(&mut pair, &mut fx, "c").unwrap();
        assert_eq!(fx.take_sent(), [(2, b"hi".to_vec()), (3, b"b".to_vec()), (1, b"c".to_vec())]);
        assert_eq!(send(&mut pair, &mut fx, Message::from("d").to(pipe(3))), Err(Refusal::NoSuchPeer));
    }

    #[test]
    fn among_many_a_full_pipe_is_waited_for_and_all_who_wait_look_again() {
        let options = Options { outbox_messages: 1, ..Options::default() };
        let (mut pair, mut fx) = attached(Pair1::poly(&options), 2);
        let to = |n| Message::from("a").to(pipe(n));
        send(&mut pair, &mut fx, to(2)).unwrap();
        assert_eq!(send(&mut pair, &mut fx, to(2)), Err(Refusal::Full));
        assert!(pair.writable(CTX), "the other one has room");
        fx.writable.clear();
        pair.drained(Time::ZERO, pipe(2), 1, 5, &mut fx);
        assert_eq!(fx.writable, [usize::MAX]);
        send(&mut pair, &mut fx, to(2)).unwrap();
        pair.detach(Time::ZERO, pipe(2), DetachReason::PeerClosed, vec!["a".into()], &mut fx);
        assert_eq!(fx.writable.len(), 2, "or they would wait for a pipe that is gone");
        assert_eq!(fx.take_dropped(), [Dropped::PipeLost]);
    }

    #[test]
    fn a_full_queue_stops_reading_instead_of_losing() {
        let options = Options { recv_messages: 1, ..Options::default() };
        let (mut pair, mut fx) = attached(Pair1::poly(&options), 2);
        recv(&mut pair, &mut fx, 1, b"\0\0\0\x01a");
        assert!(pair.room(pipe(1)).is_none() && pair.room(pipe(2)).is_none());
        assert!(pair.take(Time::ZERO, CTX, &mut fx).is_ok());
        assert_eq!(fx.resumed, [pipe(1), pipe(2)]);
    }
}
