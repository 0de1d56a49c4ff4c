//! The halves over a wire in memory, which takes and gives as much at a time as the test says.

use super::{accept, connect};
use crate::tls::{Identity, Roots, TlsClient, TlsClientOptions, TlsServer, TlsServerOptions};
use crate::transport::{Ends, Place, ReadHalf, Stream, WriteHalf};
use proptest::prelude::*;
use rcgen::{CertificateParams, KeyPair};
use spanwire_core::addr::Host;
use spanwire_core::framing::sp::Framing;
use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, ErrorKind, IoSlice};
#[cfg(unix)]
use std::os::fd::BorrowedFd;
use std::pin::pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Waker};
#[cfg(unix)]
use std::time::Duration;

/// One direction of a wire.
#[derive(Default)]
struct Wire {
    bytes: VecDeque<u8>,
    /// It takes no more than this in all.
    room: usize,
    /// It gives and takes at most so much at a time.
    step: usize,
    ended: bool,
}

type Shared = Arc<Mutex<Wire>>;

struct Reader(Shared);
struct Writer(Shared);

impl ReadHalf for Reader {
    fn poll_read(&mut self, _: &mut Context<'_>, to: &mut Vec<u8>, limit: usize) -> Poll<io::Result<usize>> {
        let wire = &mut *self.0.lock().unwrap();
        let count = limit.min(wire.step).min(wire.bytes.len());
        if count == 0 && !wire.ended {
            return Poll::Pending;
        }
        to.extend(wire.bytes.drain(..count));
        Poll::Ready(Ok(count))
    }

    #[cfg(unix)]
    fn try_read(&mut self, buffer: &mut Vec<u8>, limit: usize) -> io::Result<usize> {
        match self.poll_read(&mut Context::from_waker(Waker::noop()), buffer, limit) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(ErrorKind::WouldBlock.into()),
        }
    }

    #[cfg(unix)]
    fn unwatch(&mut self) {}
}

impl WriteHalf for Writer {
    fn try_write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let wire = &mut *self.0.lock().unwrap();
        let room = wire.room.saturating_sub(wire.bytes.len()).min(wire.step);
        let taken: Vec<u8> = pieces.iter().flat_map(|piece| piece.iter().copied()).take(room).collect();
        if taken.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        wire.bytes.extend(&taken);
        Ok(taken.len())
    }

    fn poll_writable(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = self.0.lock().unwrap();
        if wire.bytes.len() < wire.room { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn kernel_bytes(&self) -> usize {
        0
    }

    fn shut_down(&self) -> io::Result<()> {
        self.0.lock().unwrap().ended = true;
        Ok(())
    }

    #[cfg(unix)]
    fn wait_readable(&self, _: BorrowedFd<'_>, _: Option<Duration>) -> io::Result<bool> {
        Ok(false)
    }
}

/// Two ends that have shaken hands, and the wires from the client and from the server.
struct Pair {
    client: Stream,
    server: Stream,
    to_server: Shared,
    to_client: Shared,
}

/// A client and a server that trust each other, at this host.
pub(crate) fn handles() -> &'static (TlsClient, TlsServer) {
    static HANDLES: OnceLock<(TlsClient, TlsServer)> = OnceLock::new();
    HANDLES.get_or_init(|| {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["here.test".into(), "127.0.0.1".into()])
            .unwrap()
            .self_signed(&key)
            .unwrap();
        let roots = Roots::pem(certificate.pem());
        let identity = Identity::pem(certificate.pem(), key.serialize_pem());
        let client = TlsClient::new(TlsClientOptions { roots, ..TlsClientOptions::default() }).unwrap();
        (client, TlsServer::new(TlsServerOptions::new(identity)).unwrap())
    })
}

impl Pair {
    /// Shakes hands over wires that move `step` bytes at a time.
    fn new(step: usize) -> Self {
        let wire = || Shared::new(Mutex::new(Wire { room: usize::MAX, step, ..Wire::default() }));
        let (to_server, to_client) = (wire(), wire());
        let stream = |from: &Shared, to: &Shared| Stream {
            reader: Box::new(Reader(from.clone())),
            writer: Arc::new(Writer(to.clone())),
            framing: Framing::Tcp,
            agreed: false,
            ends: Ends { local: Place::Unnamed, remote: Place::Unnamed, credentials: None, tls: None },
        };
        let (client, server) = handles();
        let host = Host::Name("here.test".into());
        let mut connect = pin!(connect(stream(&to_client, &to_server), client, &host));
        let mut accept = pin!(accept(stream(&to_server, &to_client), server));
        let (mut ours, mut theirs) = (None, None);
        let cx = &mut Context::from_waker(Waker::noop());
        for _ in 0..100_000 {
            poll_into(connect.as_mut(), &mut ours, cx);
            poll_into(accept.as_mut(), &mut theirs, cx);
            if ours.is_some() && theirs.is_some() {
                break;
            }
        }
        let (client, server) = (ours.unwrap().unwrap(), theirs.unwrap().unwrap());
        Self { client, server, to_server, to_client }
    }
}

