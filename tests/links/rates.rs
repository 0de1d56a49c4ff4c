//! What a peer may send each second, over all of its connections.
//!
//! Debts are large enough here not to be paid while a test runs, so that nothing depends on how long that takes.

use crate::support::*;
use spanwire::DialOptions;
use spanwire::link::*;
use std::sync::Arc;
use std::time::Duration;

/// A host that allows a thousand bytes a second, in windows of four messages.
fn strict(too_fast: TooFast, hook: Option<Arc<dyn Hook>>) -> Host {
    let link =
        LinkOptions { bytes_per_second: Some(1_000), recv_messages: 4, too_fast, ..LinkOptions::default() };
    Host::with(HostOptions { name: "bob".into(), link, hook, ..HostOptions::default() })
}

/// Both ends of a new connection.
async fn accepted(
    server: &Server,
    connecting: impl Future<Output = Result<Conn, ConnectError>>,
) -> [Conn; 2] {
    let here = soon("a connection", connecting).await.unwrap();
    [here, soon("it", server.accept()).await.unwrap()]
}

/// Sends so much that it takes a quarter of an hour to pay for it.
async fn floods([here, there]: &[Conn; 2]) {
    here.send(vec![0; 1_000_000]).await.unwrap();
    soon("it", there.recv()).await.unwrap();
}

/// Whether the peer gets credit for more than its window.
async fn is_slowed([here, there]: &[Conn; 2]) -> bool {
    for n in 0..4 {
        here.send(Parcel::new(0, n, "x")).await.unwrap();
        assert_eq!(soon("its window", there.recv()).await.unwrap().message, n);
    }
    here.send("one more").await.unwrap();
    // Half of the window is free again, so by now it is decided whether there is new credit.
    let slowed = there.stats().slowed > 0;
    let more = there.recv_timeout(if slowed { Duration::from_millis(50) } else { SOON }).await;
    assert_eq!(slowed, more.is_err());
    slowed
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn two_connections_of_one_peer_share_one_allowance_and_another_peer_is_not_affected() {
    let server = strict(TooFast::Slow, None).serve("tcp://127.0.0.1:0").await.unwrap();
    let url = server.url();
    // Different names do not make them different peers: nobody has proved his.
    let (ann, dan) = (Host::new("ann"), Host::new("dan"));
    let first = accepted(&server, ann.connect(&url)).await;
    let second = accepted(&server, dan.connect(&url)).await;
    let elsewhere =
        DialOptions { local_address: Some("127.0.0.2".parse().unwrap()), ..DialOptions::default() };
    let another = accepted(&server, Host::new("carol").connect_with(&url, elsewhere)).await;
    floods(&first).await;
    assert!(is_slowed(&second).await, "it pays for the first one");
    assert!(!is_slowed(&another).await);
    let [_, there] = &second;
    assert!(there.end().is_none() && first[1].end().is_none(), "both stay");
}

/// Believes everybody.
struct Trusting;

impl Hook for Trusting {
    fn prove(&self, _: &Peer, _: &[u8]) -> Vec<u8> {
        Vec::new()
    }

    fn verify(&self, _: &Peer, _: &[u8], _: &[u8]) -> bool {
        true
    }
}

#[tokio::test]
async fn with_a_hook_a_peer_is_the_host_whose_name_was_proved() {
    let bob = strict(TooFast::Slow, Some(Arc::new(Trusting)));
    let server = bob.serve("tcp://127.0.0.1:0").await.unwrap();
    let local = server.listen("abstract://").await.unwrap();
    let (ann, carol) = (Host::new("ann"), Host::new("carol"));
    let first = accepted(&server, ann.connect(&server.url())).await;
    let over_another_transport = accepted(&server, ann.connect(&local)).await;
    let another = accepted(&server, carol.connect(&server.url())).await;
    floods(&first).await;
    assert!(is_slowed(&over_another_transport).await);
    assert!(!is_slowed(&another).await);
}

#[tokio::test]
async fn whoever_was_dismissed_and_connects_again_has_no_new_allowance() {
    let server = strict(TooFast::Dismiss, None).serve("tcp://127.0.0.1:0").await.unwrap();
    let local = server.listen("abstract://").await.unwrap();
    let ann = Host::new("ann");
    let [here, _there] = accepted(&server, ann.connect(&server.url())).await;
    here.send(vec![0; 1_000_000]).await.unwrap();
    let too_fast = |end| matches!(end, End::ClosedByPeer { reason: Reason::TooFast, .. });
    assert!(too_fast(soon("its end", here.ended()).await));
    let [again, _there] = accepted(&server, ann.connect(&server.url())).await;
    again.send("one byte is too much").await.unwrap();
    assert!(too_fast(soon("its end", again.ended()).await));
    // This user is another peer.
    let [here, there] = accepted(&server, ann.connect(&local)).await;
    here.send("fine").await.unwrap();
    soon("it", there.recv()).await.unwrap();
}

#[tokio::test]
async fn what_a_dialed_peer_sends_has_the_same_rates() {
    let bob = strict(TooFast::Slow, None);
    let server = Host::new("ann").serve("tcp://127.0.0.1:0").await.unwrap();
    let [there, here] = accepted(&server, bob.connect(&server.url())).await;
    let first = [here, there];
    let [there, here] = accepted(&server, bob.connect(&server.url())).await;
    floods(&first).await;
    assert!(is_slowed(&[here, there]).await);
}
