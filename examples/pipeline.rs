//! A pipeline: jobs go out to workers, results come in from them.
//!
//! ```text
//!              ┌▶ worker ─┐
//!   PUSH jobs ─┼▶ worker ─┼▶ PULL results
//!              └▶ worker ─┘
//! ```
//!
//! ```sh
//! cargo run --example pipeline
//! cargo run --example pipeline -- --expose ipc:///tmp/pipeline   # to be watched by `spanwire top`
//! ```

#[path = "support/expose.rs"]
mod expose;

use expose::Expose;
use spanwire::{PullSocket, PushSocket, watch};
use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

const JOBS: u32 = 300;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let expose = Expose::from_args()?;
    let jobs = PushSocket::new();
    let results = PullSocket::new();
    watch::expose("jobs", &jobs)?;
    watch::expose("results", &results)?;
    // One socket may listen, or dial, at several addresses of several kinds.
    let jobs_at = jobs.listen("tcp://127.0.0.1:0").await?.url().to_string();
    let results_at = results.listen("tcp://127.0.0.1:0").await?.url().to_string();

    for name in ["ann", "bob", "cid"] {
        tokio::spawn(work(name, jobs_at.clone(), results_at.clone()));
    }

    // Without this the first worker would get jobs while the others are still connecting.
    jobs.wait_peers(3).await?;

    let feeding = tokio::spawn(async move {
        for n in 0..JOBS {
            // Waits while no worker has room. That is the back-pressure: a pipeline runs at the
            // speed of its workers and keeps no more than its bounds in memory.
            jobs.send(n.to_be_bytes().to_vec()).await.expect("the socket is open");
        }
        jobs
    });

    let mut by_worker = BTreeMap::<String, u32>::new();
    let mut sum = 0;
    for _ in 0..JOBS {
        let result = results.recv().await?;
        let (number, name) = result.split_at(8);
        sum += u64::from_be_bytes(number.try_into()?);
        *by_worker.entry(String::from_utf8_lossy(name).into_owned()).or_default() += 1;
    }
    println!("{by_worker:?}, sum of squares {sum}");
    assert_eq!(sum, (0..u64::from(JOBS)).map(|n| n * n).sum());
    assert_eq!(by_worker.len(), 3, "everybody had something to do");

    let jobs = feeding.await?;
    expose.until_enter();
    let report = jobs.close(Duration::from_secs(1)).await;
    assert_eq!(report.abandoned, 0, "nothing was left unsent");
    Ok(())
}

/// Takes jobs and sends results until there are no more jobs to come.
async fn work(
    name: &'static str,
    jobs_at: String,
    results_at: String,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let (jobs, results) = (PullSocket::new(), PushSocket::new());
    results.dial(&results_at).await?;
    jobs.dial(&jobs_at).await?;
    loop {
        let job = jobs.recv().await?;
        let n = u64::from(u32::from_be_bytes(job[..].try_into()?));
        let mut result = (n * n).to_be_bytes().to_vec();
        result.extend_from_slice(name.as_bytes());
        results.send(result).await?;
    }
}
