//! Two machines, joined by a pipe that cuts as it likes.

use super::*;
use crate::framing::link::Versions;
use crate::framing::sp::{FrameError, Framing};
use crate::session::inbox::Inbox;
use crate::session::outbox::Outbox;
use proptest::prelude::*;

const START: Time = Time::from_nanos(1);

fn at(millis: u64) -> Time {
    START + Duration::from_millis(millis)
}

fn hello(host: &str, options: &LinkOptions) -> Hello {
    let number = host.bytes().fold(0, |sum: u8, byte| sum.wrapping_mul(31).wrapping_add(byte));
    Hello {
        versions: Versions::OURS,
        capabilities: 0,
        instance: [number; 16],
        nonce: [number; 32],
        window_messages: options.recv_messages,
        window_bytes: options.recv_bytes,
        max_message_bytes: options.max_message_bytes,
        streams: options.streams,
        stream_window_bytes: options.stream_bytes,
        host: host.into(),
        metadata: Metadata::default(),
    }
}

/// One end: the machine, its inbox, and what it has written.
struct Side {
    link: Link,
    inbox: Inbox,
    written: Vec<u8>,
    /// Messages that have left whole.
    left: u64,
}

impl Side {
    fn new(role: Role, host: &str, options: LinkOptions) -> Self {
        let link = Link::new(role, hello(host, &options), options, START);
        let inbox = Inbox::new(Framing::Link, MAX_HANDSHAKE_BYTES);
        let mut side = Self { link, inbox, written: Vec::new(), left: 0 };
        side.flush();
        side
    }

    fn write(&mut self, mut frame: Frame) {
        let mut outbox = Outbox::new(Framing::Link);
        outbox.push(&mut frame.message);
        let batch = outbox.take();
        let mut slices = [&[][..]; 8];
        let (count, _) = batch.slices(&mut slices, usize::MAX, |slice| slice);
        slices[..count].iter().for_each(|slice| self.written.extend_from_slice(slice));
        self.left += u64::from(frame.ends);
    }

    fn flush(&mut self) {
        while let Some(frame) = self.link.next_frame() {
            self.write(frame);
        }
    }

    /// Everybody is fine.
    fn judge(&mut self, now: Time) {
        while matches!(self.link.state(), State::Judging { .. }) {
            self.link.go_on(Bytes::new(), now);
        }
    }

    fn read(&mut self, bytes: &[u8], now: Time) {
        self.inbox.feed(Bytes::copy_from_slice(bytes));
        loop {
            self.inbox.allow(self.link.max_frame_bytes());
            match self.inbox.next() {
                Ok(None) => break,
                Ok(Some(frame)) => {
                    self.link.frame(frame, now);
                    self.judge(now);
                }
                Err(FrameError::TooLarge { claimed }) => {
                    self.link.violated(LinkError::TooLarge { claimed });
                    self.inbox = Inbox::new(Framing::Link, MAX_FRAME_BYTES);
                    break;
                }
                Err(error) => unreachable!("{error:?}"),
            }
        }
        self.link.check_invariants();
    }

    /// The exact bytes of a frame, as a stranger would write it.
    fn inject(&mut self, control: &Control, now: Time) {
        let (fields, data) = control.encode();
        let head = Head::session(control.kind()).encode();
        self.link.frame([&head[..], &fields, &data].concat().into(), now);
    }

    fn received(&mut self) -> Vec<Parcel> {
        core::iter::from_fn(|| self.link.recv(START)).collect()
    }

    fn send(&mut self, parcel: impl Into<Parcel>) -> Result<(), NotSent> {
        self.link.send(&mut parcel.into(), START)
    }
}

struct Pair {
    ann: Side,
    bob: Side,
    cuts: Vec<usize>,
    turn: usize,
    now: Time,
}

impl Pair {
    fn with(options: LinkOptions, cuts: &[usize]) -> Self {
        let mut pair = Self {
            ann: Side::new(Role::Dialer, "ann", options.clone()),
            bob: Side::new(Role::Acceptor, "bob", options),
            cuts: cuts.to_vec(),
            turn: 0,
            now: START,
        };
        pair.run();
        pair
    }

