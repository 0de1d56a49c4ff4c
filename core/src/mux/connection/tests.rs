//! What one [`Mux`] does with what a peer sends it.

use super::super::frame::{Frame, Hello, MuxError};
use super::super::id::{ChannelId, Code};
use super::super::lives::World;
use super::super::stream::{NotSent, Take};
use super::{Changes, ChannelEnd, End, Mux, NotOpened, Place, State};
use crate::options::mux::{MuxOptions, SameId};
use crate::priority::Priority;
use crate::time::Time;
use alloc::string::ToString;
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;
use proptest::prelude::*;

pub(in crate::mux) const START: Time = Time::from_nanos(1);

pub(in crate::mux) fn at(millis: u64) -> Time {
    START + Duration::from_millis(millis)
}

/// Two machines that have said hello; `a` opens odd channels.
struct Pair {
    a: Mux,
    b: Mux,
    now: Time,
}

impl Pair {
    fn new(options: &MuxOptions) -> Self {
        let mut pair =
            Self { a: Mux::new(options, [2; 16], START), b: Mux::new(options, [1; 16], START), now: START };
        pair.run();
        pair
    }

    /// Everything on its way arrives.
    fn run(&mut self) {
        loop {
            let mut quiet = true;
            quiet &= !deliver(&mut self.a, &mut self.b, self.now);
            quiet &= !deliver(&mut self.b, &mut self.a, self.now);
            self.a.check_invariants();
            self.b.check_invariants();
            if quiet {
                return;
            }
        }
    }

    fn channel(&mut self, id: &str) -> (Place, Place) {
        let here = self.a.open(ChannelId::new(id).unwrap(), Priority::Normal).unwrap();
        self.run();
        let (there, theirs) = self.b.accept(|other| other.as_str() == id).unwrap();
        assert_eq!(theirs.as_str(), id);
        self.run();
        (here, there)
    }
}

pub(in crate::mux) fn deliver(from: &mut Mux, to: &mut Mux, now: Time) -> bool {
    let mut any = false;
    while let Some(frame) = from.next_frame() {
        any = true;
        to.frame([frame.message.header().as_slice(), frame.message.body()].concat().into(), now);
    }
    any
}

/// What the machine has to say, decoded.
pub(in crate::mux) fn said(mux: &mut Mux) -> Vec<Frame> {
    let next = || mux.next_frame();
    core::iter::from_fn(next)
        .map(|frame| [frame.message.header().as_slice(), frame.message.body()].concat())
        .map(|bytes| Frame::decode(bytes.into()).unwrap())
        .collect()
}

pub(in crate::mux) fn say(mux: &mut Mux, frame: Frame) {
    let message = frame.encode();
    mux.frame([message.header().as_slice(), message.body()].concat().into(), START);
}

/// A machine that has had a hello; its peer opens even channels.
pub(in crate::mux) fn greeted(options: &MuxOptions) -> Mux {
    let mut mux = Mux::new(options, [2; 16], START);
    said(&mut mux);
    let hello =
        Hello { newest: 1, oldest: 1, nonce: [1; 16], window: 1_000, channels: 2, max_message: 5_000 };
    say(&mut mux, Frame::Hello(hello));
    assert_eq!(said(&mut mux), [Frame::Ping { token: 1 }]);
    mux
}

fn message(text: &'static str) -> Take {
    Take::Message(Bytes::from_static(text.as_bytes()))
}

#[test]
fn what_is_sent_on_a_channel_comes_there_and_nowhere_else() {
    let mut pair = Pair::new(&MuxOptions::default());
    let ((a1, b1), (a2, b2)) = (pair.channel("one"), pair.channel("two"));
    pair.a.send(a1, "hello".into()).unwrap();
    pair.a.send(a2, "world".into()).unwrap();
    pair.b.send(b2, "back".into()).unwrap();
    pair.run();
    assert_eq!(pair.b.take_message(b1), message("hello"));
    assert_eq!(pair.b.take_message(b1), Take::Nothing);
    assert_eq!(pair.b.take_message(b2), message("world"));
    assert_eq!(pair.a.take_message(a2), message("back"));
    assert_eq!(pair.a.take_message(a1), Take::Nothing);
}

