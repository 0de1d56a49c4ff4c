//! Lengths, types, and cuts in the middle of a frame.

use crate::support::{
    Bed, Marks, Place, Stranger, Stream, close_all, detachment, drop_of, framed, prefix, soon, until,
};
use spanwire::{DetachReason, Dropped, Events, Listener, Options, Protocol, PullSocket, PushSocket};

/// A PULL with an honest peer, which listens for strangers over tcp and over ipc.
struct Puller {
    bed: Bed,
    pull: PullSocket,
    events: Events,
    push: PushSocket,
    tcp: Listener,
    place: Place,
}

impl Puller {
    async fn new(options: Options) -> Self {
        let bed = Bed::new();
        let pull = PullSocket::with(options);
        let place = Place::new();
        let tcp = pull.listen("tcp://127.0.0.1:0").await.unwrap();
        pull.listen(&place.url()).await.unwrap();
        let push = PushSocket::new();
        push.dial(tcp.url()).await.unwrap();
        pull.wait_peers(1).await.unwrap();
        let events = pull.events();
        Self { bed, pull, events, push, tcp, place }
    }

    /// A stranger that has shaken hands, as a PUSH.
    async fn stranger(&self, marks: Marks) -> Stranger<Box<dyn Stream>> {
        match marks {
            Marks::Tcp => self.greeted(Stranger::tcp(self.tcp.local_addr()).await).await,
            Marks::Ipc => self.greeted(Stranger::ipc(&self.place.path()).await).await,
        }
    }

    async fn greeted<S: Stream + 'static>(&self, mut stranger: Stranger<S>) -> Stranger<Box<dyn Stream>> {
        stranger.greet(Protocol::Push).await;
        soon("two peers", self.pull.wait_peers(2)).await.unwrap();
        stranger.boxed()
    }

    /// The honest peer is served, and only it.
    async fn serves(&self) {
        self.push.send("still here").await.unwrap();
        assert_eq!(&soon("a job", self.pull.recv()).await.unwrap()[..], b"still here");
        until("one peer is left", || self.pull.peers().len() == 1).await;
    }

    async fn ends_clean(self) {
        close_all!(self.push, self.pull);
        self.bed.ends_clean().await;
    }
}

/// The claim of a frame is refused, told and counted; returns how many bytes it was counted with.
async fn refused_claim(puller: &mut Puller, marks: Marks, claim: u64) -> usize {
    let before = puller.pull.stats().ledger.dropped(Dropped::TooLarge);
    let mut stranger = puller.stranger(marks).await;
    stranger.say(&prefix(marks, claim)).await;
    stranger.say(b"and some of what was promised").await;
    let (why, bytes) = drop_of(&mut puller.events).await;
    assert_eq!(why, Dropped::TooLarge);
    assert_eq!(detachment(&mut puller.events).await, DetachReason::MessageTooLarge);
    stranger.is_ended().await;
    assert_eq!(puller.pull.stats().ledger.dropped(Dropped::TooLarge), before + 1);
    puller.serves().await;
    bytes
}

/// With the default limit, with none at all, and with the smallest: such a claim is never believed.
async fn refused_whatever_the_limit(claim: u64) {
    for max_message_bytes in [Options::default().max_message_bytes, 0, 10] {
        let mut puller = Puller::new(Options { max_message_bytes, ..Options::default() }).await;
        for marks in [Marks::Tcp, Marks::Ipc] {
            refused_claim(&mut puller, marks, claim).await;
        }
        puller.ends_clean().await;
    }
}

#[tokio::test]
async fn frame_length_of_two_to_the_63_is_refused_without_allocating() {
    refused_whatever_the_limit(1 << 63).await;
}

#[tokio::test]
async fn all_ones_frame_length_is_refused_without_allocating() {
    refused_whatever_the_limit(u64::MAX).await;
}

/// Without a limit, 2^50 bytes are a claim like any other: nothing is allocated for it, and the end of
/// the connection is the end of it.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn claim_of_a_petabyte_without_a_limit_allocates_nothing() {
    let mut puller = Puller::new(Options { max_message_bytes: 0, ..Options::default() }).await;
    for marks in [Marks::Tcp, Marks::Ipc] {
        let mut stranger = puller.stranger(marks).await;
        stranger.say(&prefix(marks, 1 << 50)).await;
        stranger.say(&[7; 100_000]).await;
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
        let kilobytes: u64 = size.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(kilobytes < 1 << 39, "{kilobytes} kB of address space");
        drop(stranger);
        assert_eq!(detachment(&mut puller.events).await, DetachReason::ConnectionLost);
        puller.serves().await;
    }
    puller.ends_clean().await;
}

