//! A pool: logical connections to one address share one physical connection, whoever opens them.
//!
//! Run with `cargo run --example mux_pool`. With `-- --expose URL` both sides can be watched: `spanwire top URL`.

#[path = "support/expose.rs"]
mod expose;

use expose::Expose;
use spanwire::mux::{Idle, Logical, LogicalOptions, Pool, PoolBounds, PoolOptions, Server};
use spanwire::watch;
use std::error::Error;
use std::time::Duration;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let exposed = Expose::from_args()?;
    let server = Server::bind("tcp://127.0.0.1:0").await?;
    let url = server.url();

    // There is one for the whole process, `Pool::global()`. This one closes a connection with its last user.
    let bounds = PoolBounds { per_address: 1, idle: Idle::CloseAtOnce, ..PoolBounds::default() };
    let pool = Pool::with(PoolOptions { bounds, ..PoolOptions::default() });
    watch::expose("pool", &pool)?;
    watch::expose("server", &server)?;
    let users: Vec<_> = ["user-1", "user-2", "user-3"]
        .into_iter()
        .map(|id| Logical::with(&pool, &url, id, LogicalOptions::default()))
        .collect::<Result<_, _>>()?;
    for user in &users {
        user.send("hello").await?;
    }
    let mut accepted = Vec::new();
    for _ in &users {
        let channel = server.accept("").await?;
        assert_eq!(channel.recv().await?, "hello");
        println!("{} over connection {}", channel.id(), channel.connection().number());
        accepted.push(channel);
    }

    // Counted on both sides.
    let report = pool.stats();
    assert_eq!((report.total.dials, report.physical.len(), report.physical[0].logical), (1, 1, 3));
    assert_eq!(server.stats().arrived, 1);
    println!("{} logical ones, {} dial", report.physical[0].logical, report.total.dials);

    exposed.until_enter();

    // It goes when nobody uses it any more.
    let connection = pool.connections().remove(0);
    for user in users {
        user.close(Duration::from_secs(1)).await;
    }
    println!("{}", connection.ended().await);
    assert!(pool.connections().is_empty());
    Ok(())
}
