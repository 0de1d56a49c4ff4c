//! Messages: their order, their room, their limits.

use super::*;

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
