use super::life::live;
use super::*;
use proptest::prelude::*;

fn tagged(overflow: Overflow, recv_messages: usize) -> Tagged {
    Tagged::new(TaggedOptions { overflow, recv_messages, ..TaggedOptions::default() })
}

fn frame(id: &'static str, data: &'static str) -> Frame {
    Frame { id: id.into(), data: data.into() }
}

fn bytes(frames: &[(&str, &str)]) -> Bytes {
    let mut bytes = Vec::new();
    for (id, data) in frames {
        assert!(encode_head(id.as_bytes(), data.len(), &mut bytes));
        bytes.extend_from_slice(data.as_bytes());
    }
    bytes.into()
}

fn feed(tagged: &mut Tagged, frames: &[(&str, &str)]) -> Vec<Effect> {
    let mut fx = Vec::new();
    tagged.feed(bytes(frames), &mut fx);
    tagged.check_invariants();
    fx
}

fn recv(tagged: &mut Tagged, route: Route) -> Received {
    let received = tagged.recv(route, &mut Vec::new());
    tagged.check_invariants();
    received
}

fn discarded(id: &'static str, why: Discarded, messages: u64) -> Effect {
    Effect::Discarded { id: id.into(), why, messages }
}

#[test]
fn a_message_goes_to_whoever_has_its_id() {
    let mut tagged = tagged(Overflow::End, 10);
    let (a, b) = (tagged.open(b"a").unwrap(), tagged.open(b"b").unwrap());
    let fx = feed(&mut tagged, &[("b", "1"), ("a", "2"), ("b", "3"), ("c", "4"), ("c", "5")]);
    let nobody = discarded("c", Discarded::NobodyReceives, 2);
    assert_eq!(fx, [Effect::Ready(b), Effect::Ready(a), Effect::Ready(b), nobody]);
    assert_eq!(recv(&mut tagged, a), Received::Message(frame("a", "2")));
    assert_eq!(recv(&mut tagged, a), Received::Nothing);
    assert_eq!(tagged.waiting(b), 2);
    assert_eq!(recv(&mut tagged, b), Received::Message(frame("b", "1")));
    assert_eq!(recv(&mut tagged, b), Received::Message(frame("b", "3")));
    let stats =
        TaggedStats { messages: 5, bytes: 35, received: 3, nobody_receives: 2, ..TaggedStats::default() };
    assert_eq!((tagged.stats(), tagged.held_bytes()), (stats, 0));
}

#[test]
fn the_empty_id_receives_what_no_other_does_and_learns_whose_it_is() {
    let mut tagged = tagged(Overflow::End, 10);
    let (a, all) = (tagged.open(b"a").unwrap(), tagged.open(b"").unwrap());
    feed(&mut tagged, &[("a", "1"), ("b", "2"), ("", "3")]);
    assert_eq!(recv(&mut tagged, all), Received::Message(frame("b", "2")));
    assert_eq!(recv(&mut tagged, all), Received::Message(frame("", "3")));
    assert_eq!(recv(&mut tagged, all), Received::Nothing);
    tagged.close(a, &mut Vec::new());
    feed(&mut tagged, &[("a", "4")]);
    assert_eq!(recv(&mut tagged, all), Received::Message(frame("a", "4")));
}

#[test]
fn who_is_too_slow_ends_behind_what_waits_and_others_go_on() {
    let mut tagged = tagged(Overflow::End, 2);
    let (a, b) = (tagged.open(b"a").unwrap(), tagged.open(b"b").unwrap());
    let all = tagged.open(b"").unwrap();
    let fx = feed(&mut tagged, &[("a", "1"), ("a", "2"), ("a", "3"), ("a", "4"), ("b", "5")]);
    let (ready, over) = (Effect::Ready, discarded("a", Discarded::Overflowed, 2));
    assert_eq!(fx, [ready(a), ready(a), Effect::Overflowed(a), over, ready(b)]);
    assert!(tagged.wants_bytes());
    assert_eq!(recv(&mut tagged, a), Received::Message(frame("a", "1")));
    assert_eq!(feed(&mut tagged, &[("a", "6")]), [discarded("a", Discarded::Overflowed, 1)]);
    assert_eq!(recv(&mut tagged, a), Received::Message(frame("a", "2")));
    assert_eq!(recv(&mut tagged, a), Received::Overflowed { discarded: 3 });
    assert_eq!(recv(&mut tagged, b), Received::Message(frame("b", "5")));
    assert_eq!(recv(&mut tagged, all), Received::Nothing, "it is not for others either");
    // Opened again, it begins anew.
    tagged.close(a, &mut Vec::new());
    let a = tagged.open(b"a").unwrap();
    feed(&mut tagged, &[("a", "7")]);
    assert_eq!(recv(&mut tagged, a), Received::Message(frame("a", "7")));
}