#[test]
fn a_channel_for_which_there_is_nobody_is_refused_with_all_that_came_on_it() {
    let mut pair = Pair::new(&MuxOptions { channels: 2, ..MuxOptions::default() });
    for round in 1..=10 {
        let here = pair.a.open(ChannelId::new("nobody").unwrap(), Priority::Normal).unwrap();
        let other = pair.a.open(ChannelId::new("somebody").unwrap(), Priority::Normal).unwrap();
        pair.a.send(here, Bytes::from_static(b"hello?")).unwrap();
        pair.run();
        assert!(!pair.b.refuse(|id| id.as_str() == "another", Code::NOBODY));
        assert!(pair.b.refuse(|id| id.as_str() == "nobody", Code::NOBODY));
        assert!(!pair.b.refuse(|id| id.as_str() == "nobody", Code::NOBODY), "once is enough");
        pair.run();
        let refused = ChannelEnd::ResetByPeer { code: Code::NOBODY, text: "".to_string() };
        assert_eq!((pair.a.channel_end(here), pair.a.is_accepted(here)), (Some(&refused), false));
        assert_eq!(pair.b.stats().refused, round);
        // The other one waits as before, and the room of the first is free again.
        let (there, _) = pair.b.accept(|_| true).expect("it is still there");
        pair.a.release(here);
        pair.a.release(other);
        pair.b.release(there);
        pair.run();
        assert_eq!((pair.a.live(), pair.b.live()), (0, 0));
    }
    // One that its opener has given up meanwhile is refused, too, and nobody is told.
    let here = pair.a.open(ChannelId::new("nobody").unwrap(), Priority::Normal).unwrap();
    pair.a.send(here, Bytes::from_static(b"never mind")).unwrap();
    pair.run();
    pair.a.reset(here, Code::DROPPED, "");
    pair.run();
    assert!(pair.b.refuse(|_| true, Code::NOBODY));
    assert_eq!(said(&mut pair.b).iter().filter(|frame| matches!(frame, Frame::Reset { .. })).count(), 0);
    pair.b.check_invariants();
}

#[test]
fn flush_is_done_when_all_is_in_the_queue_of_the_other_program() {
    let mut pair = Pair::new(&MuxOptions::default());
    let (a, b) = pair.channel("x");
    assert!(pair.a.flush(a), "there was nothing");
    pair.a.send(a, "1".into()).unwrap();
    pair.a.send(a, "2".into()).unwrap();
    assert!(!pair.a.flush(a));
    assert_eq!(pair.a.account(a).delivered, 0);
    pair.run();
    assert!(pair.a.flush(a));
    assert_eq!((pair.a.account(a).accepted, pair.a.account(a).delivered), (2, 2));
    assert_eq!(pair.b.take_message(b), message("1"));
}

#[test]
fn a_slow_reader_stops_its_own_sender_and_no_other() {
    let mut pair = Pair::new(&MuxOptions::default());
    let ((slow, _), (quick, reads)) = (pair.channel("slow"), pair.channel("quick"));
    let mut refused = 0;
    for _ in 0..100_000 {
        refused += usize::from(pair.a.send(slow, Bytes::from_static(&[7; 100])).is_err());
        pair.run();
        if refused > 10 {
            break;
        }
    }
    assert!(refused > 10, "somebody who does not read is not sent to for ever");
    for _ in 0..10_000 {
        pair.a.send(quick, "x".into()).unwrap();
        pair.run();
        assert_eq!(pair.b.take_message(reads), message("x"));
    }
    assert!(pair.a.channel_stats(slow).stalled_by_peer > 0);
    assert_eq!(pair.a.channel_stats(quick).stalled_by_peer, 0);
}

#[test]
fn channels_that_nobody_reads_hold_no_more_than_their_bound() {
    let options = MuxOptions {
        channels: 50,
        shared_window: 100_000,
        max_message_bytes: 50_000,
        ..MuxOptions::default()
    };
    let mut pair = Pair::new(&options);
    let channels: Vec<_> = (0..50).map(|_| pair.channel("x")).collect();
    // All read for a while, so that windows grow, and then nobody does.
    for round in 0..400 {
        for (a, b) in &channels {
            while pair.a.send(*a, Bytes::from_static(&[7; 4_000])).is_ok() {}
            if round < 200 {
                while pair.b.take_message(*b) != Take::Nothing {}
            }
        }
        pair.run();
    }
    let held: usize = channels.iter().map(|(_, b)| pair.b.channel_stats(*b).recv_waiting * 4_000).sum();
    assert!(held as u64 <= options.memory_bound(), "{held}");
    let used = pair.b.stats().shared_used;
    assert!(used > 40_000, "and what there is is used: {used}");
    // It goes on when they read again.
    for _ in 0..50 {
        for (a, b) in &channels {
            while pair.b.take_message(*b) != Take::Nothing {}
            while pair.a.send(*a, Bytes::from_static(&[7; 4_000])).is_ok() {}
        }
        pair.run();
    }
    assert!(channels.iter().all(|(a, _)| pair.a.channel_stats(*a).send_waiting < 1_024));
}

