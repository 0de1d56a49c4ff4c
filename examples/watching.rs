//! A program that shows its sockets: to `spanwire top`, to Prometheus, and to other programs.
//!
//! ```sh
//! cargo run --example watching
//! cargo run --example watching -- ipc:///tmp/watching &   # stays for a minute, under load
//! spanwire top ipc:///tmp/watching
//! spanwire metrics ipc:///tmp/watching --listen 127.0.0.1:9100
//! ```

use spanwire::watch::{self, Detail, Viewer};
use spanwire::{Latency, RepSocket, ReqSocket};
use std::error::Error;
use std::time::{Duration, Instant};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1);
    let (server, client) = (RepSocket::new(), ReqSocket::new());
    let listener = server.listen("tcp://127.0.0.1:0").await?;
    client.dial(listener.url()).await?;

    // Nothing is shown that was not given a name.
    watch::expose("orders", &server)?;
    watch::expose("shop", &client)?;
    let service = watch::serve(url.as_deref().unwrap_or("tcp://127.0.0.1:0")).await?;
    println!("look with: spanwire top {}", service.url());

    tokio::spawn(async move {
        while let Ok(request) = server.recv().await {
            request.reply("thank you").await.ok();
        }
    });
    let start = Instant::now();
    let mut orders = 0;
    while orders < 1_000 || (url.is_some() && start.elapsed() < Duration::from_secs(60)) {
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