#[test]
fn reading_stalls_until_there_is_room_where_that_is_asked_for() {
    let mut tagged = tagged(Overflow::Stall, 1);
    let (a, b) = (tagged.open(b"a").unwrap(), tagged.open(b"b").unwrap());
    let fx = feed(&mut tagged, &[("a", "1"), ("a", "2"), ("b", "3"), ("a", "4")]);
    assert_eq!(fx, [Effect::Ready(a), Effect::Stalled(a)]);
    assert!(!tagged.wants_bytes() && tagged.take_direct().is_none());
    assert_eq!(recv(&mut tagged, b), Received::Nothing, "it waits for the slow one");
    let mut fx = Vec::new();
    assert_eq!(tagged.recv(a, &mut fx), Received::Message(frame("a", "1")));
    assert_eq!(fx, [Effect::Ready(a), Effect::Ready(b), Effect::Stalled(a)]);
    fx.clear();
    assert_eq!(tagged.recv(a, &mut fx), Received::Message(frame("a", "2")));
    assert_eq!(fx, [Effect::Ready(a), Effect::Resumed]);
    assert!(tagged.wants_bytes());
    assert_eq!((tagged.stats().stalls, tagged.stats().discarded()), (2, 0));
}

#[test]
fn whoever_closes_lets_reading_go_on() {
    let mut tagged = tagged(Overflow::Stall, 1);
    let (a, b) = (tagged.open(b"a").unwrap(), tagged.open(b"b").unwrap());
    feed(&mut tagged, &[("a", "1"), ("a", "2"), ("b", "3")]);
    let mut fx = Vec::new();
    tagged.close(a, &mut fx);
    tagged.check_invariants();
    assert_eq!(fx, [discarded("a", Discarded::Closed, 2), Effect::Ready(b), Effect::Resumed]);
    assert_eq!(recv(&mut tagged, a), Received::Ended(End::Closed));
}

#[test]
fn the_newest_is_discarded_where_that_is_asked_for() {
    let mut tagged = tagged(Overflow::Discard, 1);
    let a = tagged.open(b"a").unwrap();
    let fx = feed(&mut tagged, &[("a", "1"), ("a", "2"), ("a", "3")]);
    assert_eq!(fx, [Effect::Ready(a), discarded("a", Discarded::NoRoom, 2)]);
    assert_eq!(recv(&mut tagged, a), Received::Message(frame("a", "1")));
    feed(&mut tagged, &[("a", "4")]);
    assert_eq!(recv(&mut tagged, a), Received::Message(frame("a", "4")));
    assert_eq!(tagged.stats().no_room, 2);
}

#[test]
fn bytes_are_bounded_for_each_and_for_all_and_each_has_its_share() {
    let options = TaggedOptions {
        max_message_bytes: 74,
        recv_bytes: 120,
        total_bytes: 334,
        max_ids: 10,
        overflow: Overflow::Discard,
        ..TaggedOptions::default()
    };
    assert_eq!(options.clone().clamped().total_bytes, 334, "one message always has room");
    let mut tagged = Tagged::new(options);
    let ids = ["a", "b", "c", "d"];
    let routes = ids.map(|id| tagged.open(id.as_bytes()).unwrap());
    let large = "x".repeat(54);
    for id in ids {
        feed(&mut tagged, &[(id, &large), (id, &large), (id, &large)]);
    }
    assert_eq!(routes.map(|route| tagged.waiting(route)), [2, 2, 1, 0]);
    // All are full, but a small one has its share, 33 bytes.
    feed(&mut tagged, &[("d", "twenty-seven bytes are in it"), ("d", "twenty-seven bytes are in i")]);
    assert_eq!(tagged.waiting(routes[3]), 1);
    let held = tagged.held_bytes();
    assert!((300..=334 + 33).contains(&held), "{held}");
    feed(&mut tagged, &[("c", &large)]);
    assert_eq!(tagged.waiting(routes[2]), 1);
    recv(&mut tagged, routes[0]);
    feed(&mut tagged, &[("c", &large)]);
    assert_eq!(tagged.waiting(routes[2]), 2, "there is room again");
}

