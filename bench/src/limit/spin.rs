//! Ping-pong in which nobody sleeps: both ends look again and again until something is there.

use super::wire::{self, Format, Stream};
use anyhow::{Context, Result};
use spanwire_bench_ends::{Measure, Role, Side, Stopwatch, role};
use std::hint::spin_loop;
use std::io::{self, ErrorKind, Read, Write};

pub(super) fn run(role: &Role) -> Result<()> {
    let (mut stream, format) = (wire::join(role)?, Format::of(&role.cell));
    stream.set_nonblocking(true)?;
    let request = format.frame();
    let mut frame = vec![0; format.frame_bytes()];
    role::serve(|job| match role.side {
        Side::Server => {
            for _ in 0..job.count {
                read(&mut stream, &mut frame).context("waiting for a request")?;
                write(&mut stream, &frame).context("sending an answer")?;
            }
            Ok(Measure::moved(job.count))
        }
        Side::Client => {
            let mut watch = Stopwatch::start(job.count, job.group(1));
            for _ in 0..job.count {
                write(&mut stream, &request).context("sending a request")?;
                read(&mut stream, &mut frame).context("waiting for an answer")?;
                watch.lap();
            }
            Ok(watch.finish())
        }
    })
}

fn read(stream: &mut Stream, buffer: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    while filled < buffer.len() {
        match stream.read(&mut buffer[filled..]) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => spin_loop(),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn write(stream: &mut Stream, bytes: &[u8]) -> io::Result<()> {
    let mut written = 0;
    while written < bytes.len() {
        match stream.write(&bytes[written..]) {
            Ok(count) => written += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => spin_loop(),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
