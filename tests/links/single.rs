//! One connection between two hosts that both want no more.

use crate::support::*;
use spanwire::link::*;

fn single(name: &str) -> Host {
    Host::with(HostOptions { name: name.into(), one_connection: true, ..HostOptions::default() })
}

/// The number of connections that a host has.
fn count(host: &Host) -> usize {
    host.peers().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hosts_that_dial_each_other_at_once_have_one_connection() {
    for round in 0..40 {
        let (ann, bob) = (single("ann"), single("bob"));
        let at_ann = ann.serve("tcp://127.0.0.1:0").await.unwrap();
        let at_bob = bob.serve("tcp://127.0.0.1:0").await.unwrap();
        let (to_bob, to_ann) = (at_bob.url(), at_ann.url());
        let dial_bob = tokio::spawn({
            let ann = ann.clone();
            async move { ann.connect(&to_bob).await }
        });
        let dial_ann = tokio::spawn({
            let bob = bob.clone();
            async move { bob.connect(&to_ann).await }
        });
        let here = soon("ann's", dial_bob).await.unwrap().unwrap_or_else(|e| panic!("{round}: {e}"));
        let there = soon("bob's", dial_ann).await.unwrap().unwrap_or_else(|e| panic!("{round}: {e}"));
        // Both have ends of the same one, and it works.
        here.send("to bob").await.unwrap();
        assert_eq!(&soon("to bob", there.recv()).await.unwrap().body[..], b"to bob", "{round}");
        there.send("to ann").await.unwrap();
        assert_eq!(&soon("to ann", here.recv()).await.unwrap().body[..], b"to ann", "{round}");
        until("one is left", || count(&ann) == 1 && count(&bob) == 1).await;
    }
}

#[tokio::test]
async fn a_later_dial_gets_the_connection_that_is_there() {
    let (ann, bob) = (single("ann"), single("bob"));
    let at_ann = ann.serve("tcp://127.0.0.1:0").await.unwrap();
    let at_bob = bob.serve("tcp://127.0.0.1:0").await.unwrap();
    let first = ann.connect(&at_bob.url()).await.unwrap();
    let accepted = soon("it", at_bob.accept()).await.unwrap();
    let again = soon("the same", ann.connect(&at_bob.url())).await.unwrap();
    let back = soon("the same", bob.connect(&at_ann.url())).await.unwrap();
    until("one is left", || count(&ann) == 1 && count(&bob) == 1).await;
    back.send("x").await.unwrap();
    // Whoever decides, all handles are of one connection between the two.
    let (a, b) = (again.number(), back.number());
    assert_eq!(ann.peers()[0].connection, a);
    assert_eq!(bob.peers()[0].connection, b);
    drop((first, accepted));
}

#[tokio::test]
async fn a_host_that_was_started_anew_takes_the_place_of_its_former_self() {
    let bob = single("bob");
    let at_bob = bob.serve("tcp://127.0.0.1:0").await.unwrap();
    let old = single("ann").connect(&at_bob.url()).await.unwrap();
    let accepted = soon("the old one", at_bob.accept()).await.unwrap();
    let new = single("ann").connect(&at_bob.url()).await.unwrap();
    let end = soon("the end of the old one", accepted.ended()).await;
    assert_eq!(end, End::RefusedHere { reason: Reason::Replaced });
    assert!(matches!(soon("its end", old.ended()).await, End::ClosedByPeer { reason: Reason::Replaced, .. }));
    new.send("x").await.unwrap();
    let accepted = soon("the new one", at_bob.accept()).await.unwrap();
    assert_eq!(soon("a message", accepted.recv()).await.unwrap().body.len(), 1);
}

#[tokio::test]
async fn who_does_not_ask_for_it_has_as_many_as_he_opens() {
    let bob = single("bob");
    let at_bob = bob.serve("tcp://127.0.0.1:0").await.unwrap();
    let ann = Host::new("ann");
    let _first = ann.connect(&at_bob.url()).await.unwrap();
    let _second = ann.connect(&at_bob.url()).await.unwrap();
    assert_eq!((count(&ann), count(&bob)), (2, 2));
}

#[tokio::test]
async fn a_host_does_not_connect_to_itself() {
    let ann = Host::new("ann");
    let server = ann.serve("tcp://127.0.0.1:0").await.unwrap();
    let error = soon("a refusal", ann.connect(&server.url())).await.unwrap_err();
    let ConnectError::Ended { end: End::RefusedByPeer { reason: Reason::Myself, .. }, .. } = error else {
        panic!("{error:?}");
    };
}
