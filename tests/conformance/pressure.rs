//! Slow peers, and what closing does with what waits.

use crate::transport::{Kind, Transport};
use spanwire::{Options, PullSocket, PushSocket, SendError};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
/// Large, so that the kernel's buffers are full soon.
const BYTES: usize = 64 * 1024;
const OUTBOX: usize = 16;
const QUEUE: usize = 8;
/// What the kernel may hold for both ends of a connection, generously (`tcp_wmem`, `tcp_rmem`).
const KERNEL_BYTES: usize = 32 * 1024 * 1024;

fn small() -> Options {
    Options { outbox_messages: OUTBOX, recv_messages: QUEUE, ..Options::default() }
}

/// Sends numbered jobs until nothing moves any more; how many were accepted.
async fn fill(push: &PushSocket) -> u32 {
    let mut count = 0_u32;
    loop {
        let mut body = vec![0; BYTES];
        body[..4].copy_from_slice(&count.to_be_bytes());
        match push.send_timeout(body, SECOND / 4).await {
            Ok(()) => count += 1,
            Err(SendError::TimedOut(job)) => {
                assert_eq!(job[..4], count.to_be_bytes(), "what was not sent comes back");
                return count;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// Receives numbered jobs: `count` of them, in order.
async fn drain(pull: &PullSocket, count: u32) {
    for n in 0..count {
        let job = pull.recv().await.unwrap();
        assert_eq!((&job[..4], job.len()), (&n.to_be_bytes()[..], BYTES));
    }
}

pub(crate) async fn a_stopped_puller_stops_the_pusher(t: &Transport) {
    let (push, pull) = (PushSocket::with(small()), PullSocket::with(small()));
    t.meet(&push, &pull).await;
    let accepted = fill(&push).await;
    let kernel = if t.is_framed() { KERNEL_BYTES / BYTES } else { 0 };
    let bound = OUTBOX + QUEUE + kernel;
    assert!(accepted as usize <= bound, "{accepted} were accepted, and {bound} have room");
    assert!(accepted as usize >= QUEUE, "and these many have room for certain");
    assert!(matches!(push.try_send(vec![0; BYTES]), Err(SendError::Full(_))));

    let (more, ()) = tokio::join!(
        async {
            for n in accepted..accepted + 100 {
                let mut body = vec![0; BYTES];
                body[..4].copy_from_slice(&n.to_be_bytes());
                push.send(body).await.unwrap();
            }
            push.stats().ledger.sent_messages
        },
        drain(&pull, accepted + 100),
    );
    assert_eq!(more, u64::from(accepted) + 100);
    assert_eq!(pull.try_recv(), Err(spanwire::RecvError::Empty), "nothing comes twice");
    assert_eq!(push.stats().ledger.dropped_total() + pull.stats().ledger.dropped_total(), 0);
    push.close(SECOND).await;
    pull.close(SECOND).await;
}

pub(crate) async fn close_delivers_what_waits(t: &Transport) {
    let (push, pull) = (PushSocket::with(small()), PullSocket::with(small()));
    t.meet(&push, &pull).await;
    let accepted = fill(&push).await;
    let waiting = push.stats().waiting_messages as u64;
    assert!(waiting > 0, "the outbox is full");
    let (report, ()) = tokio::join!(push.close(SECOND * 30), drain(&pull, accepted));
    assert_eq!((report.flushed, report.abandoned, report.unknown), (waiting, 0, 0));
    assert!(matches!(push.try_send("late"), Err(SendError::Closed(_))));
    pull.close(SECOND).await;
}

pub(crate) async fn close_tells_what_it_could_not_deliver(t: &Transport) {
    let (push, pull) = (PushSocket::with(small()), PullSocket::with(small()));
    t.meet(&push, &pull).await;
    let accepted = fill(&push).await;
    let waiting = push.stats().waiting_messages as u64;
    let report = push.close(SECOND / 10).await;
    assert!(report.abandoned > 0, "nobody has read them");
    assert_eq!(report.flushed + report.abandoned, waiting, "{report:?}");
    assert_eq!(push.stats().ledger.dropped_total(), report.abandoned, "each is counted once");
    assert!(report.unknown <= u64::from(accepted) - report.abandoned, "{report:?}");
    assert_eq!(push.stats().ledger.dropped_total(), report.abandoned, "each is counted once");
    // Nobody could know it, but all others arrive, though the pusher is gone; unless no kernel sees to it.
    let no_kernel = t.kind == Kind::Quic || t.is_muxed();
    let lost = if no_kernel { report.abandoned + report.unknown } else { report.abandoned };
    drain(&pull, accepted - u32::try_from(lost).unwrap()).await;
    pull.close(SECOND).await;
}