fn poll_into<F: Future>(future: std::pin::Pin<&mut F>, output: &mut Option<F::Output>, cx: &mut Context<'_>) {
    if output.is_none() {
        if let Poll::Ready(done) = future.poll(cx) {
            *output = Some(done);
        }
    }
}

fn read(stream: &mut Stream, limit: usize) -> Poll<io::Result<Vec<u8>>> {
    let mut buffer = Vec::new();
    let read = stream.reader.poll_read(&mut Context::from_waker(Waker::noop()), &mut buffer, limit);
    read.map_ok(|count| {
        assert_eq!(count, buffer.len());
        assert!(count <= limit);
        buffer
    })
}

/// A byte of an endless text in which no stretch looks like another.
fn text(at: usize) -> u8 {
    (at.wrapping_mul(2_654_435_761) >> 13) as u8
}

#[derive(Clone, Debug)]
enum Op {
    /// Offers pieces of these sizes.
    Write(Vec<usize>),
    /// Reads at most so much.
    Read(usize),
    /// The wire takes so much in all, so much at a time.
    Wire(usize, usize),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let size = || prop_oneof![1_usize..40, 1_000_usize..20_000, Just(16_384), 60_000_usize..200_000];
    let op = prop_oneof![
        4 => prop::collection::vec(size(), 1..5).prop_map(Op::Write),
        4 => size().prop_map(Op::Read),
        2 => (1_usize..100_000, 1_usize..40_000).prop_map(|(room, step)| Op::Wire(room, step)),
    ];
    prop::collection::vec(op, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However little the wire takes at a time: what is reported has left, and arrives once and in order.
    #[test]
    fn what_is_written_arrives_once_and_in_order(ops in ops(), step in 1_usize..5_000) {
        let mut pair = Pair::new(step);
        let (mut reported, mut received, mut held) = (0, 0, 0);
        for op in ops {
            match op {
                Op::Write(sizes) => {
                    // What is held has to come again.
                    let total = sizes.iter().sum::<usize>().max(held);
                    let bytes: Vec<u8> = (reported..reported + total).map(text).collect();
                    let mut left = &bytes[..];
                    let mut pieces = Vec::new();
                    for size in sizes.iter().chain([&total]) {
                        let (piece, rest) = left.split_at((*size).min(left.len()));
                        pieces.push(IoSlice::new(piece));
                        left = rest;
                    }
                    match pair.client.writer.try_write(&pieces) {
                        Ok(count) => {
                            prop_assert!(0 < count && count <= total);
                            reported += count;
                        }
                        Err(error) => prop_assert_eq!(error.kind(), ErrorKind::WouldBlock),
                    }
                    held = pair.client.writer.held_bytes();
                    prop_assert!(held <= total);
                }
                Op::Read(limit) => {
                    if let Poll::Ready(bytes) = read(&mut pair.server, limit) {
                        for byte in bytes.unwrap() {
                            prop_assert_eq!(byte, text(received));
                            received += 1;
                        }
                    }
                }
                Op::Wire(room, step) => {
                    let wire = &mut *pair.to_server.lock().unwrap();
                    (wire.room, wire.step) = (room.max(1), step);
                }
            }
            prop_assert!(received <= reported + held);
        }
        // Once it flows, all of it comes, and then the end.
        *pair.to_server.lock().unwrap() = {
            let bytes = std::mem::take(&mut pair.to_server.lock().unwrap().bytes);
            Wire { bytes, room: usize::MAX, step: 1 << 20, ended: false }
        };
        if held > 0 {
            let bytes: Vec<u8> = (reported..reported + held).map(text).collect();
            prop_assert_eq!(pair.client.writer.try_write(&[IoSlice::new(&bytes)]).unwrap(), held);
            reported += held;
        }
        prop_assert_eq!(pair.client.writer.held_bytes(), 0);
        pair.client.writer.shut_down().unwrap();
        loop {
            match read(&mut pair.server, 64 * 1024) {
                Poll::Ready(Ok(bytes)) if bytes.is_empty() => break,
                Poll::Ready(Ok(bytes)) => {
                    for byte in bytes {
                        prop_assert_eq!(byte, text(received));
                        received += 1;
                    }
                }
                other => prop_assert!(false, "{other:?}"),
            }
        }
        prop_assert_eq!(received, reported);
    }

    /// Whatever comes after the handshake: no panic, nothing that was not sent is read, and a failure stays.
    #[test]
    fn what_is_changed_on_the_way_is_never_read(
        sizes in prop::collection::vec(0_usize..30_000, 1..4),
        at: prop::sample::Index,
        change in 1_u8..,
        step in 1_usize..40_000,
    ) {
        let mut pair = Pair::new(1 << 20);
        let total: usize = sizes.iter().sum();
        let mut sent = 0;
        for size in sizes {
            let bytes: Vec<u8> = (sent..sent + size).map(text).collect();
            if size > 0 {
                sent += pair.client.writer.try_write(&[IoSlice::new(&bytes)]).unwrap();
            }
        }
        pair.client.writer.shut_down().unwrap();
        {
            let wire = &mut *pair.to_server.lock().unwrap();
            wire.step = step;
            let at = at.index(wire.bytes.len());
            wire.bytes[at] ^= change;
        }
        let mut received = 0;
        let failed = loop {
            match read(&mut pair.server, 10_000) {
                Poll::Ready(Ok(bytes)) if bytes.is_empty() => break false,
                Poll::Ready(Ok(bytes)) => {
                    for byte in bytes {
                        prop_assert_eq!(byte, text(received));
                        received += 1;
                    }
                }
                Poll::Ready(Err(_)) => break true,
                // So many reads had nothing in them; it asks to be polled again.
                Poll::Pending => {}
            }
        };
        prop_assert!(failed || received == total);
        if failed {
            let more = match read(&mut pair.server, 100) {
                Poll::Ready(Ok(bytes)) => bytes.len(),
                Poll::Ready(Err(_)) | Poll::Pending => 0,
            };
            prop_assert_eq!(more, 0, "nothing comes behind a failure");
        }
        // Neither a write nor the end of a failed one does more than fail.
        let _ = pair.server.writer.try_write(&[IoSlice::new(b"after that")]);
        let _ = pair.server.writer.shut_down();
    }

    /// Any bytes, before the handshake and behind it.
    #[test]
    fn any_bytes_end_in_an_error_or_wait_for_more(
        bytes in prop::collection::vec(any::<u8>(), 1..600),
        kind in 20_u8..24,
        step in 1_usize..100,
    ) {
        // Some of them look like a record.
        let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
        let record = [&[kind, 3, 3][..], &length, &bytes].concat();
        for bytes in [bytes, record] {
            let mut pair = Pair::new(step);
            pair.to_client.lock().unwrap().bytes.extend(&bytes);
            for _ in 0..bytes.len() + 1 {
                match read(&mut pair.client, 100) {
                    Poll::Ready(Ok(bytes)) => prop_assert!(bytes.is_empty(), "nobody has sealed that"),
                    Poll::Ready(Err(_)) | Poll::Pending => {}
                }
            }
            let _ = pair.client.writer.try_write(&[IoSlice::new(b"after that")]);

            let wire = Shared::new(Mutex::new(Wire { step, ended: true, ..Wire::default() }));
            wire.lock().unwrap().bytes.extend(&bytes);
            let stream = Stream {
                reader: Box::new(Reader(wire)),
                writer: Arc::new(Writer(Shared::default())),
                framing: Framing::Tcp,
                agreed: false,
                ends: Ends { local: Place::Unnamed, remote: Place::Unnamed, credentials: None, tls: None },
            };
            let mut accept = pin!(accept(stream, &handles().1));
            let mut output = None;
            poll_into(accept.as_mut(), &mut output, &mut Context::from_waker(Waker::noop()));
            prop_assert!(output.is_some_and(|result| result.is_err()));
        }
    }
}

#[test]
fn an_end_without_close_notify_is_one_between_records_alone() {
    for cut in [0, 1, 10] {
        let mut pair = Pair::new(1 << 20);
        assert_eq!(pair.client.writer.try_write(&[IoSlice::new(b"whole")]).unwrap(), 5);
        {
            let wire = &mut *pair.to_server.lock().unwrap();
            let left = wire.bytes.len() - cut;
            wire.bytes.truncate(left);
            wire.ended = true;
        }
        let first = read(&mut pair.server, 100);
        match cut {
            0 => {
                assert!(matches!(first, Poll::Ready(Ok(bytes)) if bytes == b"whole"));
                assert!(matches!(read(&mut pair.server, 100), Poll::Ready(Ok(bytes)) if bytes.is_empty()));
            }
            _ => {
                let Poll::Ready(Err(error)) = first else { panic!("{first:?}") };
                assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
            }
        }
    }
}

#[test]
fn after_much_on_a_narrow_wire_nothing_is_held_or_left_inside() {
    let mut pair = Pair::new(1 << 20);
    let bytes = vec![7; 300_000];
    let mut sent = 0;
    pair.to_server.lock().unwrap().room = 50_000;
    while sent < bytes.len() {
        match pair.client.writer.try_write(&[IoSlice::new(&bytes[sent..])]) {
            Ok(count) => sent += count,
            Err(_) => drop(read(&mut pair.server, 20_000)),
        }
    }
    while read(&mut pair.server, 20_000).is_ready() {}
    assert_eq!(pair.client.writer.held_bytes(), 0);
    assert!(!pair.server.reader.poll_end(&mut Context::from_waker(Waker::noop())).is_ready());
}