#[test]
fn messages_that_do_not_fit_together_come_one_after_the_other() {
    let options = MuxOptions { shared_window: 20_000, max_message_bytes: 1_000_000, ..MuxOptions::default() };
    let mut pair = Pair::new(&options);
    let channels: Vec<_> = (0..8).map(|_| pair.channel("x")).collect();
    for (a, b) in &channels {
        assert_eq!(pair.b.take_message(*b), Take::Nothing, "everybody waits");
        pair.a.send(*a, Bytes::from(vec![7; 900_000])).unwrap();
    }
    pair.run();
    let mut done = 0;
    for _ in 0..100 {
        for (_, b) in &channels {
            done += usize::from(matches!(pair.b.take_message(*b), Take::Message(_)));
        }
        pair.run();
    }
    assert_eq!(done, 8);
    assert!(pair.b.stats().shared_used <= 20_000, "for the next ones");
}

#[test]
fn a_window_grows_with_the_path_and_goes_back() {
    let mut pair = Pair::new(&MuxOptions::default());
    let (a, b) = pair.channel("x");
    let first = pair.b.channel_stats(b).window;
    for _ in 0..200 {
        while pair.a.send(a, Bytes::from_static(&[7; 4_000])).is_ok() {}
        pair.run();
        while pair.b.take_message(b) != Take::Nothing {}
        pair.run();
    }
    let grown = pair.b.channel_stats(b).window;
    assert!(grown >= 64 * first, "{first} to {grown}");
    let used = pair.b.stats().shared_used;
    assert!(used > 0);
    // It is quiet for a while.
    for second in 1..10 {
        pair.now = at(second * 1_000);
        pair.a.expire(pair.now);
        pair.run();
    }
    assert_eq!((pair.b.channel_stats(b).window, pair.b.stats().shared_used), (first, 0));
    assert_eq!(pair.b.channel_stats(b).recv_credit, first);
}

#[test]
fn an_urgent_message_goes_before_what_waits() {
    let mut mux = greeted(&MuxOptions::default());
    let low = mux.open(ChannelId::EMPTY, Priority::Low).unwrap();
    let urgent = mux.open(ChannelId::EMPTY, Priority::Urgent).unwrap();
    mux.send(low, "low".into()).unwrap();
    mux.send(urgent, "urgent".into()).unwrap();
    let data: Vec<_> =
        said(&mut mux).into_iter().filter(|frame| matches!(frame, Frame::Message { .. })).collect();
    let [Frame::Message { body: first, .. }, Frame::Message { .. }] = &data[..] else { panic!("{data:?}") };
    assert_eq!(&first[..], b"urgent");
}

#[test]
fn a_short_message_waits_for_a_piece_of_a_long_one_at_most() {
    let options = MuxOptions { max_message_bytes: 1 << 30, shared_window: 1 << 30, ..MuxOptions::default() };
    let mut pair = Pair::new(&options);
    let ((long, takes), (short, _)) = (pair.channel("long"), pair.channel("short"));
    assert_eq!(pair.b.take_message(takes), Take::Nothing);
    pair.a.send(short, "before".into()).unwrap();
    pair.run();
    pair.a.send(long, Bytes::from(vec![7; 100_000_000])).unwrap();
    for _ in 0..20 {
        // Credit comes, and the long one is on its way.
        let frame = pair.a.next_frame();
        if let Some(frame) = frame {
            let bytes = [frame.message.header().as_slice(), frame.message.body()].concat();
            pair.b.frame(bytes.into(), pair.now);
        }
        deliver(&mut pair.b, &mut pair.a, pair.now);
    }
    pair.a.send(short, "short".into()).unwrap();
    let next: Vec<_> = (0..2).filter_map(|_| pair.a.next_frame()).map(|frame| frame.message).collect();
    let at = next.iter().position(|frame| &frame.body()[..] == b"short");
    assert!(at.is_some(), "{:?}", next.iter().map(|frame| frame.len()).collect::<Vec<_>>());
}

#[test]
fn a_thousand_long_messages_do_not_hold_up_a_short_one() {
    let options = MuxOptions { channels: 2_000, ..MuxOptions::default() };
    let mut pair = Pair::new(&options);
    let channels: Vec<_> = (0..1_000).map(|_| pair.channel("x")).collect();
    let (short, _) = pair.channel("short");
    for (a, _) in &channels {
        pair.a.send(*a, Bytes::from(vec![7; 15_000])).unwrap();
    }
    for _ in 0..10 {
        pair.a.next_frame();
    }
    pair.a.send(short, "short".into()).unwrap();
    // Among newcomers it is one of many; those have a turn of 16 KiB each at most.
    let regular = (0..1_001).find(|_| &pair.a.next_frame().unwrap().message.body()[..] == b"short");
    assert!(regular.is_some());
}

