//! Inside one process the limit is a channel: tokio's between two tasks of one runtime, the standard
//! library's between two threads. Bodies are handed over by reference, as any library would.

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use spanwire_bench_ends::{Arrivals, Cell, Job, Measure, Mode, Side, Stopwatch, Work, pin, role};
use std::sync::mpsc::sync_channel;
use tokio::sync::mpsc::channel;

/// As many messages as a Spanwire socket queues by default.
const QUEUE_MESSAGES: usize = 1024;

/// A round trip on one runtime takes well under a microsecond; see [`Stopwatch::start`].
const TASK_GROUP: u32 = 16;

/// Is both ends.
pub(super) fn run(cell: &Cell) -> Result<()> {
    let body = Bytes::from(vec![b'x'; cell.body_bytes]);
    let runtime = tokio::runtime::Builder::new_current_thread().build().context("cannot make a runtime")?;
    role::serve(|job| match (cell.mode, cell.work) {
        (Mode::Runtime, Work::RoundTrip) => runtime.block_on(ping_pong_tasks(job, &body)),
        (Mode::Runtime, Work::OneWay) => runtime.block_on(stream_tasks(job, &body)),
        (mode, Work::RoundTrip) => ping_pong_threads(job, &body, mode),
        (mode, Work::OneWay) => stream_threads(job, &body, mode),
        _ => bail!("this work is not done within one process"),
    })
}

async fn ping_pong_tasks(job: Job, body: &Bytes) -> Result<Measure> {
    let (ask, mut asked) = channel::<Bytes>(QUEUE_MESSAGES);
    let (answer, mut answered) = channel::<Bytes>(QUEUE_MESSAGES);
    tokio::spawn(async move {
        while let Some(body) = asked.recv().await {
            answer.send(body).await?;
        }
        anyhow::Ok(())
    });
    let body = body.clone();
    let client = tokio::spawn(async move {
        let mut watch = Stopwatch::start(job.count, job.group(TASK_GROUP));
        for _ in 0..job.count {
            ask.send(body.clone()).await?;
            answered.recv().await.context("the answering task is gone")?;
            watch.lap();
        }
        anyhow::Ok(watch.finish())
    });
    client.await?
}

async fn stream_tasks(job: Job, body: &Bytes) -> Result<Measure> {
    let (sender, mut receiver) = channel::<Bytes>(QUEUE_MESSAGES);
    let body = body.clone();
    tokio::spawn(async move {
        for _ in 0..job.count {
            sender.send(body.clone()).await?;
        }
        anyhow::Ok(())
    });
    let receiving = tokio::spawn(async move {
        let mut arrivals = Arrivals::new(job.count);
        while receiver.recv().await.is_some() {
            arrivals.note(1);
        }
        arrivals.finish()
    });
    Ok(receiving.await?)
}

fn ping_pong_threads(job: Job, body: &Bytes, mode: Mode) -> Result<Measure> {
    let (ask, asked) = sync_channel::<Bytes>(QUEUE_MESSAGES);
    let (answer, answered) = sync_channel::<Bytes>(QUEUE_MESSAGES);
    std::thread::scope(|scope| {
        let server = scope.spawn(move || {
            pin::this_thread(mode, Side::Server)?;
            asked.into_iter().try_for_each(|body| answer.send(body))?;
            anyhow::Ok(())
        });
        let mut watch = Stopwatch::start(job.count, job.group(1));
        for _ in 0..job.count {
            ask.send(body.clone())?;
            answered.recv()?;
            watch.lap();
        }
        drop(ask);
        server.join().map_err(|_| anyhow!("the answering thread panicked"))??;
        Ok(watch.finish())
    })
}

fn stream_threads(job: Job, body: &Bytes, mode: Mode) -> Result<Measure> {
    let (sender, receiver) = sync_channel::<Bytes>(QUEUE_MESSAGES);
    std::thread::scope(|scope| {
        let receiving = scope.spawn(move || {
            pin::this_thread(mode, Side::Server)?;
            let mut arrivals = Arrivals::new(job.count);
            receiver.into_iter().for_each(|_| arrivals.note(1));
            anyhow::Ok(arrivals.finish())
        });
        for _ in 0..job.count {
            sender.send(body.clone())?;
        }
        drop(sender);
        receiving.join().map_err(|_| anyhow!("the receiving thread panicked"))?
    })
}
