//! Every way to end.

use super::*;

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