    fn new() -> Self {
        Self::with(LinkOptions::default(), &[usize::MAX])
    }

    /// Hands over a piece in each direction. Whether there was one.
    fn step(&mut self) -> bool {
        let cut = self.cuts[self.turn % self.cuts.len()];
        self.turn += 1;
        let mut moved = false;
        for turn in 0..2 {
            let (from, to) = match turn {
                0 => (&mut self.ann, &mut self.bob),
                _ => (&mut self.bob, &mut self.ann),
            };
            from.flush();
            let count = from.written.len().min(cut);
            let bytes: Vec<u8> = from.written.drain(..count).collect();
            if count > 0 {
                to.read(&bytes, self.now);
                moved = true;
            }
        }
        moved
    }

    fn run(&mut self) {
        while self.step() {}
    }
}

#[test]
fn two_hosts_shake_hands_and_know_each_other() {
    let pair = Pair::new();
    for (side, host) in [(&pair.ann, "bob"), (&pair.bob, "ann")] {
        assert!(side.link.is_open(), "{:?}", side.link.state());
        assert_eq!(side.link.theirs().unwrap().host, host);
    }
}

#[test]
fn the_handshake_has_its_exact_bytes() {
    let options = LinkOptions::default();
    let frame = |kind: u8, payload: &[u8]| {
        let length = (payload.len() as u32 + 5).to_be_bytes();
        [&length[..], &[1, 0, 0, 0, kind], payload].concat()
    };
    let mut ann = Side::new(Role::Dialer, "ann", options.clone());
    let mut bob = Side::new(Role::Acceptor, "bob", options.clone());
    let anns = frame(1, &hello("ann", &options).encode());
    assert_eq!((&ann.written, &bob.written), (&anns, &Vec::new()), "who has accepted waits");
    bob.read(&anns, START);
    bob.flush();
    let bobs = frame(1, &hello("bob", &options).encode());
    assert_eq!(bob.written, bobs);
    ann.written.clear();
    ann.read(&bobs, START);
    ann.flush();
    assert_eq!(ann.written, frame(2, b"\0\0"));
    assert!(!ann.link.is_open() && !bob.link.is_open());
    bob.written.clear();
    bob.read(&frame(2, b"\0\0"), START);
    bob.flush();
    assert_eq!(bob.written, frame(2, b"\0\0"));
    assert!(bob.link.is_open());
    ann.read(&frame(2, b"\0\0"), START);
    assert!(ann.link.is_open());
    ann.send(Parcel::new(0x0102, 0x0304, "hi")).unwrap();
    ann.written.clear();
    ann.flush();
    assert_eq!(ann.written, b"\0\0\0\x07\0\x01\x02\x03\x04hi");
}

#[test]
fn a_peer_of_another_version_is_refused_and_told() {
    let mut bob = Side::new(Role::Acceptor, "bob", LinkOptions::default());
    let mut theirs = hello("ann", &LinkOptions::default()).encode();
    (theirs[4], theirs[5]) = (9, 7);
    let head = Head::session(Kind::Hello).encode();
    bob.link.frame([&head[..], &theirs].concat().into(), START);
    let versions = Versions { newest: 9, oldest: 7 };
    assert_eq!(
        bob.link.end(),
        Some(&End::Violation(LinkError::Hello(HelloError::Version { theirs: versions })))
    );
    let refusal = Control::Refuse {
        reason: Reason::Version,
        text: "spoken here: version 1; asked for: versions 7 to 9".into(),
    };
    let frame = bob.link.next_frame().unwrap();
    assert_eq!(frame.message.body()[..], refusal.encode().0[..]);
    let mut ann = Side::new(Role::Dialer, "ann", LinkOptions::default());
    ann.inject(&refusal, START);
    let Some(End::RefusedByPeer { reason: Reason::Version, text }) = ann.link.end() else {
        panic!("{:?}", ann.link.state());
    };
    assert!(text.contains("versions 7 to 9"));
}

