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
