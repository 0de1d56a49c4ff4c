//! Backtraces, hop counts and ids, as a hostile peer makes them up.

use crate::support::{Bed, Stranger, close_all, detachment, drop_of, soon, until};
use spanwire::{
    DetachReason, Dropped, Event, Events, Options, Pair1Socket, Protocol, RawSocket, RecvError, RepSocket,
    ReqSocket, RespondSocket, SurveySocket,
};
use std::time::Duration;
use tokio::net::TcpStream;

/// A tag as a device adds it.
fn tag(number: u32) -> [u8; 4] {
    (number & 0x7fff_ffff).to_be_bytes()
}

/// The id that ends a backtrace.
fn id(number: u32) -> [u8; 4] {
    (number | 0x8000_0000).to_be_bytes()
}

/// `count` tags altogether, the last of them an id, and a body.
fn request(count: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes: Vec<u8> = (1..count).flat_map(tag).collect();
    bytes.extend(id(7));
    bytes.extend(body);
    bytes
}

/// A REP with an honest REQ, and a stranger that speaks as another.
struct Replier {
    bed: Bed,
    rep: RepSocket,
    honest: ReqSocket,
    events: Events,
    at: Option<std::net::SocketAddr>,
}

impl Replier {
    async fn new(hop_limit: u8) -> Self {
        let bed = Bed::new();
        let rep = RepSocket::with(Options { hop_limit, ..Options::default() });
        let listener = rep.listen("tcp://127.0.0.1:0").await.unwrap();
        let honest = ReqSocket::new();
        honest.dial(listener.url()).await.unwrap();
        rep.wait_peers(1).await.unwrap();
        let events = rep.events();
        Self { bed, rep, honest, events, at: listener.local_addr() }
    }

    async fn stranger(&self) -> Stranger<TcpStream> {
        let mut stranger = Stranger::tcp(self.at).await;
        stranger.greet(Protocol::Req).await;
        self.rep.wait_peers(2).await.unwrap();
        stranger
    }

    /// Replies to the next request with its own body, which it returns.
    async fn echo(&self) -> Vec<u8> {
        let request = soon("a request", self.rep.recv()).await.unwrap();
        let body = request.to_vec();
        request.reply(body.clone()).await.unwrap();
        body
    }

    async fn serves(&self) {
        let (reply, _) =
            soon("a reply", futures_util::future::join(self.honest.request("honest"), self.echo())).await;
        assert_eq!(&reply.unwrap()[..], b"honest");
    }

    async fn ends_clean(self) {
        close_all!(self.honest, self.rep);
        self.bed.ends_clean().await;
    }
}

#[tokio::test]
async fn malformed_backtrace_is_dropped_and_counted() {
    let mut replier = Replier::new(8).await;
    let cut_short: Vec<u8> = (1..=3).flat_map(tag).collect();
    let malformed: [&[u8]; 6] = [b"", b"\x80", b"\x80\0\0", &tag(1), &cut_short, &cut_short[..11]];
    for (n, payload) in malformed.iter().enumerate() {
        let mut stranger = replier.stranger().await;
        stranger.frame(payload).await;
        assert_eq!(drop_of(&mut replier.events).await, (Dropped::Malformed, payload.len()), "{n}");
        assert_eq!(detachment(&mut replier.events).await, DetachReason::ProtocolViolation);
        stranger.is_ended().await;
        replier.serves().await;
    }
    assert_eq!(replier.rep.stats().ledger.dropped(Dropped::Malformed), malformed.len() as u64);
    replier.ends_clean().await;

    // A reply, a survey, an answer, and a PAIR v1 message that are shorter than their header.
    let bed = Bed::new();
    let req = ReqSocket::new();
    let respondent = RespondSocket::new();
    let surveyor = SurveySocket::new();
    let pair = Pair1Socket::new();
    macro_rules! breaks {
        ($socket:expr, $protocol:ident) => {{
            let listener = $socket.listen("tcp://127.0.0.1:0").await.unwrap();
            let mut events = $socket.events();
            for payload in [&b""[..], b"\x80\0\0"] {
                let mut stranger = Stranger::tcp(listener.local_addr()).await;
                stranger.greet(Protocol::$protocol).await;
                stranger.frame(payload).await;
                assert_eq!(drop_of(&mut events).await, (Dropped::Malformed, payload.len()));
                assert_eq!(detachment(&mut events).await, DetachReason::ProtocolViolation);
                stranger.is_ended().await;
            }
            assert_eq!($socket.stats().ledger.dropped_total(), 2);
            close_all!($socket);
        }};
    }
    breaks!(req, Rep);
    breaks!(respondent, Surveyor);
    breaks!(surveyor, Respondent);
    breaks!(pair, Pair1);
    bed.ends_clean().await;
}

