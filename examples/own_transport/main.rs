//! A transport of your own: sockets talk over whatever carries bytes in order.
//!
//! This one, in `memory.rs`, is a network inside the process, with names in it. `spanwire::transport` tells what a transport has to
//! do; all else, reconnecting, limits and closing, is as with those that come with the library.
//!
//! ```sh
//! cargo run --example own_transport
//! ```

mod memory;

use memory::Memory;
use spanwire::{DialOptions, ListenOptions, RepSocket, ReqSocket, blocking};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let network = Arc::new(Memory::default());
    let listening = ListenOptions { transport: Some(network.clone()), ..ListenOptions::default() };
    let dialing = DialOptions { transport: Some(network), ..DialOptions::default() };

    let server = RepSocket::new();
    let listener = server.listen_with("memory://upper case", listening).await?;
    println!("listening at {}", listener.url());
    let serving = tokio::spawn(async move {
        while let Ok(request) = server.recv().await {
            let answer = request.to_ascii_uppercase();
            request.reply(answer).await.ok();
        }
    });

    let client = ReqSocket::new();
    client.dial_with(listener.url(), dialing.clone()).await?;
    assert_eq!(&client.request("hello").await?[..], b"HELLO");
    client.close(Duration::from_secs(1)).await;

    // Blocking sockets take it, too.
    let url = listener.url().to_owned();
    let asking = std::thread::spawn(move || {
        let client = blocking::ReqSocket::new();
        client.dial_with(&url, dialing).expect("somebody listens");
        let reply = client.request("from a thread").expect("somebody serves");
        assert_eq!(&reply[..], b"FROM A THREAD");
        client.close(Duration::from_secs(1));
    });
    tokio::task::spawn_blocking(move || asking.join().expect("it does not panic")).await?;
    serving.abort();
    println!("both were answered");
    Ok(())
}
