//! Addresses of this machine that go and come while a dialer uses them.
//!
//! Each test runs in a process with a network of its own. There the listener has one address, and dialers
//! reach it from those that a test lets appear, the latest first.

use crate::certificates::{Authority, with_client, with_server};
use crate::support::within;
use crate::world::{SECOND, detached, impatient, jobs, persistent};
use spanwire::tls::TlsServerOptions;
use spanwire::{
    DetachReason, DialOptions, Event, Events, ListenOptions, Listener, Place, PullSocket, PushSocket,
    QuicOptions,
};
use std::io::Write;
use std::net::IpAddr;
use std::process::Command;

const LISTENER: &str = "10.7.0.1";
const FIRST: &str = "10.7.0.2";
const OTHER: &str = "10.7.0.3";

/// Set in the process that has a network of its own.
const ALONE: &str = "SPANWIRE_NETWORK_OF_ITS_OWN";

/// Whether this process has a network of its own. If not, one that has runs the test of this name.
fn has_network(test: &str) -> bool {
    if std::env::var_os(ALONE).is_some() {
        ip("link set lo up");
        ip(&format!("address add {LISTENER}/32 dev lo"));
        return true;
    }
    let private = || {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--net"]);
        command
    };
    let allowed = private().args(["ip", "link"]).output();
    if !allowed.is_ok_and(|output| output.status.success()) {
        let text = format!("{test} did not run: it needs unshare, ip, and leave for a network of its own");
        // Past what a runner hides of tests that pass.
        std::io::stderr().write_all(format!("{text}\n").as_bytes()).unwrap();
        let required = std::env::var_os("SPANWIRE_REQUIRE_PEERS").is_some_and(|value| value == "1");
        assert!(!required, "{text}");
        return false;
    }
    let this = std::env::current_exe().unwrap();
    let args = ["--exact", test, "--nocapture", "--test-threads=1"];
    let output = private().arg(this).args(args).env(ALONE, "1").output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).contains("1 passed"), "the child ran its test");
    false
}

fn ip(words: &str) -> String {
    let output = Command::new("ip").args(words.split(' ')).output().unwrap();
    assert!(output.status.success(), "ip {words}: {}", output.stderr.escape_ascii());
    String::from_utf8(output.stdout).unwrap()
}

/// This machine has one more address, from which the listener is dialled by preference.
fn appear(address: &str) {
    ip(&format!("address add {address}/32 dev lo"));
    ip(&format!("route prepend table local local {LISTENER} dev lo src {address}"));
}

/// This machine has an address less. The kernel takes the routes of its main table along with it; that of the
/// other table is on us.
fn vanish(address: &str) {
    ip(&format!("route del table local local {LISTENER} dev lo src {address}"));
    ip(&format!("address del {address}/32 dev lo"));
}

/// From where the listener would be dialled now.
fn source() -> String {
    let route = ip(&format!("route get {LISTENER}"));
    route.split_whitespace().skip_while(|word| *word != "src").nth(1).expect("a source").into()
}

/// A PULL at the listener's address and a PUSH that may dial it.
struct Pair {
    pull: PullSocket,
    push: PushSocket,
    listener: Listener,
    dialing: DialOptions,
}

impl Pair {
    async fn new(quic: QuicOptions) -> Self {
        let authority = Authority::new("here");
        let server = with_server(TlsServerOptions::new(authority.issue(&[LISTENER]).identity()));
        let (pull, push) = (PullSocket::new(), PushSocket::new());
        let listening = ListenOptions { quic: quic.clone(), ..server };
        let listener = pull.listen_with(&format!("quic://{LISTENER}:0"), listening).await.unwrap();
        // Else it could be dialled from itself.
        ip(&format!("route del table local local {LISTENER} dev lo src {LISTENER}"));
        Self { pull, push, listener, dialing: DialOptions { quic, ..with_client(authority.client()) } }
    }

    /// Dials, and talks from `address`.
    async fn dial(&self, options: DialOptions, address: &str) {
        self.push.dial_with(self.listener.url(), options).await.unwrap();
        self.pull.wait_peers(1).await.unwrap();
        self.talks_from(address).await;
    }