#[test]
fn what_speaks_something_else_is_told_apart() {
    for bytes in [&b"\0SP\0\0\x30\0\0"[..], b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\x04abcd"] {
        let mut bob = Side::new(Role::Acceptor, "bob", LinkOptions::default());
        bob.read(bytes, START);
        assert_eq!(bob.link.end(), Some(&End::Violation(LinkError::Hello(HelloError::NotALink))));
    }
}

#[test]
fn a_host_does_not_connect_to_itself() {
    let mut bob = Side::new(Role::Acceptor, "ann", LinkOptions::default());
    let ann = Side::new(Role::Dialer, "ann", LinkOptions::default());
    bob.read(&ann.written, START);
    assert_eq!(bob.link.end(), Some(&End::RefusedHere { reason: Reason::Myself }));
}

#[test]
fn a_handshake_has_a_deadline() {
    let mut bob = Side::new(Role::Acceptor, "bob", LinkOptions::default());
    assert_eq!(bob.link.deadline(), Some(at(10_000)));
    bob.link.expire(at(9_999));
    assert_eq!(bob.link.end(), None);
    bob.link.expire(at(10_000));
    assert_eq!(bob.link.end(), Some(&End::HandshakeTimeout));
}

#[test]
fn both_sides_prove_the_same_and_never_the_same_twice() {
    let mut ann = Side::new(Role::Dialer, "ann", LinkOptions::default());
    let mut bob = Side::new(Role::Acceptor, "bob", LinkOptions::default());
    bob.read(&ann.written, START);
    bob.flush();
    ann.inbox.feed(bob.written.into());
    let frame = ann.inbox.next().unwrap().unwrap();
    ann.link.frame(frame, START);
    for prover in [Role::Dialer, Role::Acceptor] {
        assert_eq!(ann.link.challenge(prover), bob.link.challenge(prover));
    }
    assert_ne!(ann.link.challenge(Role::Dialer), ann.link.challenge(Role::Acceptor));
    ann.link.go_on("secret".into(), START);
    ann.written.clear();
    ann.flush();
    bob.inbox.feed(core::mem::take(&mut ann.written).into());
    let frame = bob.inbox.next().unwrap().unwrap();
    bob.link.frame(frame, START);
    assert_eq!((bob.link.state(), &bob.link.proof()[..]), (&State::Judging { ack: true }, &b"secret"[..]));
    bob.link.refuse(Reason::Denied, "");
    bob.written = Vec::new();
    bob.flush();
    ann.read(&bob.written, START);
    let denied = End::RefusedByPeer { reason: Reason::Denied, text: String::new() };
    assert_eq!(ann.link.end(), Some(&denied));
}

#[test]
fn a_small_urgent_message_does_not_wait_for_a_large_one() {
    let mut pair = Pair::new();
    pair.ann.send(Parcel::new(1, 1, vec![7; 1 << 20]).at(Priority::Low)).unwrap();
    for _ in 0..3 {
        let frame = pair.ann.link.next_frame().unwrap();
        assert!(!frame.ends && frame.message.len() <= 65 * 1024);
        pair.ann.write(frame);
    }
    pair.ann.send(Parcel::new(1, 2, "now").at(Priority::Urgent)).unwrap();
    let frame = pair.ann.link.next_frame().unwrap();
    assert!(frame.ends && frame.message.len() == 8);
    pair.ann.write(frame);
    pair.run();
    let messages: Vec<_> =
        pair.bob.received().iter().map(|parcel| (parcel.message, parcel.body.len())).collect();
    assert_eq!(messages, [(2, 3), (1, 1 << 20)]);
}

