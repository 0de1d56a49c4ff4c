//! PUSH and PULL: jobs go where there is room, and on to others when a puller is lost.

#[macro_use]
#[path = "support/everywhere.rs"]
mod everywhere;
mod support;

use spanwire::{DialOptions, Options, PullSocket, PushSocket, SendError};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
/// Large, so that the kernel's buffers are full soon.
const BYTES: usize = 128 * 1024;
const WINDOW: usize = 4;

fn job(number: u32) -> Vec<u8> {
    let mut job = vec![0; BYTES];
    job[..4].copy_from_slice(&number.to_be_bytes());
    job
}

fn number(job: &[u8]) -> u32 {
    u32::from_be_bytes(job[..4].try_into().unwrap())
}

fn small() -> Options {
    Options { push_window_messages: WINDOW, outbox_messages: WINDOW, recv_messages: 1, ..Options::default() }
}

everywhere! {
    async fn pullers_take_turns(url: &str) {
        let push = PushSocket::new();
        let listener = push.listen(url).await.unwrap();
        let pullers = [PullSocket::new(), PullSocket::new(), PullSocket::new()];
        for pull in &pullers {
            pull.dial(listener.url()).await.unwrap();
        }
        push.wait_peers(3).await.unwrap();
        for n in 0..30_u8 {
            push.send(vec![n]).await.unwrap();
        }
        for pull in &pullers {
            let mut last = None;
            for _ in 0..10 {
                let job = pull.recv().await.unwrap()[0];
                assert!(last.is_none_or(|last| last + 3 == job), "{last:?} then {job}");
                last = Some(job);
            }
        }
    }

    async fn a_stopped_puller_does_not_hold_up_the_others(url: &str) {
        let push = PushSocket::with(small());
        let listener = push.listen(url).await.unwrap();
        let (stopped, eager) = (PullSocket::with(small()), PullSocket::with(small()));
        stopped.dial(listener.url()).await.unwrap();
        eager.dial(listener.url()).await.unwrap();
        push.wait_peers(2).await.unwrap();
        // Enough that the stopped one cannot have had half of them.
        const COUNT: u32 = 1_000;
        let work = async {
            let mut taken = Vec::new();
            while let Ok(job) = eager.recv_timeout(SECOND).await {
                taken.push(number(&job));
            }
            taken
        };
        let send = async {
            for n in 0..COUNT {
                push.send(job(n)).await.unwrap();
            }
        };
        let (mut all, ()) = tokio::join!(work, send);
        assert!(all.is_sorted() && all.len() > COUNT as usize / 2, "it got {}", all.len());
        while let Ok(job) = stopped.recv_timeout(SECOND).await {
            all.push(number(&job));
        }
        all.sort_unstable();
        assert_eq!(all, (0..COUNT).collect::<Vec<_>>(), "each job once");
    }

    async fn unsent_jobs_of_a_lost_puller_go_to_another(url: &str) {
        let push = PushSocket::with(small());
        let listener = push.listen(url).await.unwrap();
        let lost = PullSocket::with(small());
        let never = DialOptions { reconnect_min: SECOND * 1_000, ..DialOptions::default() };
        lost.dial_with(listener.url(), never).await.unwrap();
        let mut accepted = 0;
        while push.send_timeout(job(accepted), SECOND / 4).await.is_ok() {
            accepted += 1;
        }
        let waiting = push.stats().waiting_messages;
        assert!(waiting > 0 && waiting <= WINDOW);
        lost.disconnect(lost.peers()[0].pipe);
        let other = PullSocket::new();
        other.dial(listener.url()).await.unwrap();
        // The others were in the kernel, or in the hands of the one that is lost.
        for n in accepted - waiting as u32..accepted {
            assert_eq!(number(&other.recv().await.unwrap()), n);
        }
        let ledger = push.stats().ledger;
        assert_eq!((ledger.resent_messages, ledger.dropped_total()), (waiting as u64, 0));
        push.send(job(accepted)).await.unwrap();
        assert_eq!(number(&other.recv().await.unwrap()), accepted, "and it goes on");
    }

    async fn a_puller_that_closes_leaves_the_jobs_to_others(url: &str) {
        let push = PushSocket::with(small());
        let listener = push.listen(url).await.unwrap();
        let (leaving, staying) = (PullSocket::with(small()), PullSocket::new());
        leaving.dial(listener.url()).await.unwrap();
        let mut accepted = 0;
        while push.send_timeout(job(accepted), SECOND / 4).await.is_ok() {
            accepted += 1;
        }
        leaving.close(SECOND).await;
        staying.dial(listener.url()).await.unwrap();
        push.send(job(accepted)).await.unwrap();
        let first = number(&staying.recv().await.unwrap());
        for n in first + 1..=accepted {
            assert_eq!(number(&staying.recv().await.unwrap()), n);
        }
        // A closing puller reads on, to see the end of its peer; how far is a matter of luck.
        assert_eq!(push.stats().ledger.resent_messages, u64::from(accepted - first));
        assert_eq!(push.stats().ledger.dropped_total(), 0);
        if url.starts_with("inproc") {
            assert_eq!(accepted as usize, first as usize + WINDOW, "nobody took these");
        }
    }

    async fn without_a_puller_a_job_waits(url: &str) {
        let push = PushSocket::new();
        let listener = push.listen(url).await.unwrap();
        assert!(matches!(push.try_send("early"), Err(SendError::NoPeer(_))));
        assert!(matches!(push.send_timeout("early", SECOND / 50).await, Err(SendError::TimedOut(_))));
        let pull = PullSocket::new();
        let (sent, dialed) = tokio::join!(push.send("patient"), pull.dial(listener.url()));
        sent.unwrap();
        dialed.unwrap();
        assert_eq!(&pull.recv().await.unwrap()[..], b"patient");
    }
}
