//! A peer that floods does not keep a quiet one out.

#[macro_use]
#[path = "support/everywhere.rs"]
mod everywhere;
mod support;

use spanwire::{Message, Options, Protocol, PullSocket, PushSocket, RawSocket, RepSocket, ReqSocket};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

everywhere! {
    async fn pull_takes_from_all_in_turn(url: &str) {
        let pull = PullSocket::with(Options { recv_messages: 64, ..Options::default() });
        let listener = pull.listen(url).await.unwrap();
        let (flood, quiet) = (PushSocket::new(), PushSocket::new());
        flood.dial(listener.url()).await.unwrap();
        // It has the whole queue for itself before the other one comes.
        while flood.send_timeout("flood", SECOND / 5).await.is_ok() {}
        quiet.dial(listener.url()).await.unwrap();
        pull.wait_peers(2).await.unwrap();
        let pour = async {
            loop {
                flood.send("flood").await.unwrap();
            }
        };
        let ask = async {
            for _ in 0..200 {
                quiet.send("quiet").await.unwrap();
            }
            std::future::pending::<()>().await;
        };
        // Over a channel the first one has a longer way through the tasks of this one thread, which the runtime
        // leaves for I/O only now and then as long as there is something to take.
        let patience = if url.starts_with("mux+") { 8_192 } else { 0 };
        let take = async {
            let mut quiet = 0;
            for _ in 0..patience {
                if &pull.recv().await.unwrap()[..] == b"quiet" {
                    quiet = 1;
                    break;
                }
            }
            for _ in 0..1_000 {
                quiet += u32::from(&pull.recv().await.unwrap()[..] == b"quiet");
            }
            quiet
        };
        let quiet = tokio::select! {
            () = pour => unreachable!(),
            () = ask => unreachable!(),
            quiet = take => quiet,
        };
        assert!(quiet >= 150, "only {quiet} of 200 among the first 1,000");
    }

    async fn rep_answers_a_quiet_peer_in_its_turn(url: &str) {
        let rep = RepSocket::new();
        let listener = rep.listen(url).await.unwrap();
        let flood = RawSocket::new(Protocol::Req);
        flood.dial(listener.url()).await.unwrap();
        let flooded = |n: u32| Message::with_header(&(0x8000_0000 | n).to_be_bytes()[..], "flood");
        let mut n = 0;
        while flood.send_timeout(flooded(n), SECOND / 5).await.is_ok() {
            n += 1;
        }
        let quiet = ReqSocket::new();
        quiet.dial(listener.url()).await.unwrap();
        rep.wait_peers(2).await.unwrap();
        let serve = async {
            // Both have a request here before the first is taken.
            while rep.peers().iter().any(|peer| peer.stats.received_messages == 0) {
                tokio::task::yield_now().await;
            }
            for before in 0.. {
                let request = rep.recv().await.unwrap();
                if &request[..] == b"quiet" {
                    request.reply("answer").await.unwrap();
                    return before;
                }
                drop(request);
            }
            unreachable!()
        };
        let (reply, before) = tokio::join!(quiet.request("quiet"), serve);
        assert_eq!(&reply.unwrap()[..], b"answer");
        assert!(before <= 1, "{before} others went before");
    }
}
