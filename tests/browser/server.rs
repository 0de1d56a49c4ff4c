//! The sockets that the browser talks to, and what it may ask to be done with them.

use crate::hall::Hall;
use crate::secure::Certificate;
use spanwire::{
    ListenOptions, Message, Options, Origins, Pair0Socket, Pair1Socket, PubSocket, PullSocket, PushSocket,
    RepSocket, ReqSocket, SubSocket, WsListenOptions,
};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;

pub(crate) struct Server {
    base: String,
    /// A port of its own for the server that is stopped and started.
    restarting: String,
    /// Where nobody listens.
    dead: String,
    /// A server whose certificate the browser shall trust, that of its key, and one with another.
    secure: String,
    trusted: String,
    strange: String,
    origin: String,
    feed: PubSocket,
    ear: SubSocket,
    work: PullSocket,
    lazy: PullSocket,
    jobs: PushSocket,
    ask: ReqSocket,
    restarted: Mutex<Option<RepSocket>>,
    swallow: Arc<Swallow>,
    hall: Hall,
    /// Sockets that serve by themselves.
    _echoes: (RepSocket, RepSocket, RepSocket, Pair0Socket, Pair1Socket),
}

/// Deadline of a close whose report does not matter.
const SOON: Duration = Duration::from_secs(1);

impl Server {
    /// Listens for pages of `origin`.
    pub(crate) async fn open(origin: &str) -> Self {
        let ours = options(origin);
        // The feed sends more at once than an outbox holds by default.
        let feed = PubSocket::with(Options { outbox_bytes: 8 * 1024 * 1024, ..Options::default() });
        let listener = feed.listen_with("ws://127.0.0.1:0/feed", ours.clone()).await.unwrap();
        let base = listener.url().trim_end_matches("/feed").to_owned();
        let at = |path: &str| format!("{base}/{path}");

        let (ear, work, lazy) = (SubSocket::new(), PullSocket::new(), PullSocket::new());
        ear.subscribe("");
        let (jobs, ask) = (PushSocket::new(), ReqSocket::new());
        ear.listen_with(&at("ear"), ours.clone()).await.unwrap();
        work.listen_with(&at("work"), ours.clone()).await.unwrap();
        lazy.listen_with(&at("lazy"), ours.clone()).await.unwrap();
        jobs.listen_with(&at("jobs"), ours.clone()).await.unwrap();
        ask.listen_with(&at("ask"), ours.clone()).await.unwrap();

        let echo = RepSocket::new();
        let small = RepSocket::with(Options { max_message_bytes: 65_536, ..Options::default() });
        let elsewhere = RepSocket::new();
        echo.listen_with(&at("echo"), ours.clone()).await.unwrap();
        small.listen_with(&at("small"), ours.clone()).await.unwrap();
        elsewhere.listen_with(&at("elsewhere"), options("https://elsewhere.example")).await.unwrap();
        let (pair0, pair1) = (Pair0Socket::new(), Pair1Socket::new());
        pair0.listen_with(&at("pair0"), ours.clone()).await.unwrap();
        pair1.listen_with(&at("pair1"), ours.clone()).await.unwrap();

        let certificate = Certificate::new();
        let trusted = certificate.fingerprint.clone();
        let listen_secure = |certificate: Certificate| {
            let (echo, options) = (echo.clone(), certificate.listen(&ours));
            async move { echo.listen_with("wss://127.0.0.1:0/echo", options).await.unwrap().url().to_owned() }
        };
        let secure = listen_secure(certificate).await;
        let strange = listen_secure(Certificate::new()).await;

        for rep in [&echo, &small, &elsewhere] {
            tokio::spawn(reply(rep.clone(), None));
        }
        let (talk0, talk1) = (pair0.clone(), pair1.clone());
        tokio::spawn(async move {
            while let Ok(message) = talk0.recv().await {
                let _ = talk0.send(message).await;
            }
        });
        tokio::spawn(async move {
            while let Ok(message) = talk1.recv().await {
                let _ = talk1.send(message).await;
            }
        });

        let server = Self {
            restarting: format!("ws://127.0.0.1:{}/echo", free_port()),
            dead: format!("ws://127.0.0.1:{}/", free_port()),
            secure,
            trusted,
            strange,
            origin: origin.to_owned(),
            feed,
            ear,
            work,
            lazy,
            jobs,
            ask,
            restarted: Mutex::new(None),
            swallow: Arc::default(),
            hall: Hall::open("127.0.0.1:0", vec![origin.to_owned()]).await.unwrap(),
            _echoes: (echo, small, elsewhere, pair0, pair1),
            base,
        };
        server.start().await;
        server
    }

