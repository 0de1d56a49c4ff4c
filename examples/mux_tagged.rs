//! The tagged layout: multiplexing with peers that know nothing but an id and a message.
//!
//! Run with `cargo run --example mux_tagged`.

use spanwire::mux::tagged::{Connection, TaggedOptions};
use std::error::Error;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A peer that speaks only this, and does so by hand: `id length u8 · id · data length u32 · data`.
async fn peer(mut stream: TcpStream) -> std::io::Result<()> {
    loop {
        let mut id = match stream.read_u8().await {
            Ok(length) => vec![0; length.into()],
            // It has ended between two frames, as it should.
            Err(_) => return Ok(()),
        };
        stream.read_exact(&mut id).await?;
        let mut data = vec![0; stream.read_u32().await? as usize];
        stream.read_exact(&mut data).await?;
        data.make_ascii_uppercase();
        stream.write_u8(id.len() as u8).await?;
        stream.write_all(&id).await?;
        stream.write_u32(data.len() as u32).await?;
        stream.write_all(&data).await?;
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let stream = TcpStream::connect(listener.local_addr()?).await?;
    let (accepted, _) = listener.accept().await?;
    let serving = tokio::spawn(peer(accepted));

    let connection = Connection::wrap(stream, TaggedOptions::default());
    let user = connection.open("user-session")?;
    let admin = connection.open("admin-session")?;
    user.send("user data").await?;
    admin.send("admin data").await?;
    assert_eq!(admin.recv().await?.data, "ADMIN DATA");
    assert_eq!(user.recv().await?.data, "USER DATA");

    // The empty id receives what nobody else does, and learns whose it is.
    let rest = connection.open("")?;
    connection.send("somebody", "else").await?;
    let frame = rest.recv().await?;
    println!("{:?} from {:?}", frame.data, frame.id);
    assert_eq!((frame.id, frame.data), ("somebody".into(), "ELSE".into()));

    // No acknowledgements in this layout: all that can be known is that the kernel has everything.
    drop((user, admin, rest));
    let report = connection.close(Duration::from_secs(1)).await;
    println!("flushed {}, abandoned {}", report.flushed, report.abandoned);
    assert_eq!((report.flushed, report.abandoned), (3, 0));
    serving.await??;
    Ok(())
}
