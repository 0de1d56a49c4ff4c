//! Single frames at a rate, beside a thread that saturates another connection.

use super::batch::{BATCH_BYTES, Outgoing};
use super::wire::{self, Format, Stream};
use anyhow::{Context, Result, anyhow, bail};
use spanwire_bench_ends::{BULK_BYTES, Job, Measure, Pace, Role, Samples, Side, pace, role};
use std::io::{BufReader, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

pub(super) fn run(role: &Role) -> Result<()> {
    let (mut singles, bulk) = join(role)?;
    let format = Format::of(&role.cell);
    let with_bulk = role.cell.many > 0;
    match role.side {
        Side::Server => {
            let mut bulk = BufReader::with_capacity(BATCH_BYTES, bulk);
            role::serve(|job| {
                thread::scope(|scope| {
                    let counting =
                        with_bulk.then(|| scope.spawn(|| receive_bulk(&mut bulk, header_bytes(&format))));
                    let measure = receive(&mut singles, format, job)?;
                    let other = match counting {
                        Some(thread) => thread.join().map_err(|_| anyhow!("the bulk thread panicked"))??,
                        None => 0,
                    };
                    Ok(Measure { other, ..measure })
                })
            })
        }
        Side::Client => {
            let mut singles = Outgoing::new(singles, format, format.frame_bytes());
            let bulk_format = Format::new(role.cell.transport, BULK_BYTES);
            let mut bulk = Outgoing::new(bulk, bulk_format, BATCH_BYTES);
            role::serve(|job| {
                let over = AtomicBool::new(false);
                thread::scope(|scope| {
                    let sending = with_bulk.then(|| scope.spawn(|| send_bulk(&mut bulk, &over)));
                    let sent = send(&mut singles, format, job);
                    over.store(true, Ordering::Relaxed);
                    sending
                        .map_or(Ok(Ok(())), thread::ScopedJoinHandle::join)
                        .map_err(|_| anyhow!("the bulk thread panicked"))??;
                    sent
                })
            })
        }
    }
}

fn join(role: &Role) -> Result<(Stream, Stream)> {
    let (one, other) = role.address.split_once(',').context("two addresses are needed")?;
    match role.side {
        Side::Server => {
            let (one, other) = (wire::listen(one)?, wire::listen(other)?);
            role::say_url(&format!("{},{}", one.url()?, other.url()?))?;
            Ok((one.accept()?, other.accept()?))
        }
        Side::Client => Ok((wire::connect(one)?, wire::connect(other)?)),
    }
}

fn header_bytes(format: &Format) -> usize {
    format.frame_bytes() - format.body_bytes
}

fn send(singles: &mut Outgoing, format: Format, job: Job) -> Result<Measure> {
    pace::wake_exactly();
    let mut body = vec![b'x'; format.body_bytes];
    let pace = Pace::start(job.rate);
    for number in 0..job.count {
        let due = pace.wait(number);
        body[..8].copy_from_slice(&pace::stamp(due).to_be_bytes());
        singles.push(&body)?;
        singles.flush()?;
    }
    Ok(Measure::moved(job.count))
}

fn receive(singles: &mut Stream, format: Format, job: Job) -> Result<Measure> {
    let mut frame = vec![0; format.frame_bytes()];
    let mut samples = Samples::start(job.count);
    for _ in 0..job.count {
        format.read_frame(singles, &mut frame).context("waiting for a single")?;
        let stamp = format.body(&frame).first_chunk().map_or(0, |stamp| u64::from_be_bytes(*stamp));
        samples.note(pace::since(stamp));
    }
    Ok(samples.finish(job.count))
}

/// Sends until the singles are out, and then how many that were.
fn send_bulk(bulk: &mut Outgoing, over: &AtomicBool) -> Result<()> {
    let body = vec![b'x'; BULK_BYTES];
    let mut count = 0_u64;
    while !over.load(Ordering::Relaxed) {
        bulk.push(&body)?;
        count += 1;
    }
    bulk.push(&count.to_be_bytes())?;
    bulk.flush()
}

/// Counts until it is told how many there were.
fn receive_bulk(bulk: &mut BufReader<Stream>, header_bytes: usize) -> Result<u64> {
    let mut header = vec![0; header_bytes];
    let mut body = vec![0; BULK_BYTES];
    let mut count = 0;
    loop {
        bulk.read_exact(&mut header).context("waiting for bulk")?;
        let length = header.last_chunk::<8>().map_or(0, |length| u64::from_be_bytes(*length));
        match length as usize {
            BULK_BYTES => bulk.read_exact(&mut body).context("waiting for bulk")?,
            8 => {
                let mut told = [0; 8];
                bulk.read_exact(&mut told).context("waiting for the end of the bulk")?;
                match u64::from_be_bytes(told) {
                    told if told == count => return Ok(count),
                    told => bail!("void: {count} of {told} bulk messages came"),
                }
            }
            _ => bail!("a frame of {length} bytes came"),
        }
        count += 1;
    }
}
