//! A web page as a peer: it subscribes, asks and chats over WebSocket, with the JavaScript client of
//! `clients/js`. The files of the page come over HTTP from one port, SP is on the next one.
//!
//! ```sh
//! cargo run --example browser --features ws -- 8080     # then open http://127.0.0.1:8080/
//! cargo run --example browser --features ws             # tries itself out and ends
//! cargo run --example browser --features ws -- 8080 --expose ipc:///tmp/browser   # `spanwire top` shows who is there
//! ```

#[path = "../support/expose.rs"]
mod expose;
mod hall;
mod http;
mod sums;

use expose::Expose;
use hall::Hall;
use http::{Answer, Request};
use spanwire::{DialOptions, ReqSocket, SubSocket, WsDialOptions, watch};
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let expose = Expose::from_args()?;
    let port = std::env::args()
        .nth(1)
        .filter(|arg| arg != "--expose")
        .map(|port| port.parse::<u16>())
        .transpose()?;
    let site = TcpListener::bind(("127.0.0.1", port.unwrap_or(0))).await?;
    let here = site.local_addr()?.port();
    // The page may be asked for by either name, and its origin is what it was asked for by.
    let origins = ["127.0.0.1", "localhost"].map(|host| format!("http://{host}:{here}"));
    // A port that is known beforehand is still the same after a restart, and pages find us again.
    let sp_port = port.map_or(0, |port| port.saturating_add(1));
    let hall = Hall::open(&format!("127.0.0.1:{sp_port}"), origins.to_vec()).await?;

    watch::expose("feed", &hall.feed)?;
    watch::expose("ask", &hall.ask)?;
    watch::expose("chat", &hall.chat)?;

    let base: Arc<str> = hall.base.as_str().into();
    let serving = tokio::spawn(http::serve(site, move |request| answer(request, base.clone())));
    if port.is_some() {
        println!("the page is at {}, SP at {}", origins[0], hall.base);
        serving.await?;
    } else {
        try_out(&hall, here, &origins[0]).await?;
        expose.until_enter();
        hall.close().await;
    }
    Ok(())
}

/// The files of the page, and where its sockets dial.
async fn answer(request: Request, base: Arc<str>) -> Answer {
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/js");
    match (request.method.as_str(), request.path.as_str()) {
        _ if !request.body.is_empty() => Answer::refusal("413 Content Too Large"),
        ("GET", "/sp") => Answer::text(&*base),
        ("GET", "/") => Answer::redirect("/example/index.html"),
        ("GET", path) => Answer::file(&files, path).await,
        _ => Answer::refusal("405 Method Not Allowed"),
    }
}

/// Does what a browser would, and what a page of somebody else would.
async fn try_out(hall: &Hall, port: u16, origin: &str) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut visitor = TcpStream::connect(("127.0.0.1", port)).await?;
    visitor.write_all(b"GET /src/index.js HTTP/1.1\r\nHost: here\r\n\r\n").await?;
    let mut module = String::new();
    visitor.read_to_string(&mut module).await?;
    assert!(module.starts_with("HTTP/1.1 200 OK\r\n") && module.contains("export"));
    println!("the site has the client: {} bytes of its module, head included", module.len());

    let as_page_of = |origin: &str| {
        let ws = WsDialOptions { origin: Some(origin.to_owned()), ..Default::default() };
        DialOptions { ws, ..DialOptions::default() }
    };
    let sub = SubSocket::new();
    sub.subscribe("oslo ");
    sub.dial_with(&format!("{}/feed", hall.base), as_page_of(origin)).await?;
    println!("the feed says: {}", String::from_utf8_lossy(&sub.recv().await?));

    let req = ReqSocket::new();
    req.dial_with(&format!("{}/ask", hall.base), as_page_of(origin)).await?;
    let reply = req.request("2 * (3 + 4)").await?;
    assert_eq!(reply.body(), &b"14"[..]);
    println!("2 * (3 + 4) = {}", String::from_utf8_lossy(&reply));

    let stranger = ReqSocket::new();
    let elsewhere = as_page_of("https://elsewhere.example");
    let refused = stranger.dial_with(&format!("{}/ask", hall.base), elsewhere).await;
    println!("a page of somebody else: {}", refused.expect_err("its origin is not allowed"));
    Ok(())
}
