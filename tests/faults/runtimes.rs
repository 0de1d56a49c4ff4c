//! Runtimes that go away under live sockets, or that are in the way, and processes that fork.

use crate::support::{PROMPT, Place, SOON, Stranger, soon};
use spanwire::device::{Device, DeviceError};
use spanwire::*;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};

/// Waits for `work` with nothing but this thread; `waits` is called when it begins to.
fn block_on<F: Future>(work: F, waits: impl FnOnce()) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut work = pin!(work);
    let mut waits = Some(waits);
    loop {
        if let Poll::Ready(output) = work.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        if let Some(waits) = waits.take() {
            waits();
        }
        thread::park();
    }
}

/// The same for what is done soon.
fn now<F: Future>(work: F) -> F::Output {
    block_on(work, || ())
}

/// Threads that wait for something, and what each makes of its output.
#[derive(Default)]
struct Waiters(Vec<(&'static str, JoinHandle<()>)>);

impl Waiters {
    /// Returns once the thread waits.
    fn add<F>(&mut self, what: &'static str, work: impl FnOnce() -> F + Send + 'static, check: fn(F::Output))
    where
        F: Future,
        F::Output: 'static,
    {
        let (tell, waits) = mpsc::channel();
        let thread = thread::spawn(move || check(block_on(work(), move || tell.send(()).unwrap())));
        waits.recv_timeout(SOON).unwrap_or_else(|_| panic!("{what} does not wait"));
        self.0.push((what, thread));
    }

    /// All of them get their output now.
    fn end(self) {
        let started = Instant::now();
        for (what, thread) in self.0 {
            while !thread.is_finished() {
                assert!(started.elapsed() < SOON, "{what} waits for ever");
                thread::yield_now();
            }
            thread.join().unwrap_or_else(|_| panic!("{what}"));
        }
    }
}

fn runtimes() -> [(&'static str, Runtime); 2] {
    let current = Builder::new_current_thread().enable_all().build().unwrap();
    let multi = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    [("current-thread", current), ("multi-thread", multi)]
}

#[test]
fn runtime_dropped_under_live_sockets_ends_their_operations() {
    for (kind, doomed) in runtimes() {
        // What lives on is made here, outside of any runtime; and so are the peers, which speak bytes.
        let deaf = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let deaf_url = format!("tcp://{}", deaf.local_addr().unwrap());
        let place = Place::new();
        let survivor = PullSocket::new();
        let survivor_at = now(survivor.listen("tcp://127.0.0.1:0")).unwrap();
        let near = format!("inproc://survivor-{kind}");
        let near_survivor = PullSocket::new();
        now(near_survivor.listen(&near)).unwrap();
        let mut survivor_events = survivor.events();
        let mut near_events = near_survivor.events();
        let guard = doomed.enter();
        let mut waiters = Waiters::default();

        let push = PushSocket::new();
        waiters.add("send", with(&push, async |push| push.send("never").await), |sent| {
            assert!(matches!(sent, Err(SendError::RuntimeGone(message)) if &message[..] == b"never"));
        });
        let timed = push.clone();
        waiters.add(
            "send_timeout",
            with(&timed, async |push| push.send_timeout("never", SOON).await),
            |sent| {
                assert!(matches!(sent, Err(SendError::RuntimeGone(_))), "{sent:?}");
            },
        );
        waiters.add("wait_peers", with(&push, async |push| push.wait_peers(1).await), |waited| {
            assert_eq!(waited, Err(RecvError::RuntimeGone));
        });
        let url = deaf_url.clone();
        waiters.add("dial", with(&push, async move |push| push.dial(&url).await.map(drop)), |dialled| {
            assert!(dialled.is_err());
        });
        let mut events = push.events();
        waiters.add("events", move || async move { while events.next().await.is_some() {} }, |()| ());

        let pull = PullSocket::new();
        let pull_at = doomed.block_on(pull.listen("tcp://127.0.0.1:0")).unwrap();
        doomed.block_on(pull.listen(&place.url())).unwrap();
        let inproc = format!("inproc://doomed-{kind}");
        doomed.block_on(pull.listen(&inproc)).unwrap();
        waiters.add("recv", with(&pull, async |pull| pull.recv().await), |got| {
            assert_eq!(got.unwrap_err(), RecvError::RuntimeGone);
        });
        waiters.add("recv_timeout", with(&pull, async |pull| pull.recv_timeout(SOON).await), |got| {
            assert_eq!(got.unwrap_err(), RecvError::RuntimeGone);
        });

        // A request that is with its replier, a survey, and replies that find no room.
        let (req, rep) = (ReqSocket::new(), RepSocket::new());
        doomed.block_on(async {
            req.dial(rep.listen("tcp://127.0.0.1:0").await.unwrap().url()).await.unwrap();
        });
        waiters.add("request", with(&req, async |req| req.request("?").await), |reply| {
            assert_eq!(reply.unwrap_err(), RequestError::Recv(RecvError::RuntimeGone));
        });
        let asked = doomed.block_on(soon("the request", rep.recv())).unwrap();
        let surveyor = SurveySocket::new();
        let survey = doomed.block_on(surveyor.survey_within("?", SOON)).unwrap();
        waiters.add("collect", move || survey.collect(), |answers| assert!(answers.is_empty()));

        // A device, and a close that waits for a peer that never reads.
        let device = Device::new(RawSocket::new(Protocol::Rep), RawSocket::new(Protocol::Req)).unwrap();
        waiters.add(
            "device",
            move || async move { device.run().await },
            |why| {
                assert_eq!(why, DeviceError::Closed);
            },
        );
        let closing = PushSocket::new();
        let closing_at = doomed.block_on(closing.listen("tcp://127.0.0.1:0")).unwrap();
        let stranger = doomed.block_on(async {
            let mut stranger = Stranger::tcp(closing_at.local_addr()).await;
            stranger.greet(Protocol::Pull).await;
            while closing.send_timeout(vec![0; 100_000], Duration::from_millis(50)).await.is_ok() {}
            stranger
        });
        waiters.add("close", with(&closing, async |closing| closing.close(Duration::MAX).await), |report| {
            assert!(report.abandoned > 0, "{report:?}");
        });
        // The same in-process, where no task is involved.
        let near_push = PushSocket::new();
        doomed.block_on(async {
            near_push.dial(&near).await.unwrap();
            while near_push.send_timeout(vec![0; 100_000], Duration::from_millis(50)).await.is_ok() {}
        });
        let near_closing = near_push.clone();
        waiters.add(
            "close inproc",
            with(&near_closing, async |near| near.close(Duration::MAX).await),
            |report| {
                assert!(report.abandoned > 0, "{report:?}");
            },
        );
        let near_idle = PushSocket::new();
        let far_idle = PushSocket::new();
        doomed.block_on(async {
            near_idle.dial(&near).await.unwrap();
            far_idle.dial(survivor_at.url()).await.unwrap();
        });

        drop(guard);
        drop(doomed);
        waiters.end();

        // Who lives on sees its peers go.
        let gone = |events: &mut Events| {
            now(async {
                loop {
                    if let Some(Event::Detached(..)) = events.next().await {
                        return;
                    }
                }
            });
        };
        gone(&mut survivor_events);
        gone(&mut near_events);
        gone(&mut near_events);
        while near_survivor.try_recv().is_ok() {}
        assert!(survivor.peers().is_empty() && near_survivor.peers().is_empty(), "{kind}");

        // What is asked of the orphans later ends at once, and never panics.
        for push in [&push, &near_idle, &far_idle] {
            assert!(matches!(push.try_send("x"), Err(SendError::RuntimeGone(_))));
            assert!(matches!(now(push.send("x")), Err(SendError::RuntimeGone(_))));
            assert!(matches!(now(push.send_timeout("x", SOON)), Err(SendError::RuntimeGone(_))));
            assert_eq!(now(push.wait_peers(1)), Err(RecvError::RuntimeGone));
            assert!(now(push.listen("tcp://127.0.0.1:0")).is_err());
            assert!(now(push.dial(survivor_at.url())).is_err());
            assert!(now(push.events().next()).is_none());
            assert_eq!(push.stats().peers, 0, "{kind}");
        }
        assert_eq!(pull.try_recv().unwrap_err(), RecvError::RuntimeGone);
        assert_eq!(now(pull.recv_timeout(SOON)).unwrap_err(), RecvError::RuntimeGone);
        assert_eq!(&asked[..], b"?");
        assert!(matches!(now(asked.reply("!")), Err(SendError::RuntimeGone(_))));
        let started = Instant::now();
        now(push.close(SOON));
        now(pull.close(SOON));
        now(rep.close(SOON));
        now(near_idle.close(SOON));
        assert!(started.elapsed() < PROMPT);

        // Their addresses are free.
        let heir = PullSocket::new();
        for url in [pull_at.url(), &place.url(), &inproc] {
            now(heir.listen(url)).unwrap();
        }
        drop((push, pull, req, rep, near_push, near_idle, far_idle, stranger));
        now(heir.close(SOON));
        now(survivor.close(SOON));
        now(near_survivor.close(SOON));
    }
}

/// A future of a clone of a socket, to be made in another thread.
fn with<S: Clone + Send + 'static, F: AsyncFnOnce(S) -> T + Send + 'static, T: 'static>(
    socket: &S,
    work: F,
) -> impl FnOnce() -> std::pin::Pin<Box<dyn Future<Output = T>>> + Send + use<S, F, T> {
    let socket = socket.clone();
    move || Box::pin(async move { work(socket).await })
}

/// The other way round: sockets that were dropped, and a runtime that is dropped before they are gone.
#[test]
fn runtime_dropped_while_sockets_close_leaves_nothing() {
    for (kind, doomed) in runtimes() {
        let near = format!("inproc://leaving-{kind}");
        let survivor = PullSocket::new();
        now(survivor.listen(&near)).unwrap();
        let mut events = survivor.events();
        doomed.block_on(async {
            let push = PushSocket::with(Options { close_deadline: SOON, ..Options::default() });
            push.dial(&near).await.unwrap();
            while push.send_timeout(vec![0; 100_000], Duration::from_millis(50)).await.is_ok() {}
            // It would go on closing for as long as nobody takes its messages.
            drop(push);
        });
        let (orphan, other) = {
            let _guard = doomed.enter();
            (PushSocket::new(), PushSocket::new())
        };
        doomed.block_on(orphan.dial(&near)).unwrap();
        drop(doomed);
        // Dropped when there is no runtime any more to close in.
        drop((orphan, other));
        let mut left = 2;
        while left > 0 {
            if let Some(Event::Detached(..)) = now(events.next()) {
                left -= 1;
            }
        }
        assert!(survivor.peers().is_empty());
        now(survivor.close(SOON));
    }
}

/// Timers of sockets are looked at from outside of their runtime at the very moment it goes.
#[test]
fn runtime_dropped_while_others_look_at_its_timers_panics_nowhere() {
    for _ in 0..100 {
        let doomed = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let pull = {
            let _guard = doomed.enter();
            PullSocket::new()
        };
        let (tell, waits) = mpsc::channel();
        let busy = thread::spawn(move || {
            tell.send(()).unwrap();
            loop {
                match now(pull.recv_timeout(Duration::from_micros(50))) {
                    Err(RecvError::TimedOut) => {}
                    Err(RecvError::RuntimeGone) => return,
                    other => panic!("{other:?}"),
                }
            }
        });
        waits.recv().unwrap();
        drop(doomed);
        busy.join().unwrap();
    }
}

/// Dialers and listeners of a dying runtime must not try again and again while it dies.
#[test]
fn runtime_dropped_under_dialers_and_listeners_comes_to_its_end() {
    for round in 0..100 {
        let doomed = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let sockets = doomed.block_on(async {
            let (push, pull) = (PushSocket::new(), PullSocket::new());
            let listener = pull.listen("tcp://127.0.0.1:0").await.unwrap();
            push.dial(listener.url()).await.unwrap();
            let background = DialOptions {
                start: Start::Background,
                reconnect_min: Duration::from_micros(1),
                reconnect_max: Duration::from_micros(1),
                ..DialOptions::default()
            };
            push.dial_with("tcp://127.0.0.1:1", background.clone()).await.unwrap();
            push.dial_with("inproc://nobody-at-all", background).await.unwrap();
            push.send("busy").await.unwrap();
            (push, pull)
        });
        let (tell, ended) = mpsc::channel();
        thread::spawn(move || {
            match round % 2 {
                0 => drop((sockets, doomed)),
                _ => drop((doomed, sockets)),
            }
            tell.send(()).unwrap();
        });
        ended.recv_timeout(SOON).expect("the runtime is dropped");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn blocking_calls_inside_a_current_thread_runtime_return() {
    // This blocks the only thread of the runtime: none of these may need a task that runs in it.
    let started = Instant::now();
    let pull = blocking::PullSocket::new();
    let listener = pull.listen("tcp://127.0.0.1:0").unwrap();
    let push = blocking::PushSocket::new();
    push.dial(listener.url()).unwrap();
    pull.wait_peers(1).unwrap();
    for n in 0..1_000_u16 {
        push.send(n.to_be_bytes().to_vec()).unwrap();
    }
    for n in 0..1_000_u16 {
        assert_eq!(pull.recv().unwrap()[..], n.to_be_bytes());
    }
    let timeout = Duration::from_millis(20);
    assert_eq!(pull.recv_timeout(timeout).unwrap_err(), RecvError::TimedOut);
    assert!(push.dial("tcp://127.0.0.1:1").is_err());

    // A request whose replier is a thread, and one whose replier does not exist.
    let rep = blocking::RepSocket::new();
    let listener = rep.listen("tcp://127.0.0.1:0").unwrap();
    let req = blocking::ReqSocket::new();
    req.dial(listener.url()).unwrap();
    let server = thread::spawn(move || {
        let request = rep.recv().unwrap();
        let body = request.to_vec();
        request.reply(body).unwrap();
        rep.close(SOON);
    });
    assert_eq!(&req.request("inside").unwrap()[..], b"inside");
    server.join().unwrap();
    assert!(req.request_timeout("nobody", timeout).is_err());

    // A survey that nobody answers, and everything about closing.
    let surveyor = blocking::SurveySocket::new();
    let survey = surveyor.survey_within("?", timeout).unwrap();
    assert_eq!(survey.count(), 0);
    for report in [push.close(SOON), pull.close(SOON), req.close(SOON), surveyor.close(SOON)] {
        assert_eq!(report.abandoned, 0);
    }
    assert!(matches!(push.send("x"), Err(SendError::Closed(_))));
    assert!(started.elapsed() < PROMPT);

    // An asynchronous socket beside them still works, once the thread is free again.
    let (push, pull) = (PushSocket::new(), PullSocket::new());
    push.dial(pull.listen("tcp://127.0.0.1:0").await.unwrap().url()).await.unwrap();
    push.send("async").await.unwrap();
    assert_eq!(&soon("it", pull.recv()).await.unwrap()[..], b"async");
    push.close(SOON).await;
    pull.close(SOON).await;
}

#[test]
fn fork_of_a_process_that_holds_sockets_is_documented() {
    let guide = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/GUIDE.md")).unwrap();
    let mut chapters = guide.split("\n## ").filter(|chapter| {
        chapter.lines().next().is_some_and(|heading| heading.to_lowercase().contains("fork"))
    });
    let chapter = chapters.next().expect("a chapter on fork in GUIDE.md");
    for word in ["fork", "exec", "child"] {
        assert!(chapter.contains(word), "the chapter on fork says nothing of {word:?}");
    }
}
