//! The blocking twins.

use crate::support::{SOON, everywhere};
use bytes::Bytes;
use spanwire::blocking::link::*;
use spanwire::link::{CallError, ConnectError, End, Event, Fault, Parcel, RecvError};
use std::thread;
use std::time::Duration;

#[test]
fn messages_requests_and_streams_without_async_over_every_transport() {
    for url in everywhere() {
        let host = Host::new("bob");
        let mut events = host.events();
        let server = host.serve(&url).unwrap();
        let to = server.url();
        let ann = thread::spawn(move || {
            let ann = Host::new("ann").connect(&to).unwrap();
            assert_eq!((ann.peer().host.as_str(), ann.end()), ("bob", None));
            ann.send(Parcel::new(1, 2, "a message")).unwrap();
            assert_eq!(ann.call("a question"), Ok("an answer".into()));
            let code = Fault::Other(300);
            assert_eq!(ann.call("another"), Err(CallError::Failed { code, text: "no".into() }));
            let mut stream = ann.send_stream("").unwrap();
            for n in 0..20_u8 {
                stream.write_chunk(vec![n; 100_000]).unwrap();
            }
            stream.finish().unwrap();
            ann.close(SOON)
        });
        let bob = server.accept_timeout(SOON).unwrap();
        assert!(matches!(events.next(), Some(Event::Connected(peer)) if peer.host == "ann"));
        assert_eq!(bob.recv_timeout(SOON), Ok(Parcel::new(1, 2, "a message")));
        assert!(bob.recv_request().unwrap().reply("an answer"));
        assert!(bob.recv_request_timeout(SOON).unwrap().fail(Fault::Other(300), "no"));
        let stream = bob.recv_stream().unwrap();
        let bytes: usize = stream.map(|piece| piece.unwrap().len()).sum();
        assert_eq!(bytes, 2_000_000);
        let report = ann.join().unwrap();
        assert_eq!((report.flushed, report.abandoned, report.unknown), (3, 0, 0), "{url}");
        assert!(matches!(bob.ended(), End::ClosedByPeer { .. }));
        assert!(matches!(bob.recv(), Err(RecvError::Closed(_))));
        server.close(SOON);
    }
}

#[test]
fn a_dialer_hands_out_the_next_connection() {
    let server = serve("tcp://127.0.0.1:0").unwrap();
    let dialer = Host::new("ann").dialer(&server.url()).unwrap();
    for _ in 0..2 {
        let here = dialer.next_timeout(SOON).unwrap();
        let there = server.accept().unwrap();
        there.close(SOON);
        here.ended();
    }
    dialer.close(SOON);
    assert!(matches!(dialer.next(), Err(ConnectError::Closed)));
}

#[test]
fn threads_share_a_connection_and_waits_have_deadlines() {
    let server = serve("tcp://127.0.0.1:0").unwrap();
    let (here, there) = (connect(&server.url()).unwrap(), server.accept().unwrap());
    assert_eq!(there.recv_timeout(Duration::from_millis(5)), Err(RecvError::TimedOut));
    assert_eq!(there.try_recv(), Err(RecvError::Empty));
    thread::scope(|scope| {
        for n in 0..4_u16 {
            let here = &here;
            scope.spawn(move || (0..500).for_each(|_| here.send(Parcel::new(n, 0, vec![1; 100])).unwrap()));
        }
        for _ in 0..2_000 {
            assert_eq!(there.recv().unwrap().body, Bytes::from(vec![1; 100]));
        }
    });
    assert_eq!(here.call_timeout("?", Duration::from_millis(5)), Err(CallError::TimedOut));
}
