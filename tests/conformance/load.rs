//! Many connections, many threads, no runtime.

use crate::bare::block_on;
use crate::transport::{Kind, Socket as _, Transport, until};
use spanwire::{PullSocket, PushSocket, RepSocket, ReqSocket};
use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

pub(crate) async fn a_thousand_connections_come_and_go(t: &Transport) {
    // All of QUIC runs unoptimised here, and not in the kernel: its connections are twenty times slower.
    let count: u32 = if t.kind == Kind::Quic { 100 } else { 1_000 };
    let pull = PullSocket::new();
    let listener = pull.listen_at(&(t.free)()).await.unwrap();
    for n in 0..count {
        let push = PushSocket::new();
        push.dial_at(listener.url()).await.unwrap();
        push.send(n.to_be_bytes().to_vec()).await.unwrap();
        assert_eq!(pull.recv().await.unwrap()[..], n.to_be_bytes());
        let report = push.close(SECOND * 10).await;
        assert_eq!((report.abandoned, report.unknown), (0, 0));
    }
    until(|| pull.stats().peers == 0).await;
    let ledger = pull.stats().ledger;
    let all = u64::from(count);
    assert_eq!((ledger.attached_pipes, ledger.delivered_messages, ledger.dropped_total()), (all, all, 0));
    pull.close(SECOND).await;
}

pub(crate) async fn several_threads_share_one_socket(t: &Transport) {
    const THREADS: u32 = 4;
    const EACH: u32 = 2_000;
    let (push, pull) = (PushSocket::new(), PullSocket::new());
    t.meet(&push, &pull).await;
    let seen = Arc::new(Mutex::new(HashSet::new()));
    let mut workers = Vec::new();
    for n in 0..THREADS {
        let push = push.clone();
        workers.push(thread::spawn(move || {
            block_on(async {
                for m in 0..EACH {
                    push.send((n * EACH + m).to_be_bytes().to_vec()).await.unwrap();
                }
            });
        }));
        let (pull, seen) = (pull.clone(), seen.clone());
        workers.push(thread::spawn(move || {
            block_on(async {
                for _ in 0..EACH {
                    let job = pull.recv().await.unwrap();
                    let new = seen.lock().unwrap().insert(job.to_vec());
                    assert!(new, "a job came twice");
                }
            });
        }));
    }
    let workers = tokio::task::spawn_blocking(|| workers.into_iter().for_each(|w| w.join().unwrap()));
    workers.await.unwrap();
    assert_eq!(seen.lock().unwrap().len() as u32, THREADS * EACH);
    push.close(SECOND).await;
    pull.close(SECOND).await;
}

/// The library's own thread serves these sockets; a waker is all that the futures need.
pub(crate) fn sockets_need_no_runtime_of_ours(t: &Transport) {
    let (req, rep) = (ReqSocket::new(), RepSocket::new());
    let server = thread::spawn({
        let rep = rep.clone();
        move || {
            block_on(async {
                for _ in 0..200 {
                    let request = rep.recv().await.unwrap();
                    let body = request.to_vec();
                    request.reply(body).await.unwrap();
                }
            });
        }
    });
    block_on(async {
        t.meet(&rep, &req).await;
        for n in 0..200_u8 {
            assert_eq!(req.request_timeout(vec![n], SECOND * 30).await.unwrap()[..], [n]);
        }
    });
    server.join().unwrap();
    block_on(async {
        assert_eq!(req.close(SECOND).await.abandoned, 0);
        rep.close(SECOND).await;
    });
}