#[test]
fn who_does_not_take_is_not_sent_more_than_his_window() {
    let options = LinkOptions { recv_messages: 4, send_messages: 3, ..LinkOptions::default() };
    let mut pair = Pair::with(options, &[usize::MAX]);
    let mut sent = 0;
    while pair.ann.send("x").is_ok() {
        sent += 1;
        pair.run();
    }
    assert_eq!(sent, 4 + 3);
    assert_eq!(pair.bob.link.stats().recv_waiting, 4);
    assert_eq!(pair.ann.send("x"), Err(NotSent::Full));
    // Session messages are not held up by that.
    pair.ann.link.ping(START);
    pair.now = at(5);
    pair.run();
    assert_eq!(pair.ann.link.round_trip(), Some(Duration::from_millis(5)));
    pair.ann.link.changes();
    assert_eq!(pair.bob.received().len(), 4);
    pair.run();
    assert!(pair.ann.link.changes().room);
    assert_eq!(pair.bob.received().len(), 3);
}

#[test]
fn a_message_without_credit_ends_the_connection() {
    let options = LinkOptions { recv_messages: 4, ..LinkOptions::default() };
    let mut pair = Pair::with(options, &[usize::MAX]);
    let frame = Bytes::from_static(b"\0\0\0\0\0x");
    (0..4).for_each(|_| pair.bob.link.frame(frame.clone(), START));
    assert!(pair.bob.link.is_open());
    pair.bob.link.frame(frame, START);
    let end = End::Violation(LinkError::Unexpected("message without credit"));
    assert_eq!(pair.bob.link.end(), Some(&end));
    pair.run();
    let Some(End::ClosedByPeer { reason: Reason::Malformed, text }) = pair.ann.link.end() else {
        panic!("{:?}", pair.ann.link.state());
    };
    assert_eq!(text, "unexpected message without credit");
    assert_eq!(pair.bob.received().len(), 4, "what came before is good");
}

#[test]
fn a_message_larger_than_the_peer_takes_is_not_sent() {
    let options = LinkOptions { max_message_bytes: 10, ..LinkOptions::default() };
    let mut pair = Pair::with(options, &[usize::MAX]);
    assert_eq!(pair.ann.send("12345678901"), Err(NotSent::TooLarge { limit: 10 }));
    pair.ann.send("1234567890").unwrap();
    pair.run();
    assert_eq!(pair.bob.received().len(), 1);
    let begin = Control::Begin { transfer: 9, head: Head::application(0, 0), priority: 0, length: 1 << 40 };
    pair.bob.inject(&begin, START);
    assert_eq!(pair.bob.link.end(), Some(&End::Violation(LinkError::TooLarge { claimed: 1 << 40 })));
}

#[test]
fn a_stream_of_any_length_holds_no_more_than_its_window() {
    let options = LinkOptions { stream_bytes: 100_000, ..LinkOptions::default() };
    let mut pair = Pair::with(options, &[50_000, 3]);
    let transfer = pair.ann.link.open_stream(&Parcel::new(3, 4, "")).unwrap();
    let (mut to_send, mut got, mut receiving) = (5_000_000_usize, 0_usize, None);
    let mut ended = false;
    while !ended {
        let mut data = Bytes::from(vec![1; to_send.min(30_000)]);
        while !data.is_empty() && pair.ann.link.write_stream(transfer, &mut data).is_ok() {}
        to_send -= to_send.min(30_000) - data.len();
        if to_send == 0 {
            pair.ann.link.end_stream(transfer, true);
        }
        pair.run();
        assert!(pair.bob.link.held_bytes() <= 100_000);
        if let Some((transfer, head)) = pair.bob.link.recv_stream() {
            assert_eq!((head.protocol, head.message), (3, 4));
            receiving = Some(transfer);
        }
        let Some(transfer) = receiving else { continue };
        loop {
            match pair.bob.link.read_stream(transfer) {
                Piece::Data(data) => got += data.len(),
                Piece::Nothing => break,
                Piece::End => {
                    pair.bob.link.drop_stream(transfer);
                    ended = true;
                    break;
                }
                Piece::Aborted => panic!("aborted"),
            }
        }
    }
    assert_eq!(got, 5_000_000);
    assert!(!pair.ann.link.stream_stopped(transfer), "not yet told");
    pair.run();
    assert!(pair.ann.link.stream_stopped(transfer) && pair.ann.link.outgoing.is_empty());
}