#[test]
fn the_end_of_a_channel_that_nobody_holds_is_told() {
    let mut pair = Pair::new(&MuxOptions::default());
    let (here, there) = pair.channel("x");
    pair.a.release(here);
    pair.a.news();
    pair.b.news();
    pair.b.release(there);
    pair.run();
    assert_eq!((pair.a.live(), pair.b.live()), (0, 0));
    assert!(pair.a.news().ended && pair.b.news().ended);
    assert!(pair.a.next_change().is_none(), "and to nobody else");
}

#[test]
fn half_closing_ends_one_direction() {
    let mut pair = Pair::new(&MuxOptions::default());
    let (a, b) = pair.channel("x");
    pair.a.send(a, "last".into()).unwrap();
    pair.a.finish(a);
    assert_eq!(pair.a.send(a, "more".into()).unwrap_err().0, NotSent::Finished);
    pair.run();
    assert_eq!(pair.b.take_message(b), message("last"));
    assert_eq!(pair.b.take_message(b), Take::Finished);
    pair.b.send(b, "answer".into()).unwrap();
    pair.run();
    assert_eq!(pair.a.take_message(a), message("answer"));
    pair.b.finish(b);
    pair.run();
    assert_eq!(pair.a.take_message(a), Take::Finished);
    assert_eq!((pair.a.live(), pair.b.live()), (0, 0));
    assert_eq!(pair.a.account(a).delivered, 1, "who finishes hears what has come");
    pair.a.release(a);
    pair.b.release(b);
    assert!(pair.a.is_over(a));
    pair.a.check_invariants();
}

#[test]
fn who_wants_nothing_more_says_so() {
    let mut pair = Pair::new(&MuxOptions::default());
    let (a, b) = pair.channel("x");
    pair.a.send(a, "one".into()).unwrap();
    pair.run();
    pair.b.stop(b, Code(300));
    pair.a.send(a, "on its way".into()).unwrap();
    pair.run();
    assert_eq!(pair.a.send(a, "two".into()).unwrap_err().0, NotSent::Stopped(Code(300)));
    let account = pair.a.account(a);
    assert_eq!((account.accepted, account.delivered, account.unknown), (2, 1, 1));
    pair.b.send(b, "the other way".into()).unwrap();
    pair.run();
    assert_eq!(pair.a.take_message(a), message("the other way"));
}

#[test]
fn a_channel_can_be_reset_with_a_code_and_words() {
    let mut pair = Pair::new(&MuxOptions::default());
    let (a, b) = pair.channel("x");
    pair.b.send(b, "before".into()).unwrap();
    pair.run();
    pair.b.reset(b, Code(777), "no more");
    pair.run();
    let end = ChannelEnd::ResetByPeer { code: Code(777), text: "no more".into() };
    assert_eq!(pair.a.channel_end(a), Some(&end));
    assert_eq!(end.to_string(), "reset by the peer: 777 (no more)");
    assert_eq!(pair.a.take_message(a), message("before"), "what came is there");
    assert_eq!(pair.a.take_message(a), Take::Finished);
    assert_eq!(pair.a.send(a, "x".into()).unwrap_err().0, NotSent::Over);
    assert_eq!(pair.b.channel_end(b), Some(&ChannelEnd::ResetHere { code: Code(777) }));
}

#[test]
fn a_message_of_unknown_length_goes_in_pieces_and_can_be_taken_whole() {
    let mut pair = Pair::new(&MuxOptions::default());
    let (a, b) = pair.channel("x");
    pair.a.begin_stream(a).unwrap();
    assert_eq!(pair.a.send(a, "another".into()).unwrap_err().0, NotSent::Full);
    pair.a.send_piece(a, "one ".into()).unwrap();
    pair.a.send_piece(a, "two".into()).unwrap();
    pair.run();
    assert_eq!(pair.b.take_message(b), Take::Nothing);
    pair.a.end_stream(a, true);
    pair.run();
    assert_eq!(pair.b.take_message(b), message("one two"));
    // And in pieces.
    pair.a.begin_stream(a).unwrap();
    pair.a.send_piece(a, "three".into()).unwrap();
    pair.run();
    assert_eq!(pair.b.take_piece(b), Take::Piece("three".into()));
    assert_eq!(pair.b.take_piece(b), Take::Nothing);
    pair.a.end_stream(a, false);
    pair.run();
    assert_eq!(pair.b.take_piece(b), Take::Aborted);
    // Whole messages can be taken so, too, and one that was given up is none.
    pair.a.send(a, "four".into()).unwrap();
    pair.a.begin_stream(a).unwrap();
    pair.a.end_stream(a, false);
    pair.a.send(a, "five".into()).unwrap();
    pair.run();
    assert_eq!(pair.b.take_piece(b), Take::Piece("four".into()));
    assert_eq!(pair.b.take_piece(b), Take::End);
    assert_eq!(pair.b.take_message(b), message("five"));
}

