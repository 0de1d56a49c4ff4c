//! Plain connections: messages between two programs, and no pattern. A server with a filter and limits, a
//! dialer that finds it again after a restart, priorities, metadata, and what closing tells.
//!
//! Run with `cargo run --example link_messages`.

use spanwire::DialOptions;
use spanwire::link::{End, Event, Host, HostOptions, Metadata, Parcel, Priority, ServerOptions};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

/// Protocols and messages are numbers of your own.
const READINGS: u16 = 1;
const TEMPERATURE: u16 = 1;
const ALARM: u16 = 2;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // A server takes no more than ten connections, and only from this machine.
    let center = Host::new("center");
    let options = ServerOptions {
        connections: 10,
        filter: Some(Arc::new(
            |ends| matches!(ends.remote, spanwire::Place::Ip(address) if address.ip().is_loopback()),
        )),
        ..ServerOptions::default()
    };
    let mut events = center.events();
    let server = center.server(options.clone());
    let url = server.listen("tcp://127.0.0.1:0").await?;

    // A sensor says what it is, and keeps one connection open.
    let mut metadata = Metadata::default();
    metadata.set("kind", "thermometer")?;
    let sensor = Host::with(HostOptions { name: "sensor 7".into(), metadata, ..HostOptions::default() });
    let retry = DialOptions { reconnect_max: Duration::from_millis(50), ..DialOptions::default() };
    let dialer = sensor.dialer_with(&url, retry)?;
    let conn = dialer.next().await?;

    let at_center = server.accept().await?;
    let peer = at_center.peer();
    println!("{} is a {:?}", peer.host, peer.metadata);
    if let Some(Event::Connected(peer)) = events.next().await {
        assert_eq!(peer.host, "sensor 7");
    }

    // An alarm passes everything that waits.
    for n in 0..100_u8 {
        conn.send(Parcel::new(READINGS, TEMPERATURE, vec![n])).await?;
    }
    conn.send(Parcel::new(READINGS, ALARM, "fire").at(Priority::Urgent)).await?;
    let mut readings = 0;
    while readings < 100 {
        let parcel = at_center.recv().await?;
        match parcel.message {
            ALARM => println!("an alarm, after {readings} readings: {:?}", parcel.body),
            _ => readings += 1,
        }
    }

    // What was sent, and what the other side has had of it.
    let report = conn.close(Duration::from_secs(1)).await;
    println!("flushed {}, abandoned {}, unknown {}", report.flushed, report.abandoned, report.unknown);
    assert_eq!((report.flushed, report.unknown), (101, 0));
    assert!(matches!(at_center.ended().await, End::ClosedByPeer { .. }));

    // The dialer hands out the next connection, also when the server was away.
    drop(server);
    let server = center.server(options);
    server.listen(&url).await?;
    let conn = loop {
        // One that the old server had taken may come first; it is over by now.
        let conn = dialer.next().await?;
        if conn.end().is_none() {
            break conn;
        }
    };
    println!("connected again: {}", conn.peer().host);
    Ok(())
}