#[test]
fn a_stream_that_nobody_wants_is_stopped_and_one_given_up_is_aborted() {
    let mut pair = Pair::with(LinkOptions { streams: 1, ..LinkOptions::default() }, &[usize::MAX]);
    let unwanted = pair.ann.link.open_stream(&Parcel::from("")).unwrap();
    assert_eq!(pair.ann.link.open_stream(&Parcel::from("")), Err(NotSent::Full));
    pair.run();
    let (transfer, _) = pair.bob.link.recv_stream().unwrap();
    pair.bob.link.drop_stream(transfer);
    pair.run();
    assert_eq!(pair.ann.link.write_stream(unwanted, &mut "x".into()), Err(NotSent::Over));
    let given_up = pair.ann.link.open_stream(&Parcel::from("")).unwrap();
    pair.ann.link.write_stream(given_up, &mut "begun".into()).unwrap();
    pair.ann.link.end_stream(given_up, false);
    pair.run();
    let (transfer, _) = pair.bob.link.recv_stream().unwrap();
    assert_eq!(pair.bob.link.read_stream(transfer), Piece::Data("begun".into()));
    assert_eq!(pair.bob.link.read_stream(transfer), Piece::Aborted);
    pair.bob.link.drop_stream(transfer);
    pair.run();
    assert!(pair.ann.link.outgoing.is_empty() && pair.ann.link.open_stream(&Parcel::from("")).is_ok());
}

#[test]
fn requests_are_answered_failed_refused_and_cancelled() {
    let mut pair = Pair::with(LinkOptions { requests: 2, ..LinkOptions::default() }, &[5]);
    let call = |pair: &mut Pair, body: &'static str| {
        let id = pair.ann.link.call(&mut Parcel::new(1, 2, body), START).unwrap();
        pair.run();
        id
    };
    let (good, bad, busy) = (call(&mut pair, "good"), call(&mut pair, "bad"), call(&mut pair, "busy"));
    let failure = |code| Failure { code, text: String::new() };
    assert_eq!(pair.ann.link.answer(busy, START), Some(Err(failure(Fault::Busy))));
    let (id, asked) = pair.bob.link.recv_request(START).unwrap();
    assert_eq!((asked.protocol, asked.message, &asked.body[..]), (1, 2, &b"good"[..]));
    assert!(pair.bob.link.reply(id, Priority::Normal, Ok(vec![1; 100_000].into()), START));
    assert!(!pair.bob.link.reply(id, Priority::Normal, Ok("twice".into()), START));
    let (id, _) = pair.bob.link.recv_request(START).unwrap();
    assert!(pair.bob.link.reply(id, Priority::Normal, Err(failure(Fault::Failed)), START));
    pair.run();
    assert_eq!(pair.ann.link.answer(good, START), Some(Ok(vec![1; 100_000].into())));
    assert_eq!(pair.ann.link.answer(bad, START), Some(Err(failure(Fault::Failed))));
    // Taken back before it was sent, while it waits, and while somebody works on it.
    let id = pair.ann.link.call(&mut "early".into(), START).unwrap();
    pair.ann.link.forget_call(id, START);
    let waits = call(&mut pair, "waits");
    pair.ann.link.forget_call(waits, START);
    pair.run();
    assert_eq!(pair.bob.link.recv_request(START), None);
    let works = call(&mut pair, "works");
    let (id, _) = pair.bob.link.recv_request(START).unwrap();
    pair.ann.link.forget_call(works, START);
    pair.run();
    assert!(!pair.bob.link.reply(id, Priority::Normal, Ok("late".into()), START));
    // And one whose answer is on its way.
    let crossed = call(&mut pair, "crossed");
    let (id, _) = pair.bob.link.recv_request(START).unwrap();
    assert!(pair.bob.link.reply(id, Priority::Normal, Ok("late".into()), START));
    pair.ann.link.forget_call(crossed, START);
    pair.run();
    assert_eq!(pair.ann.link.stats().discarded_messages, 1);
    assert!(pair.ann.link.is_open() && pair.bob.link.is_open());
}

