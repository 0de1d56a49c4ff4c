//! What is told through `tracing`: dials, handshakes, connections and their ends; and of messages nothing.

#![cfg(feature = "tracing")]

mod support;

use spanwire::*;
use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use support::within;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event as Told, Metadata, Subscriber};

/// Writes down what it is told: `+name fields`, `-name` and `!event fields (span)`.
#[derive(Clone, Default)]
struct Scribe(Arc<Book>);

#[derive(Default)]
struct Book {
    lines: Mutex<Vec<String>>,
    /// The spans that are open: name, and how many handles there are.
    spans: Mutex<Vec<(u64, &'static str, usize)>>,
    last: AtomicU64,
    entered: AtomicU64,
}

impl Scribe {
    fn write(&self, line: String) {
        self.0.lines.lock().unwrap().push(line);
    }

    fn lines(&self) -> Vec<String> {
        self.0.lines.lock().unwrap().clone()
    }

    fn says(&self, start: &str) -> bool {
        self.lines().iter().any(|line| line.starts_with(start))
    }
}

struct Words(String);

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0 += &format!(" {field}={value:?}");
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0 += &format!(" {field}={value}");
    }
}

impl Subscriber for Scribe {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "spanwire"
    }
    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut words = Words(format!("+{}", attributes.metadata().name()));
        attributes.record(&mut words);
        self.write(words.0);
        let id = self.0.last.fetch_add(1, Ordering::Relaxed) + 1;
        self.0.spans.lock().unwrap().push((id, attributes.metadata().name(), 1));
        Id::from_u64(id)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Told<'_>) {
        let mut words = Words("!".into());
        event.record(&mut words);
        let spans = self.0.spans.lock().unwrap();
        let of = event.parent().and_then(|id| spans.iter().find(|(other, ..)| *other == id.into_u64()));
        let of = of.map_or("", |(_, name, _)| name);
        self.write(format!("{} ({of})", words.0.replacen("! message=", "!", 1)));
    }
    fn enter(&self, _: &Id) {
        self.0.entered.fetch_add(1, Ordering::Relaxed);
    }
    fn exit(&self, _: &Id) {}
    fn clone_span(&self, id: &Id) -> Id {
        let mut spans = self.0.spans.lock().unwrap();
        spans.iter_mut().find(|(other, ..)| *other == id.into_u64()).unwrap().2 += 1;
        id.clone()
    }
    fn try_close(&self, id: Id) -> bool {
        let mut spans = self.0.spans.lock().unwrap();
        let at = spans.iter().position(|(other, ..)| *other == id.into_u64()).unwrap();
        spans[at].2 -= 1;
        let over = spans[at].2 == 0;
        if over {
            let (_, name, _) = spans.remove(at);
            self.write(format!("-{name}"));
        }
        over
    }
}

/// Waits until it was told.
async fn told(scribe: &Scribe, start: &str) {
    within(async {
        while !scribe.says(start) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_connection_is_told_from_its_dial_to_its_loss_and_its_messages_are_not() {
    let scribe = Scribe::default();
    let _guard = tracing::subscriber::set_default(scribe.clone());
    let (push, pull) = (PushSocket::new(), PullSocket::new());
    let listener = pull.listen("tcp://127.0.0.1:0").await.unwrap();
    let url = listener.url();
    push.dial(url).await.unwrap();
    pull.wait_peers(1).await.unwrap();
    let lines = scribe.lines();
    let has = |line: &str| assert!(lines.iter().any(|other| other.starts_with(line)), "{line}: {lines:#?}");
    has(&format!("+dial url={url} protocol=push"));
    has("-dial");
    has(&format!("+handshake url={url} protocol=push dialed=true"));
    has(&format!("+handshake url={url} protocol=pull dialed=false"));
    has(&format!("+connection url={url} protocol=push dialed=true peer={} pipe=", &url["tcp://".len()..]));
    has("!attached (connection)");
    assert_eq!(lines.iter().filter(|line| *line == "-handshake").count(), 2);
    assert!(!scribe.says("-connection"));

    let (before, entered) = (scribe.lines().len(), scribe.0.entered.load(Ordering::Relaxed));
    for _ in 0..1_000 {
        push.send("a job").await.unwrap();
        within(pull.recv()).await.unwrap();
    }
    assert_eq!(scribe.lines().len(), before, "nothing of messages");
    assert_eq!(scribe.0.entered.load(Ordering::Relaxed), entered, "not even that a span is entered");

    pull.close(std::time::Duration::from_secs(5)).await;
    told(&scribe, "!lost reason=PeerClosed (connection)").await;
    assert!(scribe.says("!lost reason=ClosedHere (connection)"), "{:#?}", scribe.lines());
    told(&scribe, "-connection").await;
}

#[tokio::test]
async fn what_does_not_become_a_peer_is_told_with_its_reason() {
    let scribe = Scribe::default();
    let _guard = tracing::subscriber::set_default(scribe.clone());
    let pull = PullSocket::new();
    let listener = pull.listen("tcp://127.0.0.1:0").await.unwrap();
    let url = listener.url().to_owned();
    SubSocket::new().dial(&url).await.unwrap_err();
    told(&scribe, &format!("!refused url={url} protocol=pull reason=WrongProtocol")).await;
    told(&scribe, &format!("!dial failed url={url} protocol=sub error=")).await;
    listener.close();
    PushSocket::new().dial(&url).await.unwrap_err();
    told(&scribe, &format!("!dial failed url={url} protocol=push error=cannot connect")).await;
    assert!(!scribe.says("!attached"));
}

#[cfg(feature = "ws")]
#[tokio::test]
async fn a_handshake_below_ours_that_fails_is_told_with_its_error() {
    use std::io::Write;
    let scribe = Scribe::default();
    let _guard = tracing::subscriber::set_default(scribe.clone());
    let pull = PullSocket::new();
    let listener = pull.listen("ws://127.0.0.1:0/x").await.unwrap();
    let mut peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    peer.write_all(b"no request\r\n\r\n").unwrap();
    let refused = format!("!refused url={} protocol=pull reason=UpgradeFailed error=", listener.url());
    told(&scribe, &refused).await;
}
