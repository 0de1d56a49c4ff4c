//! Requests over a plain connection: handlers by number, their failures, deadlines; one connection between
//! two hosts that dial each other.
//!
//! Run with `cargo run --example link_requests`.

use spanwire::link::{CallError, Fault, HandlerError, Handlers, Host, HostOptions, Parcel};
use std::error::Error;
use std::time::Duration;

const MATH: u16 = 1;
const SQUARE: u16 = 1;
const DIVIDE: u16 = 2;
const PONDER: u16 = 3;

/// A fault of this application's own.
const BY_ZERO: Fault = Fault::Other(Fault::APPLICATION);

fn handlers() -> Handlers {
    Handlers::new()
        // An error of any kind travels as text.
        .on(MATH, SQUARE, async |asked: Parcel, _| {
            let number: u32 = std::str::from_utf8(&asked.body)?.parse()?;
            Ok::<_, Box<dyn Error + Send + Sync>>((number * number).to_string())
        })
        // Or with a code that the other side can match on.
        .on(MATH, DIVIDE, async |asked: Parcel, _| match asked.body[..] {
            [_, 0] => Err(HandlerError { code: BY_ZERO, text: "nothing comes of it".into() }),
            [a, b] => Ok(vec![a / b]),
            _ => Err("two numbers are needed".into()),
        })
        .on(MATH, PONDER, async |_, _| {
            std::future::pending::<()>().await;
            Ok::<_, HandlerError>("")
        })
}

fn host(name: &str) -> Host {
    Host::with(HostOptions { name: name.into(), one_connection: true, ..HostOptions::default() })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Both dial each other at once, and end up with one connection.
    let (ann, bob) = (host("ann"), host("bob"));
    let (at_ann, at_bob) = (ann.serve("tcp://127.0.0.1:0").await?, bob.serve("tcp://127.0.0.1:0").await?);
    let (to_ann, to_bob) = (at_ann.url(), at_bob.url());
    let (here, there) = tokio::join!(ann.connect(&to_bob), bob.connect(&to_ann));
    let (here, there) = (here?, there?);

    let serving = tokio::spawn(async move { there.serve(&handlers()).await });

    assert_eq!(here.call(Parcel::new(MATH, SQUARE, "12")).await?, "144");
    for (message, body) in [(SQUARE, b"twelve".to_vec()), (DIVIDE, vec![7, 0]), (99, Vec::new())] {
        match here.call(Parcel::new(MATH, message, body)).await {
            Err(CallError::Failed { code, text }) => println!("{message}: {code}: {text}"),
            other => panic!("{other:?}"),
        }
    }

    // Whoever gives up tells the other side, which need not go on.
    let ponder = here.call_timeout(Parcel::new(MATH, PONDER, ""), Duration::from_millis(20)).await;
    assert_eq!(ponder, Err(CallError::TimedOut));

    here.close(Duration::from_secs(1)).await;
    println!("served until: {}", serving.await?);
    Ok(())
}