#[tokio::test]
async fn frame_one_byte_over_the_limit_is_refused_and_counted() {
    const LIMIT: usize = 1_000;
    let mut puller = Puller::new(Options { max_message_bytes: LIMIT, ..Options::default() }).await;
    for marks in [Marks::Tcp, Marks::Ipc] {
        let mut stranger = puller.stranger(marks).await;
        stranger.frame(&[1; LIMIT]).await;
        assert_eq!(soon("the largest message", puller.pull.recv()).await.unwrap().len(), LIMIT);
        drop(stranger);
        assert_eq!(detachment(&mut puller.events).await, DetachReason::PeerClosed);
        assert_eq!(refused_claim(&mut puller, marks, LIMIT as u64 + 1).await, LIMIT + 1);
    }
    assert_eq!(puller.pull.stats().ledger.dropped(Dropped::TooLarge), 2);
    puller.ends_clean().await;
}

#[tokio::test]
async fn cut_at_every_byte_of_a_frame_delivers_nothing_broken() {
    let mut puller = Puller::new(Options::default()).await;
    for marks in [Marks::Tcp, Marks::Ipc] {
        let frame = framed(marks, b"all or nothing");
        for cut in 0..=frame.len() {
            let mut stranger = puller.stranger(marks).await;
            // One whole frame and a part of another, in one piece.
            stranger.say(&[&framed(marks, b"whole"), &frame[..cut]].concat()).await;
            drop(stranger);
            let why = match cut {
                0 => DetachReason::PeerClosed,
                cut if cut == frame.len() => DetachReason::PeerClosed,
                _ => DetachReason::ConnectionLost,
            };
            assert_eq!(detachment(&mut puller.events).await, why, "cut at {cut}");
            assert_eq!(&soon("the whole frame", puller.pull.recv()).await.unwrap()[..], b"whole");
            if cut == frame.len() {
                assert_eq!(&soon("it", puller.pull.recv()).await.unwrap()[..], b"all or nothing");
            }
            puller.serves().await;
        }
    }
    assert_eq!(puller.pull.try_recv().unwrap_err(), spanwire::RecvError::Empty);
    let ledger = puller.pull.stats().ledger;
    assert_eq!(ledger.received_messages, ledger.delivered_messages);
    assert_eq!(ledger.dropped_total(), 0);
    puller.ends_clean().await;
}

/// The same cuts in time: however a frame is torn apart, it arrives.
#[tokio::test]
async fn frame_torn_at_every_byte_arrives_whole() {
    let puller = Puller::new(Options::default()).await;
    for marks in [Marks::Tcp, Marks::Ipc] {
        let mut stranger = puller.stranger(marks).await;
        let frame = framed(marks, b"in two pieces");
        for cut in 1..frame.len() {
            stranger.say(&frame[..cut]).await;
            puller.push.send("between the pieces").await.unwrap();
            assert_eq!(&soon("a job", puller.pull.recv()).await.unwrap()[..], b"between the pieces");
            stranger.say(&frame[cut..]).await;
            assert_eq!(&soon("it", puller.pull.recv()).await.unwrap()[..], b"in two pieces");
        }
        drop(stranger);
        puller.serves().await;
    }
    puller.ends_clean().await;
}

#[tokio::test]
async fn wrong_ipc_type_byte_closes_the_connection() {
    let mut puller = Puller::new(Options::default()).await;
    for kind in [0, 2, 0x7f, 0xff] {
        let mut stranger = puller.stranger(Marks::Ipc).await;
        let mut frame = framed(Marks::Ipc, b"shared memory?");
        frame[0] = kind;
        stranger.say(&[framed(Marks::Ipc, b"before it"), frame].concat()).await;
        assert_eq!(detachment(&mut puller.events).await, DetachReason::ProtocolViolation, "{kind}");
        stranger.is_ended().await;
        assert_eq!(&soon("what came before", puller.pull.recv()).await.unwrap()[..], b"before it");
        puller.serves().await;
    }
    assert_eq!(puller.pull.try_recv().unwrap_err(), spanwire::RecvError::Empty);
    // On tcp there is no such byte: the same bytes are a length there, and one that nobody believes.
    let mut stranger = puller.stranger(Marks::Tcp).await;
    stranger.say(&framed(Marks::Ipc, b"wrong transport")).await;
    assert_eq!(detachment(&mut puller.events).await, DetachReason::MessageTooLarge);
    puller.serves().await;
    puller.ends_clean().await;
}
