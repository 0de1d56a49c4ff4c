//! Multiplexed connections without `async`.

use spanwire::blocking::mux::tagged::{self, TaggedEvent, TaggedOptions};
use spanwire::blocking::mux::{self, Connection, Pool, Server};
use spanwire::mux::{
    AcceptError, Code, Event, LogicalOptions, LogicalRecvError, MuxOptions, PoolBounds, PoolOptions,
    RecvError, SendError, ServerOptions,
};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);
const MS: Duration = Duration::from_millis(1);
const TCP: &str = "tcp://127.0.0.1:0";

fn echo(server: &Server) {
    let server = server.clone();
    thread::spawn(move || {
        while let Ok(channel) = server.accept("") {
            thread::spawn(move || {
                while let Ok(body) = channel.recv() {
                    if channel.send(body).is_err() {
                        return;
                    }
                }
            });
        }
    });
}

#[test]
fn channels_carry_messages_both_ways() {
    let server = Server::with(ServerOptions::default());
    let url = server.listen(TCP).unwrap();
    assert_eq!((server.url(), server.urls()), (url.clone(), vec![url.clone()]));
    let mut events = server.events();
    let here = Connection::connect(&url, MuxOptions::default()).unwrap();
    assert!(matches!(events.next(), Some(Event::Connected { .. })));
    let channel = here.open("x").unwrap();
    channel.send("hello").unwrap();
    let there = server.accept("x").unwrap();
    channel.accepted().unwrap();
    assert_eq!(there.recv().unwrap(), "hello");
    channel.flush().unwrap();
    assert_eq!((channel.account().delivered, there.id().as_str()), (1, "x"));
    assert_eq!(there.recv_timeout(MS), Err(RecvError::TimedOut));
    assert_eq!(there.try_recv(), Err(RecvError::Empty));
    assert_eq!(server.accept_timeout("", MS).unwrap_err(), AcceptError::TimedOut);
    assert!(here.ping().is_ok());
    channel.finish();
    assert_eq!(there.recv(), Err(RecvError::Finished));
    assert_eq!(server.connections().len(), 1);
    drop((channel, there));
    assert!(here.close(SOON));
    assert!(server.close(SOON));
}

#[test]
fn streams_are_readers_and_writers() {
    let server = Server::bind(TCP).unwrap();
    let here = Connection::connect(&server.url(), MuxOptions::default()).unwrap();
    let channel = here.open("x").unwrap();
    let there = server.accept("x").unwrap();
    let reading = thread::spawn(move || {
        let mut bytes = Vec::new();
        there.recv_stream().unwrap().read_to_end(&mut bytes).unwrap();
        let pieces = there.recv_stream().unwrap().map(|piece| piece.unwrap().len()).sum::<usize>();
        (bytes, pieces)
    });
    let sent: Vec<u8> = (0..3_000_000_u32).map(|number| number as u8).collect();
    let mut stream = channel.send_stream().unwrap();
    stream.write_all(&sent).unwrap();
    stream.finish();
    let mut stream = channel.send_stream().unwrap();
    stream.write_chunk(vec![7; 100_000]).unwrap();
    stream.finish();
    let (bytes, pieces) = reading.join().unwrap();
    assert!(bytes == sent);
    assert_eq!(pieces, 100_000);
}

#[test]
fn a_connection_of_the_standard_library_can_be_wrapped() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (theirs, _) = listener.accept().unwrap();
    let here = Connection::wrap(ours, MuxOptions::default()).unwrap();
    let there = Connection::wrap(theirs, MuxOptions::default()).unwrap();
    let channel = here.open("x").unwrap();
    channel.send("hello").unwrap();
    let accepted = there.accept("").unwrap();
    assert_eq!((accepted.id().as_str(), accepted.recv().unwrap()), ("x", "hello".into()));
    drop((channel, accepted));
    assert!(here.close(SOON));
    there.ended();
}

#[test]
fn the_halves_of_a_channel_go_to_two_threads() {
    let server = Server::bind(TCP).unwrap();
    let here = Connection::connect(&server.url(), MuxOptions::default()).unwrap();
    let (sender, receiver) = here.open("x").unwrap().split();
    let there = server.accept("x").unwrap();
    assert_eq!((there.number(), sender.channel().number()), (receiver.channel().number(), there.number()));
    assert_eq!(receiver.try_recv(), Err(RecvError::Empty));
    assert_eq!(receiver.recv_timeout(MS), Err(RecvError::TimedOut));
    let sending = thread::spawn(move || {
        for number in 0..1_000 {
            sender.send(number.to_string()).unwrap();
        }
        sender.send_timeout("last but one", SOON).unwrap();
        sender.try_send("last").unwrap();
        sender.flush().unwrap();
        sender.finish();
        sender.channel().account().delivered
    });
    let echo = thread::spawn(move || {
        while let Ok(message) = there.recv() {
            there.send(message).unwrap();
        }
        there.finish();
    });
    for number in 0..1_000 {
        assert_eq!(receiver.recv().unwrap(), number.to_string());
    }
    assert_eq!(receiver.recv().unwrap(), "last but one");
    assert_eq!(receiver.recv().unwrap(), "last");
    assert_eq!(receiver.recv(), Err(RecvError::Finished));
    assert_eq!(sending.join().unwrap(), 1_002);
    echo.join().unwrap();
}