#[test]
fn who_waits_for_a_whole_stream_gets_it_however_little_credit_was_left_when_it_began() {
    for left in (0..6_000).step_by(50) {
        let options = MuxOptions { shared_window: 0, ..MuxOptions::default() };
        let mut pair = Pair::new(&options);
        let (a, b) = pair.channel("x");
        // Taken, but not so much that there would be news of it.
        pair.a.send(a, Bytes::from(vec![7; 8_000])).unwrap();
        pair.run();
        assert!(matches!(pair.b.take_message(b), Take::Message(_)));
        pair.a.send(a, Bytes::from(vec![7; 8_000 - left])).unwrap();
        pair.a.begin_stream(a).unwrap();
        pair.run();
        pair.a.send_piece(a, Bytes::from(vec![7; 9_000])).unwrap();
        pair.a.end_stream(a, true);
        pair.run();
        assert!(matches!(pair.b.take_message(b), Take::Message(_)));
        for _ in 0..10 {
            pair.run();
            if let Take::Message(body) = pair.b.take_message(b) {
                assert_eq!(body.len(), 9_000);
                pair.a.reset(a, Code::NONE, "");
            }
        }
        assert!(pair.a.is_over(a), "{left}");
    }
}

#[test]
fn what_is_too_long_is_refused_by_its_sender_and_can_still_be_streamed() {
    let options = MuxOptions { max_message_bytes: 1_000, ..MuxOptions::default() };
    let mut pair = Pair::new(&options);
    let (a, b) = pair.channel("x");
    let (not, body) = pair.a.send(a, Bytes::from(vec![7; 1_001])).unwrap_err();
    assert_eq!((not, body.len()), (NotSent::TooLarge { limit: 1_000 }, 1_001));
    let mut body = body;
    assert!(pair.a.send_at_once(a, &mut body).is_none(), "nor past the queues");
    assert_eq!(body.len(), 1_001);
    pair.a.begin_stream(a).unwrap();
    for _ in 0..50 {
        pair.a.send_piece(a, Bytes::from(vec![7; 200])).unwrap();
    }
    pair.a.end_stream(a, true);
    pair.run();
    assert_eq!(pair.b.take_message(b), Take::TooLarge);
    let mut bytes = 0;
    while let Take::Piece(piece) = pair.b.take_piece(b) {
        bytes += piece.len();
    }
    assert_eq!(bytes, 10_000);
}

#[test]
fn the_peer_opens_no_more_than_it_may_and_more_when_some_have_ended() {
    let options = MuxOptions { channels: 3, ..MuxOptions::default() };
    let mut pair = Pair::new(&options);
    let mut channels: Vec<_> = (0..3).map(|_| pair.channel("x")).collect();
    assert_eq!(pair.a.open(ChannelId::EMPTY, Priority::Normal), Err(NotOpened::Full));
    let (a, b) = channels.remove(1);
    pair.a.release(a);
    pair.b.release(b);
    pair.run();
    channels.push(pair.channel("y"));
    assert_eq!(pair.a.live(), 3);
}

#[test]
fn a_second_one_of_the_same_id_is_refused_if_the_acceptor_says_so() {
    let mut pair = Pair::new(&MuxOptions { same_id: SameId::Refuse, ..MuxOptions::default() });
    let (first, accepted) = pair.channel("x");
    let second = pair.a.open(ChannelId::new("x").unwrap(), Priority::Normal).unwrap();
    pair.run();
    let refused = ChannelEnd::ResetByPeer { code: Code::SAME_ID, text: "".into() };
    assert_eq!(pair.a.channel_end(second), Some(&refused));
    assert_eq!(pair.a.channel_end(first), None);
    pair.channel("another");
    pair.a.release(first);
    pair.b.release(accepted);
    pair.run();
    pair.channel("x");
}

