//! Messages that a PUSH leaves for a PULL of its process, which fetches them: none is overlooked, lost,
//! or kept out.

use futures_util::StreamExt;
use spanwire::blocking;
use spanwire::*;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// Long enough for whatever has to happen, on the busiest machine.
const LONG: Duration = Duration::from_secs(30);

async fn pair(url: &str, options: Options) -> (PushSocket, PullSocket) {
    let (push, pull) = (PushSocket::with(options.clone()), PullSocket::with(options));
    pull.listen(url).await.unwrap();
    push.dial(url).await.unwrap();
    (push, pull)
}

#[tokio::test]
async fn what_was_left_is_found_by_every_way_to_receive() {
    let (push, pull) = pair("inproc://every-way", Options::default()).await;
    push.send("a").await.unwrap();
    assert_eq!(&pull.try_recv().unwrap()[..], b"a");
    push.send("b").await.unwrap();
    assert_eq!(&pull.recv().await.unwrap()[..], b"b");
    push.send_many(["c", "d"]).await.unwrap();
    let mut many = Vec::new();
    assert_eq!(pull.recv_many(&mut many, 9).await.unwrap(), 2);
    push.send("e").await.unwrap();
    assert_eq!(&pull.messages().next().await.unwrap().unwrap()[..], b"e");
    assert!(matches!(pull.try_recv(), Err(RecvError::Empty)));
    let stats = (push.stats(), pull.stats());
    assert_eq!((stats.0.waiting_messages, stats.0.ledger.sent_messages), (0, 5));
    assert_eq!((stats.1.ledger.received_messages, stats.1.ledger.delivered_messages), (5, 5));
}

#[cfg(unix)]
#[tokio::test]
async fn a_descriptor_shows_what_was_left_before_and_after_it_was_made() {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let (push, pull) = pair("inproc://left-and-shown", Options::default()).await;
    push.send("before").await.unwrap();
    let readable = pull.readable_fd().unwrap();
    let is_readable = || {
        let mut fds = [PollFd::new(&readable, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() == 1
    };
    assert!(is_readable());
    pull.try_recv().unwrap();
    assert!(!is_readable());
    push.send("after").await.unwrap();
    assert!(is_readable());
    drop(readable);
    pull.try_recv().unwrap();
    push.send("later").await.unwrap();
    assert_eq!(&pull.recv().await.unwrap()[..], b"later");
}

/// Full means that both sides are: nobody has to fetch for that.
#[tokio::test]
async fn a_sender_fills_the_receiver_before_it_is_refused() {
    let options =
        Options { push_window_messages: 2, outbox_messages: 2, recv_messages: 20, ..Options::default() };
    let (push, pull) = pair("inproc://fills", options).await;
    let mut sent = 0_u8;
    while push.try_send(vec![sent]).is_ok() {
        sent += 1;
    }
    assert_eq!(sent, 22);
    assert_eq!((push.stats().waiting_messages, pull.stats().ledger.received_messages), (2, 20));
    for n in 0..sent {
        assert_eq!(pull.recv().await.unwrap()[..], [n]);
    }
    // By bytes, a large message finds the room that small ones were left in.
    push.try_send("small").unwrap();
    push.try_send(vec![0; 1 << 20]).unwrap();
    assert_eq!((pull.recv().await.unwrap().len(), pull.recv().await.unwrap().len()), (5, 1 << 20));
}

#[tokio::test]
async fn what_was_left_goes_to_another_when_the_receiver_goes() {
    let (push, gone) = pair("inproc://goes", Options::default()).await;
    for n in 0..3_u8 {
        push.send(vec![n]).await.unwrap();
    }
    gone.close(LONG).await;
    let other = PullSocket::new();
    other.listen("inproc://stays").await.unwrap();
    push.dial("inproc://stays").await.unwrap();
    for n in 0..3_u8 {
        assert_eq!(other.recv_timeout(LONG).await.unwrap()[..], [n]);
    }
}

#[tokio::test]
async fn what_was_left_is_there_when_the_sender_goes() {
    for abrupt in [false, true] {
        let url = format!("inproc://sender-goes-{abrupt}");
        let (push, pull) = pair(&url, Options::default()).await;
        push.send("kept").await.unwrap();
        match abrupt {
            true => assert!(push.disconnect(push.peers()[0].pipe)),
            false => assert_eq!(push.close(LONG).await.abandoned, 0),
        }
        assert_eq!(&pull.recv_timeout(LONG).await.unwrap()[..], b"kept");
    }
}

/// A receiver that always has something still looks at what others have left.
#[tokio::test]
async fn one_that_pours_does_not_keep_out_what_was_left() {
    let pull = PullSocket::new();
    pull.listen("inproc://pours").await.unwrap();
    let (loud, quiet) = (PushSocket::new(), PushSocket::new());
    loud.dial("inproc://pours").await.unwrap();
    quiet.dial("inproc://pours").await.unwrap();
    while loud.try_send("loud").is_ok() {}
    pull.recv().await.unwrap();
    quiet.send("quiet").await.unwrap();
    let mut others = 0;
    while &pull.recv().await.unwrap()[..] != b"quiet" {
        others += 1;
    }
    assert!(others < 100, "{others} came before it");
}

/// Receivers that fall asleep at any moment, and senders in other threads: each message arrives once.
#[test]
fn threads_that_sleep_and_wake_miss_nothing() {
    const SENDERS: u64 = 3;
    const EACH: u64 = 20_000;
    let pull = blocking::PullSocket::new();
    pull.listen("inproc://sleep-and-wake").unwrap();
    let (sum, count) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for sender in 0..SENDERS {
            scope.spawn(move || {
                let push = blocking::PushSocket::new();
                push.dial("inproc://sleep-and-wake").unwrap();
                for n in 0..EACH {
                    push.send((sender * EACH + n).to_be_bytes().to_vec()).unwrap();
                    if n % 7 == 0 {
                        thread::yield_now();
                    }
                }
                assert_eq!(push.close(LONG).abandoned, 0);
            });
        }
        for _ in 0..2 {
            scope.spawn(|| {
                while count.load(Ordering::SeqCst) < SENDERS * EACH {
                    // Many of these end in vain, some at the very moment in which one comes.
                    let Ok(message) = pull.recv_timeout(Duration::from_micros(50)) else { continue };
                    let number = u64::from_be_bytes(message[..].try_into().unwrap());
                    sum.fetch_add(number, Ordering::SeqCst);
                    count.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    let all = SENDERS * EACH;
    assert_eq!((count.into_inner(), sum.into_inner()), (all, all * (all - 1) / 2));
}

/// The same without deadlines, so that a wake-up that is missed is missed for ever.
#[test]
fn a_receiver_that_waits_for_ever_is_woken_for_each_burst() {
    let (pull, push) = (blocking::PullSocket::new(), blocking::PushSocket::new());
    pull.listen("inproc://bursts").unwrap();
    push.dial("inproc://bursts").unwrap();
    let (done, is_done) = std::sync::mpsc::channel();
    let receiver = thread::spawn(move || {
        for n in 0..30_000_u32 {
            assert_eq!(pull.recv().unwrap()[..], n.to_be_bytes());
        }
        done.send(()).unwrap();
    });
    for n in 0..30_000_u32 {
        push.send(n.to_be_bytes().to_vec()).unwrap();
        if n % 50 == 0 {
            // Until the receiver has caught up, more or less: that is when it falls asleep.
            while push.stats().waiting_messages > 0 {
                thread::yield_now();
            }
        }
    }
    is_done.recv_timeout(LONG).expect("every message arrives");
    receiver.join().unwrap();
}
