//! Two logical connections over one physical one: each receives its own messages, and one whose reader stops
//! holds up only itself.
//!
//! Run with `cargo run --example mux_multiplexing`.

use spanwire::mux::{Pool, PoolOptions, Server};
use std::error::Error;
use std::time::Duration;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = Server::bind("tcp://127.0.0.1:0").await?;
    let pool = Pool::with(PoolOptions::default());
    let user = pool.open(&server.url(), "user-session").await?;
    let admin = pool.open(&server.url(), "admin-session").await?;
    assert_eq!(user.connection().number(), admin.connection().number());

    // Whoever names an id gets exactly that.
    admin.send("admin data").await?;
    user.send("user data").await?;
    let at_user = server.accept("user-session").await?;
    let at_admin = server.accept("admin-session").await?;
    assert_eq!(at_user.recv().await?, "user data");
    assert_eq!(at_admin.recv().await?, "admin data");

    // Nobody reads here any more, until its credit and what may wait are used up ...
    let mut waiting = 0;
    while user.send_timeout(vec![0; 10_000], Duration::from_millis(100)).await.is_ok() {
        waiting += 1;
    }
    // ... which the other one does not notice.
    for n in 0..1_000 {
        admin.send(format!("admin data {n}")).await?;
        assert_eq!(at_admin.recv().await?, format!("admin data {n}"));
    }
    println!("1,000 messages passed {waiting} that wait");
    let stalled = &pool.stats().physical[0].stalled[0];
    println!("{} has stalled {} times, and {} bytes wait", stalled.id, stalled.stalls, stalled.waiting_bytes);
    assert_eq!(stalled.id.as_str(), "user-session");
    Ok(())
}
