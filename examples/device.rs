//! A device: joins two addresses and forwards between them.
//!
//! ```text
//!   REQ ──dial──▶ front [ raw REP ═ device ═ raw REQ ] back ◀──dial── REP, REP
//! ```
//!
//! Clients know the front and workers know the back; neither knows the other. Workers may come and
//! go. The same works for SUB and PUB, PULL and PUSH, RESPONDENT and SURVEYOR, PAIR and BUS.
//!
//! ```sh
//! cargo run --example device
//! cargo run --example device -- --expose ipc:///tmp/device   # to be watched by `spanwire top`
//! ```

#[path = "support/expose.rs"]
mod expose;

use expose::Expose;
use spanwire::device::{Device, DeviceError, Direction};
use spanwire::{Protocol, RawSocket, RepSocket, ReqSocket, watch};
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let expose = Expose::from_args()?;
    // Raw sockets keep no requests. They show the protocol's header, in which every device leaves
    // a mark on the way there and takes it off on the way back.
    let front = RawSocket::new(Protocol::Rep);
    let front_at = front.listen("tcp://127.0.0.1:0").await?;
    let back = RawSocket::new(Protocol::Req);
    let back_at = back.listen("tcp://127.0.0.1:0").await?;

    watch::expose("front", &front)?;
    watch::expose("back", &back)?;

    // A tap sees everything that goes through, and can change nothing.
    let seen = Arc::new(AtomicUsize::new(0));
    let counter = seen.clone();
    let device = Device::new(front.clone(), back.clone())?.tap(move |direction, message| {
        let arrow = if direction == Direction::Forth { "──▶" } else { "◀──" };
        println!("{arrow} {} header bytes, {} body bytes", message.header().len(), message.body().len());
        counter.fetch_add(1, Ordering::Relaxed);
    });
    let running = tokio::spawn(async move { device.run().await });

    for name in ["ann", "bob"] {
        let worker = RepSocket::new();
        worker.dial(back_at.url()).await?;
        tokio::spawn(async move {
            while let Ok(request) = worker.recv().await {
                let answer = format!("{name} did {}", String::from_utf8_lossy(&request));
                request.reply(answer).await.ok();
            }
        });
    }
    back.wait_peers(2).await?;

    let client = ReqSocket::new();
    client.dial(front_at.url()).await?;
    for n in 1..=4 {
        let reply = client.request(format!("job {n}")).await?;
        println!("{}", String::from_utf8_lossy(&reply));
    }
    assert_eq!(seen.load(Ordering::Relaxed), 8, "four requests and four replies");

    expose.until_enter();

    // A device ends when one of its sockets is closed.
    front.close(Duration::from_secs(1)).await;
    assert_eq!(running.await?, DeviceError::Closed);
    Ok(())
}