#[test]
fn going_away_lets_channels_end_and_takes_no_new_ones() {
    let mut pair = Pair::new(&MuxOptions::default());
    let (a, b) = pair.channel("x");
    let crossing = pair.a.open(ChannelId::new("crossing").unwrap(), Priority::Normal).unwrap();
    pair.b.leave(Code::NONE, "maintenance", None);
    deliver(&mut pair.b, &mut pair.a, START);
    assert_eq!(pair.a.channel_end(crossing), Some(&ChannelEnd::NeverSeen));
    assert_eq!(pair.a.open(ChannelId::EMPTY, Priority::Normal), Err(NotOpened::Leaving));
    pair.run();
    pair.a.send(a, "still".into()).unwrap();
    pair.run();
    assert_eq!(pair.b.take_message(b), message("still"));
    pair.a.release(a);
    pair.b.release(b);
    pair.run();
    let end = End::ClosedByPeer { code: Code::NONE, text: "maintenance".into() };
    assert_eq!((pair.a.end(), pair.b.end()), (Some(&end), Some(&End::ClosedHere)));
    assert!(pair.b.has_parted());
}

#[test]
fn leaving_has_a_deadline() {
    let mut pair = Pair::new(&MuxOptions::default());
    let (a, b) = pair.channel("x");
    pair.b.leave(Code::NONE, "", Some(at(50)));
    pair.run();
    assert_eq!(pair.b.deadline(), Some(at(50)));
    pair.b.expire(at(50));
    pair.run();
    assert_eq!(pair.b.end(), Some(&End::ClosedHere));
    assert!(pair.b.is_over(b) && pair.a.is_over(a));
    assert!(!pair.b.has_parted(), "its channel was cut");
}

#[test]
fn a_connection_that_is_lost_while_it_leaves_cuts_its_channels() {
    let mut pair = Pair::new(&MuxOptions::default());
    pair.channel("x");
    pair.b.leave(Code::NONE, "", Some(at(50)));
    assert!(!pair.b.has_parted(), "it is not over yet");
    pair.b.lost(End::Lost);
    assert!(!pair.b.has_parted());
}

#[test]
fn a_connection_without_channels_ends_after_a_while() {
    let options =
        MuxOptions { idle_timeout: Some(Duration::from_secs(7)), keep_alive: None, ..MuxOptions::default() };
    let mut pair = Pair::new(&options);
    assert_eq!(pair.a.deadline(), Some(at(7_000)));
    let (a, b) = pair.channel("x");
    assert_eq!(pair.a.deadline(), None);
    pair.now = at(10_000);
    pair.a.release(a);
    pair.b.release(b);
    pair.run();
    assert_eq!(pair.a.deadline(), Some(at(17_000)));
    pair.a.expire(at(17_000));
    assert_eq!(pair.a.end(), Some(&End::Idle));
    // Zero means the default.
    let mux = Mux::new(&MuxOptions { idle_timeout: Some(Duration::ZERO), ..options }, [1; 16], START);
    assert_eq!(mux.state(), &State::Greeting);
}

#[test]
fn a_channel_on_which_nothing_happens_ends_after_a_while() {
    let options = MuxOptions {
        channel_idle_timeout: Some(Duration::from_secs(4)),
        keep_alive: None,
        ..MuxOptions::default()
    };
    let mut pair = Pair::new(&options);
    let ((quiet, _), (busy, reads)) = (pair.channel("quiet"), pair.channel("busy"));
    for second in 1..8 {
        pair.now = at(second * 1_000);
        pair.a.send(busy, "x".into()).unwrap();
        pair.run();
        assert_eq!(pair.b.take_message(reads), message("x"));
        pair.a.expire(pair.now);
        pair.run();
    }
    assert_eq!(pair.a.channel_end(quiet), Some(&ChannelEnd::ResetHere { code: Code::IDLE }));
    assert_eq!(pair.a.channel_end(busy), None);
}

#[test]
fn a_silent_peer_is_asked_and_then_dead() {
    let mut pair = Pair::new(&MuxOptions::default());
    let (a, _) = pair.channel("x");
    pair.a.expire(at(10_000));
    assert_eq!(said(&mut pair.a).len(), 1);
    pair.a.expire(at(20_000));
    pair.a.expire(at(30_000));
    assert_eq!(pair.a.end(), Some(&End::Silent));
    assert_eq!(pair.a.channel_end(a), Some(&ChannelEnd::Connection(End::Silent)));
}