#[tokio::test]
async fn message_at_the_hop_limit_is_delivered() {
    for limit in [1, 8, 15] {
        let replier = Replier::new(limit).await;
        let mut stranger = replier.stranger().await;
        let far = request(limit.into(), b"from afar");
        stranger.frame(&far).await;
        assert_eq!(replier.echo().await, b"from afar");
        assert_eq!(stranger.heard().await.unwrap(), far, "and finds the whole way back");
        assert_eq!(replier.rep.stats().ledger.dropped_total(), 0);
        drop(stranger);
        replier.serves().await;
        replier.ends_clean().await;
    }
    let bed = Bed::new();
    let pair = Pair1Socket::with(Options { hop_limit: 3, ..Options::default() });
    let listener = pair.listen("tcp://127.0.0.1:0").await.unwrap();
    let mut stranger = Stranger::tcp(listener.local_addr()).await;
    stranger.greet(Protocol::Pair1).await;
    // Nought comes from mangos.
    for hops in 0..=3_u8 {
        stranger.frame(&[0, 0, 0, hops, hops]).await;
        assert_eq!(soon("it", pair.recv()).await.unwrap()[..], [hops]);
    }
    drop(stranger);
    close_all!(pair);
    bed.ends_clean().await;
}

#[tokio::test]
async fn message_over_the_hop_limit_is_dropped_and_counted() {
    for limit in [1, 8, 15_u8] {
        let mut replier = Replier::new(limit).await;
        let mut stranger = replier.stranger().await;
        // One hop too many, and a backtrace that does not end at all.
        let endless: Vec<u8> = (1..=100_000).flat_map(tag).collect();
        let far = request(u32::from(limit) + 1, b"from too far");
        for payload in [&far, &endless] {
            stranger.frame(payload).await;
            assert_eq!(drop_of(&mut replier.events).await, (Dropped::HopLimit, payload.len()));
        }
        // A loop is not this peer's fault: its connection stays.
        stranger.frame(&request(1, b"nearby")).await;
        assert_eq!(replier.echo().await, b"nearby");
        assert_eq!(replier.rep.stats().ledger.dropped(Dropped::HopLimit), 2);
        drop(stranger);
        replier.serves().await;
        replier.ends_clean().await;
    }
    let bed = Bed::new();
    let pair = Pair1Socket::new();
    let listener = pair.listen("tcp://127.0.0.1:0").await.unwrap();
    let mut events = pair.events();
    let mut stranger = Stranger::tcp(listener.local_addr()).await;
    stranger.greet(Protocol::Pair1).await;
    for hops in [9, 0xff] {
        stranger.frame(&[0, 0, 0, hops, b'x']).await;
        assert_eq!(drop_of(&mut events).await, (Dropped::HopLimit, 5));
    }
    stranger.frame(b"\0\0\0\x01x").await;
    assert_eq!(&soon("it", pair.recv()).await.unwrap()[..], b"x");
    // No device counts so far.
    stranger.frame(b"\0\0\x01\0x").await;
    assert_eq!(drop_of(&mut events).await, (Dropped::Malformed, 5));
    assert_eq!(detachment(&mut events).await, DetachReason::ProtocolViolation);
    stranger.is_ended().await;
    close_all!(pair);
    bed.ends_clean().await;
}

/// A REQ with one peer, which is a stranger.
async fn asker() -> (ReqSocket, Events, Stranger<TcpStream>) {
    let req = ReqSocket::new();
    let listener = req.listen("tcp://127.0.0.1:0").await.unwrap();
    let mut stranger = Stranger::tcp(listener.local_addr()).await;
    stranger.greet(Protocol::Rep).await;
    req.wait_peers(1).await.unwrap();
    let events = req.events();
    (req, events, stranger)
}

