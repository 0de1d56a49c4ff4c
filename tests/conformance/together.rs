//! One socket, endpoints of all kinds at once.

use crate::support::within;
use crate::transport::{ABSTRACT, INPROC, IPC, SOCKETPAIR, Socket as _, TCP, Transport};
use spanwire::{PullSocket, PushSocket};
use std::collections::BTreeMap;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_has_listeners_and_dialers_of_all_kinds_at_once() {
    const EACH: u8 = 100;
    within(async {
        let pull = PullSocket::new();
        let mut pushers = Vec::new();
        let with_addresses: [&Transport; 4] = [&TCP, &IPC, &ABSTRACT, &INPROC];
        for t in with_addresses {
            // It listens twice and dials twice on each.
            for _ in 0..2 {
                let (near, far) = (PushSocket::new(), PushSocket::new());
                near.dial_at(pull.listen_at(&(t.free)()).await.unwrap().url()).await.unwrap();
                pull.dial_at(far.listen_at(&(t.free)()).await.unwrap().url()).await.unwrap();
                pushers.extend([near, far]);
            }
        }
        let adopted = PushSocket::new();
        let (a, b) = (&adopted, &pull);
        SOCKETPAIR.meet(a, b).await;
        pushers.push(adopted);
        pull.wait_peers(pushers.len()).await.unwrap();

        for (n, push) in (0_u8..).zip(&pushers) {
            push.send_many((0..EACH).map(|m| vec![n, m])).await.unwrap();
        }
        let mut next = BTreeMap::new();
        for _ in 0..pushers.len() * usize::from(EACH) {
            let job = pull.recv().await.unwrap();
            let expected = next.entry(job[0]).or_insert(0);
            assert_eq!(job[1], *expected, "of pusher {}", job[0]);
            *expected += 1;
        }
        for push in &pushers {
            assert_eq!(push.close(SECOND).await.abandoned, 0);
        }
        pull.close(SECOND).await;
    })
    .await;
}
