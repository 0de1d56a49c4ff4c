//! Hello, Ack, and what comes instead of them.

use super::*;
use alloc::string::String;

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
    let mut ann = side(Role::Dialer, "ann", options.clone());
    let mut bob = side(Role::Acceptor, "bob", options.clone());
    let anns = session_frame(1, &hello("ann", &options).encode());
    assert_eq!((&ann.written, &bob.written), (&anns, &Vec::new()), "who has accepted waits");
    bob.read(&anns, START);
    bob.flush();
    let bobs = session_frame(1, &hello("bob", &options).encode());
    assert_eq!(bob.written, bobs);
    ann.written.clear();
    ann.read(&bobs, START);
    ann.flush();
    assert_eq!(ann.written, session_frame(2, b"\0\0"));
    assert!(!ann.link.is_open() && !bob.link.is_open());
    bob.written.clear();
    bob.read(&session_frame(2, b"\0\0"), START);
    bob.flush();
    assert_eq!(bob.written, session_frame(2, b"\0\0"));
    assert!(bob.link.is_open());
    ann.read(&session_frame(2, b"\0\0"), START);
    assert!(ann.link.is_open());
    ann.send(Parcel::new(0x0102, 0x0304, "hi")).unwrap();
    ann.written.clear();
    ann.flush();
    assert_eq!(ann.written, b"\0\0\0\x07\0\x01\x02\x03\x04hi");
}

#[test]
fn a_peer_of_another_version_is_refused_and_told() {
    let mut bob = side(Role::Acceptor, "bob", LinkOptions::default());
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
    let mut ann = side(Role::Dialer, "ann", LinkOptions::default());
    ann.inject(&refusal, START);
    let Some(End::RefusedByPeer { reason: Reason::Version, text }) = ann.link.end() else {
        panic!("{:?}", ann.link.state());
    };
    assert!(text.contains("versions 7 to 9"));
}

#[test]
fn what_speaks_something_else_is_told_apart() {
    for bytes in [&b"\0SP\0\0\x30\0\0"[..], b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\x04abcd"] {
        let mut bob = side(Role::Acceptor, "bob", LinkOptions::default());
        bob.read(bytes, START);
        assert_eq!(bob.link.end(), Some(&End::Violation(LinkError::Hello(HelloError::NotALink))));
    }
}

#[test]
fn a_host_does_not_connect_to_itself() {
    let mut bob = side(Role::Acceptor, "ann", LinkOptions::default());
    let ann = side(Role::Dialer, "ann", LinkOptions::default());
    bob.read(&ann.written, START);
    assert_eq!(bob.link.end(), Some(&End::RefusedHere { reason: Reason::Myself }));
}

#[test]
fn a_handshake_has_a_deadline() {
    let mut bob = side(Role::Acceptor, "bob", LinkOptions::default());
    assert_eq!(bob.link.deadline(), Some(at(10_000)));
    bob.link.expire(at(9_999));
    assert_eq!(bob.link.end(), None);
    bob.link.expire(at(10_000));
    assert_eq!(bob.link.end(), Some(&End::HandshakeTimeout));
}

#[test]
fn both_sides_prove_the_same_and_never_the_same_twice() {
    let mut ann = side(Role::Dialer, "ann", LinkOptions::default());
    let mut bob = side(Role::Acceptor, "bob", LinkOptions::default());
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
