//! Peers that are too fast.

use super::*;

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
        pair.bob.pace(pair.now);
        pair.ann.link.pulse.heard(pair.now);
        pair.run();
        got += pair.bob.received_at(pair.now);
    }
    assert!((1_050..=1_120).contains(&got), "{got}: a burst of 100 and 100 a second, and a window");
    assert!(pair.bob.link.stats().slowed > 50 && pair.bob.link.is_open());
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
fn two_connections_of_one_peer_share_one_allowance_and_another_peer_has_its_own() {
    let options = LinkOptions { bytes_per_second: Some(1_000), ..LinkOptions::default() };
    let mut pairs: [Pair; 3] = core::array::from_fn(|_| Pair::with(options.clone(), &[usize::MAX]));
    let shared = pairs[0].bob.rates.clone();
    shared.as_ref().unwrap().borrow_mut().join((), START);
    pairs[1].bob.rates = shared;
    for pair in &mut pairs {
        pair.ann.send(vec![0; 900]).unwrap();
        pair.run();
        assert_eq!(pair.bob.received().len(), 1);
    }
    // Both would have more than half of their windows to tell of.
    for pair in &mut pairs {
        pair.ann.send(vec![0; 3 << 20]).unwrap();
        pair.run();
        assert_eq!(pair.bob.received().len(), 1);
        pair.run();
    }
    let debt = |bytes: u64| Some(START + Duration::from_secs(bytes) / 1_000);
    let dues = pairs.each_ref().map(|pair| pair.bob.link.slowed_until);
    assert_eq!(dues[0], debt(900 * 2 + (3 << 20) - 1_000));
    assert_eq!(dues[1], debt(900 * 2 + 2 * (3 << 20) - 1_000), "it pays for both");
    assert_eq!(dues[2], debt(900 + (3 << 20) - 1_000), "it pays for itself");
    // When its own part is paid, the first one asks again, and learns that there is more.
    let now = dues[0].unwrap();
    pairs[0].bob.link.expire(now);
    pairs[0].bob.pace(now);
    assert_eq!(pairs[0].bob.link.slowed_until, dues[1]);
}

#[test]
fn a_peer_that_sends_streams_is_slowed_down_to_its_rate_too() {
    let options =
        LinkOptions { bytes_per_second: Some(100_000), stream_bytes: 20_000, ..LinkOptions::default() };
    let mut pair = Pair::with(options, &[usize::MAX]);
    let transfer = pair.ann.link.open_stream(&Parcel::from("")).unwrap();
    pair.run();
    let (reading, _) = pair.bob.link.recv_stream().unwrap();
    let mut got = 0;
    while pair.now < at(5_000) {
        pair.ann.link.write_stream(transfer, &mut vec![0; 5_000].into()).ok();
        pair.run();
        while let Piece::Data(data) = pair.bob.link.read_stream(reading) {
            got += data.len();
        }
        pair.bob.pace(pair.now);
        pair.run();
        pair.now = pair.now + Duration::from_millis(5);
        pair.bob.link.expire(pair.now);
        pair.bob.pace(pair.now);
        pair.ann.link.pulse.heard(pair.now);
    }
    // A burst of a second, five seconds, and a window.
    assert!((580_000..=640_000).contains(&got), "{got}");
    assert!(pair.bob.link.stats().slowed > 10 && pair.bob.link.is_open());
}