    /// Closes what has tasks of its own; the others end with the test.
    pub(crate) async fn close(&self) {
        self.hall.close().await;
    }

    /// What the page has to know, as JSON.
    pub(crate) fn config(&self) -> String {
        let Self { base, restarting, dead, secure, strange, .. } = self;
        serde_json::json!({
            "base": base, "restarting": restarting, "dead": dead, "secure": secure, "strange": strange,
        })
        .to_string()
    }

    /// The hash of the key that the browser shall trust.
    pub(crate) fn trusted(&self) -> &str {
        &self.trusted
    }

    /// Where the sockets of the example's page are.
    pub(crate) fn hall(&self) -> &str {
        &self.hall.base
    }

    /// Does what a case asks for, and says how it went. `None`: nobody knows how.
    pub(crate) async fn carry_out(&self, order: &str) -> Option<String> {
        Some(match order {
            "publish" => self.publish().await,
            "ear-attached" => {
                self.ear.wait_peers(1).await.unwrap();
                String::new()
            }
            "heard" => {
                let messages = (0..101).map(|_| self.ear.recv());
                count(messages).await
            }
            "worked" => count((0..1_001).map(|_| self.work.recv())).await,
            "worked-50" => count((0..50).map(|_| self.work.recv())).await,
            "push" => {
                for n in 0..1_000 {
                    self.jobs.send(format!("job {n}")).await.unwrap();
                }
                "done".to_owned()
            }
            "ask" => {
                let reply = self.ask.request("anybody there").await.unwrap();
                String::from_utf8_lossy(&reply).into_owned()
            }
            "stop" => {
                let stopped = self.restarted.lock().unwrap().take();
                stopped.expect("it is started").close(SOON).await;
                String::new()
            }
            "start" => {
                self.start().await;
                String::new()
            }
            "swallowed" => {
                self.swallow.told.notified().await;
                String::new()
            }
            _ => {
                let messages: usize = order.strip_prefix("lazy-takes-")?.parse().ok()?;
                count((0..messages).map(|_| self.lazy.recv())).await
            }
        })
    }

    /// A hundred messages on `a`, as many on `b`, and a large one on `a`.
    async fn publish(&self) -> String {
        self.feed.wait_peers(1).await.unwrap();
        for n in 0..100 {
            self.feed.send(format!("a{n}")).await.unwrap();
            self.feed.send(format!("b{n}")).await.unwrap();
        }
        self.feed.send(vec![b'a'; 1024 * 1024]).await.unwrap();
        "done".to_owned()
    }

    async fn start(&self) {
        let rep = RepSocket::new();
        rep.listen_with(&self.restarting, options(&self.origin)).await.unwrap();
        tokio::spawn(reply(rep.clone(), Some(self.swallow.clone())));
        *self.restarted.lock().unwrap() = Some(rep);
    }
}

/// A request that gets no reply, once.
#[derive(Default)]
struct Swallow {
    done: AtomicBool,
    told: Notify,
}

/// Gives every request back, but for one.
async fn reply(rep: RepSocket, swallow: Option<Arc<Swallow>>) {
    let mut kept = Vec::new();
    while let Ok(request) = rep.recv().await {
        let body = request.message().clone();
        match &swallow {
            Some(swallow)
                if body == Message::from("swallow") && !swallow.done.swap(true, Ordering::Relaxed) =>
            {
                swallow.told.notify_one();
                kept.push(request);
            }
            Some(_) | None => {
                let _ = request.reply(body).await;
            }
        }
    }
}

/// How many messages came, and their bytes.
async fn count<F>(messages: impl Iterator<Item = F>) -> String
where
    F: Future<Output = Result<spanwire::Message, spanwire::RecvError>>,
{
    let (mut count, mut bytes) = (0, 0);
    for message in messages {
        bytes += message.await.unwrap().len();
        count += 1;
    }
    format!("{count} messages, {bytes} bytes")
}

fn options(origin: &str) -> ListenOptions {
    let ws = WsListenOptions { origins: Origins::Listed(vec![origin.to_owned()]), ..Default::default() };
    ListenOptions { ws, ..ListenOptions::default() }
}

/// A port that was free a moment ago. Nobody else takes it, since others ask for port 0.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
