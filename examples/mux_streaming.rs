//! Both sides send and receive at the same time: messages, and a stream of any length in bounded memory.
//!
//! Run with `cargo run --example mux_streaming`.

use spanwire::mux::{Channel, Connection, MuxOptions, RecvError, Server};
use std::error::Error;
use tokio::io::AsyncWriteExt;

const MESSAGES: u32 = 1_000;
const MEGABYTES: usize = 64;

/// Sends numbers, as fast as the other side takes them, and ends its half.
async fn push(channel: Channel) -> Result<(), Box<dyn Error + Send + Sync>> {
    for n in 0..MESSAGES {
        channel.send(n.to_be_bytes().to_vec()).await?;
    }
    channel.finish();
    Ok(())
}

/// Takes what the other side pushes.
async fn pull(channel: Channel) -> Result<u32, Box<dyn Error + Send + Sync>> {
    let mut expected = 0;
    loop {
        match channel.recv().await {
            Ok(message) => assert_eq!(message[..], u32::to_be_bytes(expected)),
            Err(RecvError::Finished) => return Ok(expected),
            Err(error) => return Err(error.into()),
        }
        expected += 1;
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let server = Server::bind("tcp://127.0.0.1:0").await?;
    let connection = Connection::connect(&server.url(), MuxOptions::default()).await?;

    let here = connection.open("numbers").await?;
    let there = server.accept("numbers").await?;
    let (_, _, forth, back) =
        tokio::try_join!(push(here.clone()), push(there.clone()), pull(there.clone()), pull(here.clone()))?;
    println!("{forth} messages one way and {back} the other");
    assert_eq!((forth, back), (MESSAGES, MESSAGES));

    // A stream is one message whose length nobody knows beforehand. Both ends are what tokio reads and writes.
    let here = connection.open("file").await?;
    let there = server.accept("file").await?;
    let sending = tokio::spawn(async move {
        let mut upload = here.send_stream().await?;
        for n in 0..MEGABYTES {
            upload.write_all(&vec![n as u8; 1 << 20]).await?;
        }
        // Dropped before this, the receiver would learn that it is not whole.
        upload.shutdown().await?;
        here.flush().await?;
        Ok::<_, Box<dyn Error + Send + Sync>>(())
    });
    let mut download = there.recv_stream().await?;
    let total = tokio::io::copy(&mut download, &mut tokio::io::sink()).await?;
    sending.await??;
    println!("{total} bytes in one stream");
    assert_eq!(total, (MEGABYTES as u64) << 20);
    Ok(())
}