#[test]
fn after_a_cut_each_message_is_delivered_abandoned_or_unknown() {
    let mut pair = Pair::new(&MuxOptions::default());
    let (a, b) = pair.channel("x");
    pair.a.send(a, "delivered".into()).unwrap();
    pair.a.flush(a);
    pair.run();
    for _ in 0..5 {
        pair.a.send(a, "cut".into()).unwrap();
    }
    // Two of them leave the machine, of which one was never written.
    let ends: Vec<_> = (0..2).map(|_| pair.a.next_frame().unwrap().ends).collect();
    pair.a.unsent(ends[1].unwrap());
    pair.a.lost(End::Lost);
    let account = pair.a.account(a);
    assert_eq!((account.accepted, account.delivered, account.abandoned, account.unknown), (6, 1, 4, 1));
    // What had come is still there on the other side.
    pair.b.lost(End::Lost);
    assert_eq!(pair.b.take_message(b), message("delivered"));
    assert_eq!(pair.b.take_message(b), Take::Finished);
}

#[test]
fn what_was_acknowledged_can_be_accepted_after_a_cut() {
    let mut pair = Pair::new(&MuxOptions::default());
    let a = pair.a.open(ChannelId::EMPTY, Priority::Normal).unwrap();
    pair.a.send(a, "hello".into()).unwrap();
    pair.a.flush(a);
    pair.run();
    assert_eq!(pair.a.account(a).delivered, 1);
    pair.b.lost(End::Lost);
    let (b, _) = pair.b.accept(|_| true).expect("it is there");
    assert_eq!(pair.b.take_message(b), message("hello"));
}

#[test]
fn changes_name_who_is_to_be_woken() {
    let mut pair = Pair::new(&MuxOptions::default());
    let (a, b) = pair.channel("x");
    while pair.b.next_change().is_some() {}
    pair.a.send(a, "1".into()).unwrap();
    pair.a.send(a, "2".into()).unwrap();
    pair.run();
    let (place, changes): (Place, Changes) = pair.b.next_change().unwrap();
    assert_eq!((place, changes.read(), changes.room()), (b, true, false));
    assert_eq!(pair.b.next_change(), None);
}

/// What a peer may not do, and how it is called.
#[test]
fn a_peer_that_breaks_the_rules_ends_the_connection_by_name() {
    use MuxError::*;
    let body = || Bytes::from_static(b"x");
    let open = |channel| Frame::Open { channel, priority: Priority::Normal, id: ChannelId::EMPTY };
    let long = || Bytes::from_static(&[0; 20_000]);
    let cases: Vec<(Vec<Frame>, MuxError)> = vec![
        (vec![Frame::Message { channel: 2, body: body() }], BadField("channel")),
        (vec![Frame::Message { channel: 1, body: body() }], BadField("channel")),
        (vec![open(1)], BadField("channel")),
        (vec![open(4)], BadField("channel")),
        (vec![open(2), open(2)], BadField("channel")),
        (vec![open(2), Frame::Message { channel: 2, body: long() }], NoCredit { channel: 2 }),
        (vec![open(2), Frame::Piece { channel: 2, body: body() }], Unexpected("Piece")),
        (vec![open(2), Frame::End { channel: 2 }], Unexpected("End")),
        (vec![open(2), Frame::Accept { channel: 2 }], Unexpected("Accept")),
        (
            vec![open(2), Frame::Begin { channel: 2, length: 1, body: Bytes::from_static(b"xy") }],
            BadField("length"),
        ),
        (
            vec![open(2), Frame::Begin { channel: 2, length: 9, body: body() }, Frame::Finish { channel: 2 }],
            Unexpected("Finish"),
        ),
        (
            vec![open(2), Frame::Finish { channel: 2 }, Frame::Message { channel: 2, body: body() }],
            Unexpected("data"),
        ),
        (vec![open(2), Frame::Finish { channel: 2 }, Frame::Finish { channel: 2 }], Unexpected("Finish")),
        (vec![open(2), Frame::Credit { channel: 2, bytes: 1, delivered: 1 }], BadField("delivered")),
        (vec![open(2), Frame::Return { channel: 2, bytes: u64::MAX }], NoCredit { channel: 2 }),
        ((2..=20).step_by(2).map(open).collect(), TooManyChannels),
        (
            vec![
                open(2),
                Frame::Stop { channel: 2, code: Code(9) },
                Frame::Stop { channel: 2, code: Code(9) },
            ],
            Unexpected("Stop"),
        ),
    ];
    for (frames, error) in cases {
        let mut mux = greeted(&MuxOptions { channels: 4, ..MuxOptions::default() });
        let told: Vec<_> = frames.iter().map(|frame| format!("{frame:.30?}")).collect();
        frames.into_iter().for_each(|frame| say(&mut mux, frame));
        assert_eq!(mux.end(), Some(&End::Violation(error.clone())), "{told:?}");
        mux.check_invariants();
        let last = said(&mut mux).pop();
        let Some(Frame::GoAway { code: Code::VIOLATION, text, .. }) = last else {
            panic!("{told:?}: {last:?}")
        };
        assert_eq!(text, error.to_string());
    }
}