#[test]
fn an_id_is_opened_once_and_within_bounds() {
    let mut tagged = Tagged::new(TaggedOptions { max_ids: 2, ..TaggedOptions::default() });
    let a = tagged.open(b"a").unwrap();
    assert_eq!(tagged.open(b"a"), Err(OpenError::InUse));
    assert_eq!(tagged.open(&[7; 256]), Err(OpenError::TooLong));
    tagged.open(&[7; 255]).unwrap();
    assert_eq!((tagged.open(b"b"), tagged.len()), (Err(OpenError::TooMany), 2));
    tagged.close(a, &mut Vec::new());
    tagged.close(a, &mut Vec::new());
    let again = tagged.open(b"a").unwrap();
    assert_ne!(again, a);
    tagged.finish(End::Network, &mut Vec::new());
    assert_eq!(tagged.open(b"b"), Err(OpenError::Ended(End::Network)));
}

#[test]
fn each_end_has_its_name_and_comes_behind_what_waits() {
    let large = Bytes::from_static(b"\0\xff\0\0\0");
    let too_large = TooLarge { claimed_bytes: 0xff00_0000, max_bytes: 16 * 1024 * 1024 };
    for (more, expected) in [
        (Bytes::new(), End::Peer),
        (Bytes::from_static(b"\x01"), End::Cut),
        (Bytes::from_static(b"\0\0\0\0\x02x"), End::Cut),
        (large, End::TooLarge(too_large)),
    ] {
        let mut tagged = tagged(Overflow::End, 10);
        let a = tagged.open(b"a").unwrap();
        feed(&mut tagged, &[("a", "1")]);
        let mut fx = Vec::new();
        tagged.feed(more, &mut fx);
        tagged.over(&mut fx);
        assert_eq!(fx, [Effect::Ended(expected)]);
        assert_eq!((tagged.end(), tagged.wants_bytes()), (Some(expected), false));
        assert_eq!(recv(&mut tagged, a), Received::Message(frame("a", "1")));
        assert_eq!(recv(&mut tagged, a), Received::Ended(expected));
    }
}

#[test]
fn a_large_message_is_read_into_a_buffer_that_is_taken_out_meanwhile() {
    let mut tagged = tagged(Overflow::End, 10);
    let a = tagged.open(b"a").unwrap();
    let mut fx = Vec::new();
    tagged.feed(Bytes::from_static(b"\x01a\0\x01\0\0x"), &mut fx);
    let (mut data, missing) = tagged.take_direct().expect("it is large");
    assert_eq!((&data[..], missing), (&b"x"[..], 65_535));
    assert_eq!(recv(&mut tagged, a), Received::Nothing);
    data.resize(65_535, 7);
    tagged.give_direct(data, &mut fx);
    assert!(fx.is_empty());
    tagged.feed(Bytes::from_static(b"y\x01a"), &mut fx);
    let Received::Message(frame) = recv(&mut tagged, a) else { panic!("it is whole") };
    assert_eq!((frame.data.len(), frame.data[65_535]), (65_536, b'y'));
    // It may end while the buffer is away.
    tagged.feed(Bytes::from_static(b"\0\x01\0\0"), &mut fx);
    let (data, _) = tagged.take_direct().expect("it is large, too");
    tagged.finish(End::Closed, &mut fx);
    tagged.give_direct(data, &mut fx);
    assert_eq!((recv(&mut tagged, a), tagged.held_bytes()), (Received::Ended(End::Closed), 0));
}

#[test]
fn what_stalled_is_received_before_the_end_of_the_peer_and_discarded_at_our_own() {
    let mut by_peer = tagged(Overflow::Stall, 1);
    let a = by_peer.open(b"a").unwrap();
    feed(&mut by_peer, &[("a", "1"), ("a", "2"), ("a", "3")]);
    let mut fx = Vec::new();
    by_peer.over(&mut fx);
    assert_eq!((fx, by_peer.end()), (vec![], None));
    for data in ["1", "2", "3"] {
        assert_eq!(recv(&mut by_peer, a), Received::Message(frame("a", data)));
    }
    assert_eq!(recv(&mut by_peer, a), Received::Ended(End::Peer));

    let mut by_us = tagged(Overflow::Stall, 1);
    let a = by_us.open(b"a").unwrap();
    feed(&mut by_us, &[("a", "1"), ("a", "2"), ("a", "3")]);
    let mut fx = Vec::new();
    by_us.finish(End::Closed, &mut fx);
    by_us.finish(End::Network, &mut fx);
    assert_eq!(fx, [discarded("a", Discarded::Closed, 2), Effect::Ended(End::Closed)]);
    assert_eq!(recv(&mut by_us, a), Received::Message(frame("a", "1")));
    assert_eq!(recv(&mut by_us, a), Received::Ended(End::Closed));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn whatever_comes_no_message_is_lost_without_being_told(
        how: [u8; 4],
        rest in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        live(&[&how[..], &rest].concat());
    }
}
