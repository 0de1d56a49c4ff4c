//! A program that shows its sockets: to `spanwire top`, to Prometheus, and to other programs.
//!
//! ```sh
//! cargo run --example watching
//! cargo run --example watching -- --expose ipc:///tmp/watching   # stays under load until Enter
//! spanwire top ipc:///tmp/watching
//! spanwire metrics ipc:///tmp/watching --listen 127.0.0.1:9100
//! ```

#[path = "support/expose.rs"]
mod expose;

use expose::Expose;
use spanwire::watch::{self, Detail, Viewer};
use spanwire::{Latency, RepSocket, ReqSocket};
use std::error::Error;
use std::time::Duration;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let exposed = Expose::from_args()?;
    let (server, client) = (RepSocket::new(), ReqSocket::new());
    let listener = server.listen("tcp://127.0.0.1:0").await?;
    client.dial(listener.url()).await?;

    // Nothing is shown that was not given a name.
    watch::expose("orders", &server)?;
    watch::expose("shop", &client)?;
    // It can be looked at in several places; `--expose` adds one (`support/expose.rs`).
    let service = watch::serve("tcp://127.0.0.1:0").await?;

    tokio::spawn(async move {
        while let Ok(request) = server.recv().await {
            request.reply("thank you").await.ok();
        }
    });
    let told_to_end = tokio::task::spawn_blocking(move || exposed.until_enter());
    let mut orders = 0;
    while orders < 1_000 || !told_to_end.is_finished() {
        client.request("a pound of nails").await?;
        orders += 1;
    }

    // What the program itself can see ...
    let snapshot = client.snapshot();
    let replies = snapshot.latencies.of(Latency::Reply);
    assert_eq!((snapshot.ledger.sent_messages, replies.count()), (orders, orders));
    println!("{orders} orders, answered in {:?} (half of them)", replies.quantile(0.5));
    println!("and in {:?} (99 of 100)", replies.quantile(0.99));

    // ... is what others see: as values,
    let viewer = Viewer::connect(service.url()).await?;
    let report = viewer.report(Duration::from_secs(5)).await?;
    let shop = report.sockets.iter().find(|socket| socket.name == "shop").ok_or("it is exposed")?;
    assert_eq!(shop.ledger.sent_messages, orders);

    // and as text for Prometheus.
    let text = watch::prometheus(&watch::report(), Detail::Sockets);
    for line in text.lines().filter(|line| line.contains("_messages_total{socket=\"shop\"")) {
        println!("{line}");
    }
    Ok(())
}