#[test]
fn an_answer_that_is_too_large_is_a_failure() {
    let mut pair = Pair::with(LinkOptions { max_message_bytes: 4, ..LinkOptions::default() }, &[usize::MAX]);
    let id = pair.ann.link.call(&mut "ask".into(), START).unwrap();
    pair.run();
    let (asked, _) = pair.bob.link.recv_request(START).unwrap();
    pair.bob.link.reply(asked, Priority::Normal, Ok("12345".into()), START);
    pair.run();
    let failure = Failure { code: Fault::TooLarge, text: "5 bytes".into() };
    assert_eq!(pair.ann.link.answer(id, START), Some(Err(failure)));
}

#[test]
fn a_silent_peer_is_dead_in_the_end() {
    let mut pair = Pair::new();
    let mut pings = 0;
    while let (None, Some(due)) = (pair.ann.link.end(), pair.ann.link.deadline()) {
        pair.ann.link.expire(due);
        pings += usize::from(pair.ann.link.next_frame().is_some());
    }
    assert_eq!((pair.ann.link.end(), pings), (Some(&End::Silent), 2));
    assert!(pair.ann.link.next_frame().is_none(), "nobody would hear a goodbye");
}

#[test]
fn metadata_are_replaced_by_an_update() {
    let mut pair = Pair::new();
    pair.ann.link.changes();
    for value in ["old", "new"] {
        let mut metadata = Metadata::default();
        metadata.set("k", value).unwrap();
        pair.bob.link.update_metadata(metadata).unwrap();
    }
    pair.run();
    assert!(pair.ann.link.changes().metadata);
    assert_eq!(pair.ann.link.theirs().unwrap().metadata.get("k"), Some(&b"new"[..]));
}

#[test]
fn a_flood_about_the_connection_ends_it() {
    let mut pair = Pair::new();
    for _ in 0..1_000 {
        pair.bob.inject(&Control::Ping { token: 1 }, START);
        pair.bob.flush();
    }
    assert!(pair.bob.link.is_open());
    pair.bob.inject(&Control::Ping { token: 1 }, START);
    assert_eq!(pair.bob.link.end(), Some(&End::RefusedHere { reason: Reason::TooFast }));
}

#[test]
fn a_peer_that_is_too_fast_is_slowed_down_to_its_rate() {
    let options = LinkOptions { messages_per_second: Some(100), recv_messages: 10, ..LinkOptions::default() };
    let mut pair = Pair::with(options, &[usize::MAX]);
    let mut got = 0;
    while pair.now < at(10_000) {
        while pair.ann.send("x").is_ok() {
            pair.run();
            got += pair.bob.received_at(pair.now);
            pair.run();
        }
        pair.now = pair.now + Duration::from_millis(10);
        pair.bob.link.expire(pair.now);
        pair.ann.link.pulse.heard(pair.now);
        pair.run();
        got += pair.bob.received_at(pair.now);
    }
    assert!((1_050..=1_120).contains(&got), "{got}: a burst of 100 and 100 a second, and a window");
    assert!(pair.bob.link.stats().slowed > 50 && pair.bob.link.is_open());
}

impl Side {
    fn received_at(&mut self, now: Time) -> usize {
        core::iter::from_fn(|| self.link.recv(now)).count()
    }
}

#[test]
fn a_peer_that_is_too_fast_is_dismissed_where_that_is_wanted() {
    let too_fast = TooFast::Dismiss;
    let options = LinkOptions { bytes_per_second: Some(100), too_fast, ..LinkOptions::default() };
    let mut pair = Pair::with(options, &[usize::MAX]);
    pair.ann.send(vec![0; 100]).unwrap();
    pair.run();
    assert!(pair.bob.link.is_open());
    pair.ann.send(vec![0; 1]).unwrap();
    pair.run();
    assert_eq!(pair.bob.link.end(), Some(&End::RefusedHere { reason: Reason::TooFast }));
    let Some(End::ClosedByPeer { reason: Reason::TooFast, .. }) = pair.ann.link.end() else { panic!() };
}

