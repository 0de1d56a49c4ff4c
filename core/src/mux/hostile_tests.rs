//! What one [`Mux`] does with a peer that means ill.

use super::connection::tests::{START, at, greeted, said, say};
use super::connection::{End, Mux};
use super::frame::{Frame, MuxError, UNKNOWN};
use super::hostile::feed;
use super::id::{ChannelId, Code};
use super::storms::Storm;
use super::stream::Take;
use crate::options::mux::MuxOptions;
use crate::priority::Priority;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use proptest::prelude::*;

fn open(channel: u32) -> Frame {
    Frame::Open { channel, priority: Priority::Normal, id: ChannelId::EMPTY }
}

fn reset(channel: u32) -> Frame {
    Frame::Reset { channel, code: Code::NONE, text: String::new() }
}

/// Whether a program that waits to receive is woken.
fn wakes(mux: &mut Mux) -> bool {
    core::iter::from_fn(|| mux.next_change()).any(|(_, changes)| changes.read())
}

#[test]
fn a_length_that_nobody_takes_is_told_and_gets_no_credit() {
    for length in [5_001, 1 << 40, u64::MAX - 1] {
        let options = MuxOptions { max_message_bytes: 5_000, ..MuxOptions::default() };
        let mut mux = greeted(&options);
        say(&mut mux, open(2));
        say(&mut mux, Frame::Message { channel: 2, body: "first".into() });
        let (place, _) = mux.accept(|_| true).unwrap();
        assert_eq!(mux.take_message(place), Take::Message("first".into()));
        assert_eq!(mux.take_message(place), Take::Nothing, "it waits");
        said(&mut mux);
        wakes(&mut mux);
        say(&mut mux, Frame::Begin { channel: 2, length, body: Bytes::from_static(&[7; 100]) });
        assert!(wakes(&mut mux));
        assert_eq!(mux.take_message(place), Take::TooLarge);
        assert!(!said(&mut mux).iter().any(|frame| matches!(frame, Frame::Credit { .. })), "{length}");
        assert!(mux.stats().shared_used <= options.shared_window);
        mux.check_invariants();
    }
}

#[test]
fn a_message_of_unknown_length_that_grows_too_long_is_told() {
    let mut mux = greeted(&MuxOptions { max_message_bytes: 5_000, ..MuxOptions::default() });
    say(&mut mux, open(2));
    let (place, _) = mux.accept(|_| true).unwrap();
    assert_eq!(mux.take_message(place), Take::Nothing);
    say(&mut mux, Frame::Begin { channel: 2, length: UNKNOWN, body: Bytes::new() });
    wakes(&mut mux);
    let pieces = (0..10).take_while(|_| {
        say(&mut mux, Frame::Piece { channel: 2, body: Bytes::from_static(&[7; 1_000]) });
        !wakes(&mut mux)
    });
    assert_eq!(pieces.count(), 5);
    assert_eq!(mux.take_message(place), Take::TooLarge);
}

#[test]
fn any_number_of_messages_that_were_given_up_is_skipped() {
    let window = 16 * 1024 * 1024;
    let mut mux = greeted(&MuxOptions { window, ..MuxOptions::default() });
    say(&mut mux, open(2));
    let (place, _) = mux.accept(|_| true).unwrap();
    for _ in 0..200_000 {
        say(&mut mux, Frame::Begin { channel: 2, length: UNKNOWN, body: Bytes::new() });
        say(&mut mux, Frame::Abort { channel: 2 });
    }
    say(&mut mux, Frame::Message { channel: 2, body: "at last".into() });
    assert_eq!(mux.take_message(place), Take::Message("at last".into()));
    mux.check_invariants();
}

#[test]
fn who_opens_and_resets_and_reads_nothing_is_stopped_at_its_limit() {
    let mut mux = greeted(&MuxOptions { channels: 8, backlog: 2, ..MuxOptions::default() });
    let mut opened = 0;
    // What we have to say is never written: refusals and acceptances stay with us.
    while mux.end().is_none() {
        opened += 1;
        say(&mut mux, open(opened * 2));
        if opened % 3 == 0 {
            let (place, _) = mux.accept(|_| true).unwrap();
            mux.release(place);
        }
        say(&mut mux, reset(opened * 2));
        mux.check_invariants();
        assert!(opened < 1_000);
    }
    assert_eq!(mux.end(), Some(&End::Violation(MuxError::TooManyChannels)));
}

#[test]
fn a_channel_counts_until_its_program_has_dropped_it() {
    let mut mux = greeted(&MuxOptions { channels: 2, shared_window: 100_000, ..MuxOptions::default() });
    let mut held = Vec::new();
    for channel in [2, 4] {
        say(&mut mux, open(channel));
        held.push(mux.accept(|_| true).unwrap().0);
        say(&mut mux, Frame::Message { channel, body: Bytes::from_static(&[7; 10_000]) });
        say(&mut mux, reset(channel));
    }
    said(&mut mux);
    assert_eq!((mux.live(), mux.channel_stats(held[0]).recv_waiting), (0, 1));
    mux.release(held[0]);
    assert_eq!(said(&mut mux), [Frame::Openings { total: 3 }]);
    say(&mut mux, open(6));
    say(&mut mux, open(8));
    assert_eq!(mux.end(), Some(&End::Violation(MuxError::TooManyChannels)));
}