#[test]
fn who_wants_nothing_more_says_so_with_its_half() {
    let server = Server::bind(TCP).unwrap();
    let here = Connection::connect(&server.url(), MuxOptions::default()).unwrap();
    let channel = here.open("x").unwrap();
    let (sender, receiver) = server.accept("x").unwrap().split();
    receiver.stop(Code(300));
    let stopped = std::iter::repeat_with(|| channel.send("?")).take(100_000).find_map(Result::err);
    assert!(matches!(stopped, Some(SendError::Stopped { code: Code(300), .. })), "{stopped:?}");
    sender.send("the other way goes on").unwrap();
    assert_eq!(channel.recv().unwrap(), "the other way goes on");
}

fn tagged_pair(options: TaggedOptions) -> (tagged::Connection, tagged::Connection) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (theirs, _) = listener.accept().unwrap();
    let wrap = |io| tagged::Connection::wrap(io, options.clone()).unwrap();
    (wrap(ours), wrap(theirs))
}

#[test]
fn messages_go_both_ways_in_the_tagged_layout() {
    let (here, there) = tagged_pair(TaggedOptions::default());
    let (user, all) = (here.open("user").unwrap(), there.open("").unwrap());
    assert_eq!(here.open("user").unwrap_err(), tagged::OpenError::InUse);
    assert!(matches!(user.try_recv(), Err(tagged::RecvError::Empty)));
    assert!(matches!(user.recv_timeout(MS), Err(tagged::RecvError::TimedOut)));
    let echo = thread::spawn({
        let there = there.clone();
        move || {
            while let Ok(frame) = all.recv() {
                there.send(&frame.id, frame.data).unwrap();
            }
            there.close(SOON)
        }
    });
    for number in 0..100 {
        user.send(number.to_string()).unwrap();
        assert_eq!(user.recv().unwrap().data, number.to_string());
    }
    user.send_timeout("last but one", SOON).unwrap();
    user.connection().try_send(user.id(), "last").unwrap();
    here.flush().unwrap();
    assert_eq!(user.recv_timeout(SOON).unwrap().data, "last but one");
    assert_eq!(user.recv().unwrap().data, "last");
    assert_eq!((here.stats().messages, there.stats().received), (102, 102));
    let mut events = there.events();
    assert_eq!(there.end(), None);
    let report = here.close(SOON);
    assert_eq!((report.flushed, report.abandoned), (102, 0));
    there.ended();
    assert_eq!(echo.join().unwrap().flushed, 102);
    assert!(events.any(|event| matches!(event, TaggedEvent::Ended(_))));
    assert!(matches!(user.send("too late"), Err(tagged::SendError::Ended { .. })));
}

#[test]
fn a_thread_that_waits_for_room_in_the_tagged_layout_gets_it_when_the_peer_reads() {
    let options = TaggedOptions { send_messages: 4, ..TaggedOptions::default() };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut theirs, _) = listener.accept().unwrap();
    theirs.set_read_timeout(Some(SOON)).unwrap();
    let here = tagged::Connection::wrap(ours, options).unwrap();
    let user = here.open("user").unwrap();
    let large = vec![7; 1 << 20];
    let mut sent = 0_usize;
    let full = loop {
        assert!(sent < 1_000, "somebody who does not read is not sent to for ever");
        match user.send_timeout(large.clone(), MS * 20) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(&full, tagged::SendError::TimedOut(data) if *data == large), "{full}");
    let waits = thread::spawn(move || user.send(large));
    let mut frame = vec![0; 1 + 4 + 4 + (1 << 20)];
    for _ in 0..=sent {
        theirs.read_exact(&mut frame).unwrap();
        assert_eq!(frame[..9], *b"\x04user\x00\x10\x00\x00");
    }
    waits.join().unwrap().unwrap();
}

#[test]
fn many_threads_share_one_physical_connection() {
    let server = Server::bind(TCP).unwrap();
    echo(&server);
    let pool = Pool::with(PoolOptions { bounds: PoolBounds::default(), ..PoolOptions::default() });
    let url = server.url();
    let threads: Vec<_> = (0..8)
        .map(|number| {
            let (pool, url) = (pool.clone(), url.clone());
            thread::spawn(move || {
                let channel = pool.open(&url, &number.to_string()).unwrap();
                for round in 0..50 {
                    channel.send(format!("{number} {round}")).unwrap();
                    assert_eq!(channel.recv().unwrap(), format!("{number} {round}"));
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(pool.stats().total.dials, 1);
    assert!(pool.close(SOON));
}

#[test]
fn a_logical_connection_finds_a_server_that_was_restarted() {
    let first = Server::bind(TCP).unwrap();
    let url = first.url();
    echo(&first);
    let pool = Pool::with(PoolOptions::default());
    let here = pool.connect(&url, "x", LogicalOptions::default()).unwrap();
    here.send("one").unwrap();
    assert_eq!(here.recv().unwrap(), "one");
    here.flush().unwrap();
    let waits = thread::spawn({
        let here = here.clone();
        move || here.recv()
    });
    first.close(Duration::ZERO);
    // It may not have waited yet: then it finds nobody.
    let told = waits.join().unwrap().unwrap_err();
    assert!(matches!(told, LogicalRecvError::Lost(_) | LogicalRecvError::Open(_)), "{told:?}");
    let second = Server::bind(&url).unwrap();
    echo(&second);
    here.send("two").unwrap();
    assert_eq!(here.recv_timeout(SOON).unwrap(), "two");
    assert_eq!(here.close(SOON).delivered, 2);
}

#[test]
fn one_call_connects_through_the_pool_of_the_process() {
    let server = Server::bind("inproc://mux-blocking-global").unwrap();
    echo(&server);
    let here = mux::connect(&server.url(), "x").unwrap();
    here.send("ping").unwrap();
    assert_eq!(here.recv().unwrap(), "ping");
    assert_eq!(Pool::global().connections().len(), 1);
    here.close(SOON);
}