#[test]
fn closing_sends_what_waits_and_tells_what_arrived() {
    let mut pair = Pair::new();
    for n in 0..10 {
        pair.ann.send(Parcel::new(0, n, vec![0; 100_000])).unwrap();
    }
    pair.bob.send("to nobody").unwrap();
    pair.ann.link.close(at(1_000));
    assert_eq!(pair.ann.send("late"), Err(NotSent::Over));
    pair.run();
    assert_eq!(pair.ann.link.end(), Some(&End::ClosedHere));
    assert_eq!(pair.ann.link.account(), (0, Some(10)));
    let Some(End::ClosedByPeer { reason: Reason::Closing, .. }) = pair.bob.link.end() else { panic!() };
    assert_eq!(pair.bob.link.account().1, Some(0));
    assert_eq!(pair.bob.received().len(), 10, "what came before the end can be taken after it");
}

#[test]
fn a_close_that_takes_too_long_gives_up_what_waits() {
    let options = LinkOptions { recv_messages: 2, ..LinkOptions::default() };
    let mut pair = Pair::with(options, &[usize::MAX]);
    (0..5).for_each(|_| pair.ann.send("x").unwrap());
    pair.run();
    pair.ann.link.close(at(1_000));
    pair.run();
    assert_eq!(pair.ann.link.end(), None);
    assert_eq!(pair.ann.link.deadline(), Some(at(1_000)));
    pair.ann.link.expire(at(1_000));
    pair.run();
    assert_eq!(pair.ann.link.end(), Some(&End::ClosedHere));
    assert_eq!(pair.ann.link.account(), (3, Some(2)));
}