#[test]
fn who_holds_all_channels_but_one_can_open_that_one_again_and_again() {
    let mut mux = greeted(&MuxOptions { channels: 100, ..MuxOptions::default() });
    let mut may_open = 100;
    (1..100).for_each(|number| say(&mut mux, open(number * 2)));
    for number in 100..200 {
        assert!(number <= may_open, "it waits for ever");
        say(&mut mux, open(number * 2));
        say(&mut mux, reset(number * 2));
        for frame in said(&mut mux) {
            if let Frame::Openings { total } = frame {
                may_open = total as u32;
            }
        }
    }
    assert_eq!(mux.end(), None);
}

#[test]
fn what_waits_on_a_channel_that_is_over_still_counts() {
    let mut mux = greeted(&MuxOptions { window: 1_000, ..MuxOptions::default() });
    say(&mut mux, open(2));
    let (place, _) = mux.accept(|_| true).unwrap();
    // It is read quickly, so its window grows; and then it is not.
    for _ in 0..100 {
        for _ in 0..2 {
            say(&mut mux, Frame::Message { channel: 2, body: Bytes::from_static(&[7; 250]) });
            mux.take_message(place);
        }
    }
    let mut sent = 0;
    while mux.channel_stats(place).recv_credit > 564 {
        say(&mut mux, Frame::Message { channel: 2, body: Bytes::from_static(&[7; 500]) });
        sent += 564;
    }
    say(&mut mux, Frame::Begin { channel: 2, length: 1_000, body: Bytes::from_static(&[7; 500]) });
    assert!(sent > 10_000, "{sent}");
    say(&mut mux, reset(2));
    assert_eq!(mux.stats().shared_used, sent - 1_000, "but for what was cut in the middle");
    mux.check_invariants();
    for _ in 0..sent / 564 {
        assert!(matches!(mux.take_message(place), Take::Message(_)));
        mux.check_invariants();
    }
    assert_eq!((mux.take_message(place), mux.stats().shared_used), (Take::Finished, 0));
}

#[test]
fn a_channel_that_is_reset_before_it_was_written_was_opened_all_the_same() {
    let mut mux = greeted(&MuxOptions::default());
    let place = mux.open(ChannelId::EMPTY, Priority::Normal).unwrap();
    mux.send(place, "x".into()).unwrap();
    mux.reset(place, Code(300), "");
    let told = Frame::Reset { channel: 1, code: Code(300), text: String::new() };
    assert_eq!(said(&mut mux), [open(1), told]);
    assert_eq!(mux.account(place).abandoned, 1);
}

#[test]
fn who_flushes_is_woken_when_the_last_message_is_given_up() {
    let mut mux = greeted(&MuxOptions::default());
    let place = mux.open(ChannelId::EMPTY, Priority::Normal).unwrap();
    mux.send(place, "x".into()).unwrap();
    mux.begin_stream(place).unwrap();
    said(&mut mux);
    say(&mut mux, Frame::Credit { channel: 1, bytes: 1_000, delivered: 1 });
    assert!(!mux.flush(place), "a stream is on its way");
    while mux.next_change().is_some() {}
    mux.end_stream(place, false);
    said(&mut mux);
    assert!(core::iter::from_fn(|| mux.next_change()).any(|(_, changes)| changes.state()));
    assert!(mux.flush(place), "what is left is delivered");
}

#[test]
fn who_drops_a_channel_that_was_reset_on_leaving_does_not_take_the_word_back() {
    let mut mux = greeted(&MuxOptions::default());
    let place = mux.open(ChannelId::EMPTY, Priority::Normal).unwrap();
    said(&mut mux);
    mux.leave(Code::NONE, "", Some(at(5)));
    mux.expire(at(5));
    assert_eq!(mux.end(), Some(&End::ClosedHere));
    mux.release(place);
    let told = Frame::Reset { channel: 1, code: Code::LEAVING, text: String::new() };
    assert_eq!(said(&mut mux)[0], told);
}

#[test]
fn going_away_is_said_once() {
    let mut mux = greeted(&MuxOptions::default());
    mux.open(ChannelId::EMPTY, Priority::Normal).unwrap();
    for _ in 0..2 {
        assert_eq!(mux.end(), None);
        say(&mut mux, Frame::GoAway { last: 1, code: Code::NONE, text: String::new() });
    }
    assert_eq!(mux.end(), Some(&End::Violation(MuxError::Unexpected("GoAway"))));
}

#[test]
fn numbers_are_not_used_again() {
    let mut mux = Mux::new(&MuxOptions::default(), [1; 16], START);
    let hello = super::frame::Hello {
        newest: 1,
        oldest: 1,
        nonce: [2; 16],
        window: 1_000,
        channels: 2,
        max_message: 5_000,
    };
    say(&mut mux, Frame::Hello(hello));
    say(&mut mux, open(1));
    mux.skip_to(u32::MAX - 2);
    say(&mut mux, open(u32::MAX));
    assert_eq!(mux.end(), None);
    say(&mut mux, open(1));
    assert_eq!(mux.end(), Some(&End::Violation(MuxError::BadField("channel"))));
    // Ours neither, but that is 2 billion channels away.
    mux.expire(at(1));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn whatever_ends_before_its_time_is_accounted_for(script in prop::collection::vec(any::<u8>(), 0..1_500)) {
        Storm::live(&script);
    }

    #[test]
    fn whatever_a_peer_says_no_bound_is_exceeded(script in prop::collection::vec(any::<u8>(), 0..1_500)) {
        feed(&script);
    }
}