#[test]
fn who_speaks_something_else_or_another_version_is_told_so() {
    let mut mux = Mux::new(&MuxOptions::default(), [2; 16], START);
    mux.frame(Bytes::from_static(b"\x01\0\0\0\0GET / HTTP/1.1"), START);
    assert_eq!(mux.end(), Some(&End::Violation(MuxError::NoMux)));
    let mut mux = Mux::new(&MuxOptions::default(), [2; 16], START);
    let hello = Hello { newest: 9, oldest: 7, nonce: [1; 16], window: 9, channels: 2, max_message: 5 };
    say(&mut mux, Frame::Hello(hello));
    assert_eq!(mux.end(), Some(&End::Violation(MuxError::Version { newest: 9, oldest: 7 })));
    let [Frame::Hello(_), Frame::GoAway { text, .. }] = &said(&mut mux)[..] else { panic!() };
    assert_eq!(text, "the peer speaks versions 7 to 9, and we 1 to 1");
    let mut mux = Mux::new(&MuxOptions::default(), [2; 16], START);
    let mirror = said(&mut mux).remove(0);
    say(&mut mux, mirror);
    assert_eq!(mux.end(), Some(&End::Violation(MuxError::Myself)));
    let mut mux = Mux::new(&MuxOptions::default(), [2; 16], START);
    mux.expire(at(10_000));
    assert_eq!(mux.end(), Some(&End::HandshakeTimeout));
}

#[test]
fn a_peer_that_opens_and_resets_for_ever_leaves_nothing_behind() {
    let mut mux = greeted(&MuxOptions { channels: 8, backlog: 4, ..MuxOptions::default() });
    let mut may_open = 8;
    for number in 1..=10_000_u32 {
        let channel = number * 2;
        if u64::from(number) > may_open {
            panic!("it is told of room in time");
        }
        say(&mut mux, Frame::Open { channel, priority: Priority::Low, id: ChannelId::new("x").unwrap() });
        say(&mut mux, Frame::Message { channel, body: Bytes::new() });
        say(&mut mux, Frame::Reset { channel, code: Code(1), text: "".into() });
        for frame in said(&mut mux) {
            if let Frame::Openings { total } = frame {
                may_open = total;
            }
        }
        mux.check_invariants();
    }
    assert_eq!(mux.end(), None);
    assert_eq!(mux.live(), 0);
    assert!(mux.incoming().count() <= 4);
}

#[test]
fn a_peer_that_pings_for_ever_gets_one_answer_at_a_time() {
    let mut mux = greeted(&MuxOptions::default());
    (0..1_000_000).for_each(|token| say(&mut mux, Frame::Ping { token }));
    assert_eq!(said(&mut mux), [Frame::Pong { token: 999_999 }]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn nothing_is_lost_doubled_or_stuck(script in prop::collection::vec(any::<u8>(), 0..1_500)) {
        World::live(&script);
    }

    /// Whatever bytes come, nothing panics, and what is decoded is encoded the same.
    #[test]
    fn any_bytes_are_a_frame_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        if let Ok(frame) = Frame::decode(bytes.clone().into()) {
            let message = frame.encode();
            let again = [message.header().as_slice(), message.body()].concat();
            prop_assert_eq!(again, bytes);
        }
    }

    /// Whatever frames come, nothing panics and the account is right.
    #[test]
    fn any_frames_leave_the_account_right(
        frames in prop::collection::vec((2_u8..19, 0_u32..6, prop::collection::vec(any::<u8>(), 0..24)), 0..200),
    ) {
        let mut mux = greeted(&MuxOptions { channels: 3, backlog: 2, window: 256, ..MuxOptions::default() });
        let mine = mux.open(ChannelId::EMPTY, Priority::High).unwrap();
        for (kind, channel, rest) in frames {
            let bytes = [&[kind][..], &channel.to_be_bytes(), &rest].concat();
            mux.frame(bytes.into(), START);
            mux.check_invariants();
            let _ = mux.send(mine, "x".into());
            let _ = mux.take_message(mine);
            if let (Some((place, _)), true) = (mux.accept(|_| true), kind & 1 == 0) {
                mux.release(place);
            }
            said(&mut mux);
            mux.check_invariants();
        }
    }
}
