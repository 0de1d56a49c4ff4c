//! Request and reply: a client asks, a server answers.
//!
//! ```sh
//! cargo run --example request_reply
//! cargo run --example request_reply -- --expose ipc:///tmp/request_reply   # to be watched by `spanwire top`
//! ```

#[path = "support/expose.rs"]
mod expose;

use expose::Expose;
use spanwire::{RepSocket, ReqSocket, watch};
use std::error::Error;
use std::time::Duration;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let expose = Expose::from_args()?;

    // Port 0: the system chooses a free one, and the listener knows which.
    let server = RepSocket::new();
    let listener = server.listen("tcp://127.0.0.1:0").await?;
    let url = listener.url().to_string();

    // A socket is a handle: its clones are the same socket. This one serves in a task of its own.
    let serving = tokio::spawn(serve(server.clone()));

    // `dial` waits until the connection is there, and keeps it up from then on.
    let client = ReqSocket::new();
    client.dial(&url).await?;
    watch::expose("server", &server)?;
    watch::expose("client", &client)?;

    // One question, one answer. A message derefs to its bytes.
    let reply = client.request("7").await?;
    println!("7 squared is {}", String::from_utf8_lossy(&reply));

    // Many at once: each `request` is a conversation of its own, and the socket matches replies to
    // requests, in whatever order they come.
    let questions = (1..=10_u64).map(|n| client.request(n.to_string()));
    let replies = futures_util::future::try_join_all(questions).await?;
    for (n, reply) in (1..=10_u64).zip(replies) {
        assert_eq!(reply.body(), (n * n).to_string().as_bytes());
    }
    println!("ten more were answered, all of them in flight together");

    expose.until_enter();

    // Closing says what became of messages that were still waiting. Here there are none.
    let report = client.close(Duration::from_secs(1)).await;
    assert_eq!((report.abandoned, report.unknown), (0, 0));
    server.close(Duration::from_secs(1)).await;
    serving.await?;
    Ok(())
}

/// Answers until the socket is closed.
async fn serve(server: RepSocket) {
    // `recv` gives a `Request`, which knows where its reply has to go. Replying consumes it: there
    // is no way to reply twice, or to reply to nothing.
    while let Ok(request) = server.recv().await {
        let answer = match String::from_utf8_lossy(&request).parse::<u64>() {
            Ok(n) => (n * n).to_string(),
            Err(_) => "that is no number".to_string(),
        };
        // The one who asked may be gone by now; that is no reason to stop serving the others.
        if let Err(error) = request.reply(answer).await {
            eprintln!("could not reply: {error}");
        }
    }
}