    async fn talks_from(&self, address: &str) {
        let Place::Ip(remote) = self.pull.peers()[0].ends.remote else { panic!("an IP address") };
        assert_eq!(remote.ip().to_string(), address);
        self.talks().await;
    }

    async fn talks(&self) {
        jobs(&self.push, &self.pull, 0..100).await;
    }

    /// It was one connection all the time, and nothing of it was lost.
    async fn end_undisturbed(self) {
        let Self { pull, push, .. } = self;
        assert_eq!((pull.stats().ledger.attached_pipes, push.stats().ledger.attached_pipes), (1, 1));
        let report = push.close(SECOND * 5).await;
        assert_eq!((report.abandoned, report.unknown), (0, 0));
        pull.close(SECOND).await;
    }
}

#[tokio::test]
async fn a_dialer_that_loses_its_address_goes_on_from_another_one() {
    if !has_network("addresses::a_dialer_that_loses_its_address_goes_on_from_another_one") {
        return;
    }
    within(async {
        let pair = Pair::new(QuicOptions::default()).await;
        appear(OTHER);
        appear(FIRST);
        pair.dial(pair.dialing.clone(), FIRST).await;
        vanish(FIRST);
        assert_eq!(source(), OTHER);
        pair.talks().await;
        // And back, with the other one taken away.
        appear(FIRST);
        vanish(OTHER);
        assert_eq!(source(), FIRST);
        pair.talks().await;
        pair.end_undisturbed().await;
    })
    .await;
}

#[tokio::test]
async fn a_dialer_without_any_address_goes_on_once_it_has_one() {
    if !has_network("addresses::a_dialer_without_any_address_goes_on_once_it_has_one") {
        return;
    }
    within(async {
        let pair = Pair::new(QuicOptions::default()).await;
        appear(FIRST);
        pair.dial(pair.dialing.clone(), FIRST).await;
        vanish(FIRST);
        pair.push.send("late").await.unwrap();
        assert!(pair.pull.recv_timeout(SECOND / 4).await.is_err(), "there is no way to the listener");
        appear(OTHER);
        assert_eq!(&pair.pull.recv().await.unwrap()[..], b"late");
        pair.talks().await;
        pair.end_undisturbed().await;
    })
    .await;
}

/// Who was told to dial from one address sends from no other one: that would be what he did not want.
#[tokio::test]
async fn a_dialer_that_was_given_its_address_is_lost_with_it_and_comes_back_with_it() {
    if !has_network("addresses::a_dialer_that_was_given_its_address_is_lost_with_it_and_comes_back_with_it") {
        return;
    }
    within(async {
        let pair = Pair::new(impatient()).await;
        appear(OTHER);
        appear(FIRST);
        let mut events = [pair.push.events(), pair.pull.events()];
        let local_address = Some(FIRST.parse::<IpAddr>().unwrap());
        pair.dial(DialOptions { local_address, ..persistent(pair.dialing.clone()) }, FIRST).await;
        vanish(FIRST);
        assert_eq!(source(), OTHER);
        for events in &mut events {
            assert_eq!(detached(events).await, DetachReason::ConnectionLost);
        }
        let why = dial_failed(&mut events[0]).await;
        assert!(why.to_lowercase().contains("assign requested address"), "{why}");
        assert_eq!(pair.pull.stats().peers, 0);
        appear(FIRST);
        pair.push.wait_peers(1).await.unwrap();
        pair.pull.wait_peers(1).await.unwrap();
        pair.talks_from(FIRST).await;
        assert_eq!(pair.pull.stats().ledger.attached_pipes, 2);
        pair.push.close(SECOND).await;
        pair.pull.close(SECOND).await;
    })
    .await;
}

async fn dial_failed(events: &mut Events) -> String {
    loop {
        if let Event::DialFailed { error, .. } = events.next().await.expect("the socket is open") {
            return error.to_string();
        }
    }
}