#[tokio::test]
async fn reply_with_an_unknown_id_is_dropped_and_counted() {
    let bed = Bed::new();
    let (req, mut events, mut stranger) = asker().await;
    stranger.frame(&[&id(12)[..], b"you asked?"].concat()).await;
    assert_eq!(drop_of(&mut events).await, (Dropped::NoRequest, 14));
    let lies = async {
        let asked = stranger.heard().await.unwrap();
        let mut other = asked.clone();
        other[3] ^= 1;
        // Another id, the same without its top bit, and then the truth.
        stranger.frame(&other).await;
        stranger.frame(&[&[asked[0] & 0x7f], &asked[1..]].concat()).await;
        stranger.frame(&asked).await;
    };
    let (reply, ()) = soon("a reply", futures_util::future::join(req.request("which?"), lies)).await;
    assert_eq!(&reply.unwrap()[..], b"which?");
    // Late is unknown, too: nobody waits for it any more.
    let asked = req.request_timeout("too late", Duration::from_millis(20)).await;
    assert!(asked.is_err());
    let asked = stranger.heard().await.unwrap();
    stranger.frame(&asked).await;
    until("all are counted", || req.stats().ledger.dropped(Dropped::NoRequest) == 4).await;
    assert_eq!(req.stats().ledger.dropped_total(), 4);
    assert_eq!(req.peers().len(), 1, "that is no reason to part");

    let surveyor = SurveySocket::new();
    let listener = surveyor.listen("tcp://127.0.0.1:0").await.unwrap();
    let mut respondent = Stranger::tcp(listener.local_addr()).await;
    respondent.greet(Protocol::Respondent).await;
    surveyor.wait_peers(1).await.unwrap();
    let survey = surveyor.survey("who?").await.unwrap().end_when_all_answered();
    let asked = respondent.heard().await.unwrap();
    let mut other = asked.clone();
    other[3] ^= 1;
    respondent.frame(&other).await;
    respondent.frame(&asked).await;
    let answers = soon("answers", survey.collect()).await;
    assert_eq!(answers.len(), 1);
    assert_eq!(surveyor.stats().ledger.dropped(Dropped::NoRequest), 1);
    drop((stranger, respondent));
    close_all!(req, surveyor);
    bed.ends_clean().await;
}

#[tokio::test]
async fn second_reply_to_a_request_is_dropped_and_counted() {
    let bed = Bed::new();
    let (req, mut events, mut stranger) = asker().await;
    let context = req.context();
    context.send("once").await.unwrap();
    let asked = stranger.heard().await.unwrap();
    for _ in 0..3 {
        stranger.frame(&asked).await;
    }
    for _ in 0..2 {
        assert_eq!(drop_of(&mut events).await, (Dropped::Duplicate, asked.len()));
    }
    assert_eq!(&soon("a reply", context.recv()).await.unwrap()[..], b"once");
    assert_eq!(context.recv().await.unwrap_err(), RecvError::State);
    // Once it was taken, nobody remembers the request.
    stranger.frame(&asked).await;
    assert_eq!(drop_of(&mut events).await, (Dropped::NoRequest, asked.len()));
    assert_eq!(req.stats().ledger.dropped(Dropped::Duplicate), 2);
    assert_eq!(req.stats().ledger.delivered_messages, 1);
    drop(stranger);
    close_all!(req);
    bed.ends_clean().await;
}

#[tokio::test]
async fn raw_socket_sends_nothing_that_its_protocol_does_not_allow() {
    use spanwire::{Message, SendError};
    let bed = Bed::new();
    let rep = RawSocket::new(Protocol::Rep);
    let listener = rep.listen("tcp://127.0.0.1:0").await.unwrap();
    let req = ReqSocket::new();
    req.dial(listener.url()).await.unwrap();
    rep.wait_peers(1).await.unwrap();
    let mut events = rep.events();
    let nobody = Message::with_header(&tag(1)[..], "to nobody");
    assert!(matches!(rep.send(nobody).await, Err(SendError::NoSuchPeer(_))));
    for header in [&b""[..], b"\0\0\0"] {
        let error = rep.send(Message::with_header(header, "where to?")).await.unwrap_err();
        assert!(matches!(error, SendError::NoSuchPeer(_) | SendError::BadHeader(_)), "{error:?}");
    }
    let pair = RawSocket::new(Protocol::Pair1);
    let other = Pair1Socket::new();
    other.dial(pair.listen("tcp://127.0.0.1:0").await.unwrap().url()).await.unwrap();
    pair.wait_peers(1).await.unwrap();
    for header in [&b""[..], b"\0\0\0", b"\0\0\x01\0", b"\0\0\0\x01\0"] {
        let error = pair.send(Message::with_header(header, "hop")).await.unwrap_err();
        assert!(matches!(error, SendError::BadHeader(_)), "{error:?}");
    }
    assert!(matches!(events.try_next(), None | Some(Event::Attached(_))));
    close_all!(req, rep, other, pair);
    bed.ends_clean().await;
}