#[test]
fn small_messages_linger_for_others() {
    let options = LinkOptions { linger: Duration::from_millis(2), ..LinkOptions::default() };
    let mut pair = Pair::with(options, &[usize::MAX]);
    pair.ann.link.expire(START);
    pair.ann.send("a").unwrap();
    assert_eq!(pair.ann.link.deadline(), Some(at(2)));
    assert!(pair.ann.link.next_frame().is_none());
    pair.ann.link.expire(at(2));
    assert!(pair.ann.link.next_frame().is_some());
    pair.ann.send("b").unwrap();
    assert!(pair.ann.link.next_frame().is_none());
    pair.ann.send(Parcel::from("now").at(Priority::Urgent)).unwrap();
    assert!(pair.ann.link.next_frame().is_some(), "what is urgent takes the others along");
    assert!(pair.ann.link.next_frame().is_some());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn however_it_is_cut_whole_messages_come_out(
        sizes in prop::collection::vec((0_usize..4, prop_oneof![0_usize..40, 60_000_usize..300_000]), 1..12),
        cuts in prop::collection::vec(prop_oneof![1_usize..9, 1_000_usize..100_000], 1..6),
    ) {
        let options = LinkOptions { send_bytes: 8 << 20, ..LinkOptions::default() };
        let mut pair = Pair::with(options, &cuts);
        pair.cuts = cuts.iter().map(|cut| (*cut).max(100)).collect();
        let mut sent: [Vec<(u16, usize)>; 4] = Default::default();
        for (n, (lane, size)) in sizes.iter().enumerate() {
            let parcel = Parcel::new(*lane as u16, n as u16, vec![n as u8; *size]).at(Priority::ALL[*lane]);
            pair.ann.send(parcel).unwrap();
            sent[*lane].push((n as u16, *size));
        }
        pair.run();
        let mut got: [Vec<(u16, usize)>; 4] = Default::default();
        for parcel in pair.bob.received() {
            prop_assert!(parcel.body.iter().all(|byte| *byte == parcel.message as u8));
            got[usize::from(parcel.protocol)].push((parcel.message, parcel.body.len()));
        }
        prop_assert_eq!(got, sent, "in order within each priority");
    }

    /// Whatever programs do, nobody breaks the rules, and everything is accounted for.
    #[test]
    fn two_machines_never_break_the_rules(
        ops in prop::collection::vec((0_u8..14, any::<bool>(), 0_usize..5_000), 0..200),
        cuts in prop::collection::vec(1_usize..5_000, 1..5),
    ) {
        let options = LinkOptions {
            recv_messages: 3, recv_bytes: 4_000, send_messages: 4, chunk_bytes: 1_024, streams: 2,
            stream_bytes: 1_500, requests: 2, calls: 3, max_message_bytes: 4_500,
            ..LinkOptions::default()
        };
        let mut pair = Pair::with(options, &cuts);
        let mut open: [Vec<u32>; 2] = Default::default();
        let mut reading: [Vec<u32>; 2] = Default::default();
        let mut asking: [Vec<u64>; 2] = Default::default();
        let mut working: [Vec<u64>; 2] = Default::default();
        let mut taken = [0_u64; 2];
        for (op, who, size) in ops {
            let n = usize::from(who);
            let side = if who { &mut pair.ann } else { &mut pair.bob };
            let now = START;
            let priority = Priority::ALL[size % 4];
            match op {
                0 | 1 => drop(side.send(Parcel::from(vec![0; size]).at(priority))),
                2 => taken[n] += u64::from(side.link.recv(now).is_some()),
                3 => asking[n].extend(side.link.call(&mut vec![0; size].into(), now)),
                4 => if let Some((id, _)) = side.link.recv_request(now) {
                    taken[n] += 1;
                    working[n].push(id);
                },
                5 => if let Some(id) = working[n].pop() {
                    side.link.reply(id, priority, Ok(vec![0; size].into()), now);
                },
                6 => if let Some(id) = asking[n].last().copied() {
                    if side.link.answer(id, now).is_some() { asking[n].pop(); }
                },
                7 => if let Some(id) = asking[n].pop() { side.link.forget_call(id, now) },
                8 => open[n].extend(side.link.open_stream(&Parcel::from("").at(priority))),
                9 => if let Some(id) = open[n].last() {
                    let _ = side.link.write_stream(*id, &mut vec![0; size].into());
                },
                10 => if let Some(id) = open[n].pop() { side.link.end_stream(id, size % 2 == 0) },
                11 => reading[n].extend(side.link.recv_stream().map(|(id, _)| id)),
                12 => if let Some(id) = reading[n].last().copied() {
                    if matches!(side.link.read_stream(id), Piece::End | Piece::Aborted) || size % 7 == 0 {
                        side.link.drop_stream(id);
                        reading[n].pop();
                    }
                },
                _ => { pair.step(); }
            }
            for side in [&pair.ann, &pair.bob] {
                side.link.check_invariants();
                prop_assert_eq!(side.link.end(), None);
                // Its windows, one message over them, four messages in pieces that may double as they
                // grow, and no more.
                prop_assert!(side.link.held_bytes() <= 4_000 + 2 * 1_500 + 4_500 + 4 * 9_000);
            }
        }
        // Now all that was accepted gets through, as long as somebody takes it.
        pair.run();
        for side in [&mut pair.ann, &mut pair.bob] {
            side.link.close(Time::MAX);
        }
        pair.run();
        for (side, other) in [(&pair.ann, &pair.bob), (&pair.bob, &pair.ann)] {
            let (abandoned, confirmed) = side.link.account();
            let stats = side.link.stats();
            prop_assert!(side.left + abandoned <= stats.sent_messages);
            prop_assert!(confirmed.is_none_or(|had| had <= other.link.stats().received_messages));
        }
    }

    #[test]
    fn no_frames_make_it_panic(
        frames in prop::collection::vec((0_u16..20, prop::collection::vec(any::<u8>(), 0..40)), 1..30),
    ) {
        let mut pair = Pair::new();
        for (kind, payload) in frames {
            let head = Head { layer: if kind == 0 { Layer::Application } else { Layer::Session }, protocol: 0, message: kind };
            pair.bob.link.frame([&head.encode()[..], &payload].concat().into(), START);
            pair.bob.link.check_invariants();
            pair.bob.flush();
            pair.bob.link.recv_stream();
        }
    }
}
