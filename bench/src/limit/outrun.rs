//! A writer whose reader does not read: raw sockets keep nothing themselves, and stop when the kernel
//! is full.

use super::wire::{self, Format};
use anyhow::{Context, Result, bail};
use spanwire_bench_ends::{Arrivals, Measure, QUIET, Role, Side, role, usage};
use std::io::{ErrorKind, Write};
use std::thread;
use std::time::Duration;

pub(super) fn run(role: &Role) -> Result<()> {
    let (mut stream, format) = (wire::join(role)?, Format::of(&role.cell));
    let frame = format.frame();
    let mut buffer = vec![0; format.frame_bytes()];
    let before = usage::rss_bytes();
    role::serve(|job| {
        usage::forget_peak();
        let patience = Duration::from_millis(job.millis);
        let measure = match role.side {
            Side::Client => {
                stream.set_write_timeout(Some(patience / 2))?;
                let mut count = 0;
                while count < job.count {
                    count += 1;
                    let mut rest = frame.as_slice();
                    if !write_some(&mut stream, &mut rest)? {
                        // It has begun, so it has to be ended, which is possible once they read.
                        stream.set_write_timeout(None)?;
                        stream.write_all(rest).context("sending the last frame")?;
                        break;
                    }
                }
                Measure::moved(count)
            }
            Side::Server => {
                thread::sleep(patience);
                let mut arrivals = Arrivals::new(job.count);
                stream.set_read_timeout(Some(QUIET))?;
                while arrivals.missing() > 0 {
                    match format.read_frame(&mut stream, &mut buffer) {
                        Ok(()) => arrivals.note(1),
                        Err(error) if is_timeout(error.kind()) => {
                            arrivals.quiet();
                            break;
                        }
                        Err(error) => return Err(error).context("waiting for a frame"),
                    }
                }
                arrivals.finish()
            }
        };
        Ok(Measure { peak_bytes: usage::peak_bytes().saturating_sub(before), ..measure })
    })
}

/// `false` when it takes too long; `rest` is what is left then.
fn write_some(stream: &mut wire::Stream, rest: &mut &[u8]) -> Result<bool> {
    while !rest.is_empty() {
        match stream.write(rest) {
            Ok(0) => bail!("the connection takes nothing"),
            Ok(count) => *rest = &rest[count..],
            Err(error) if is_timeout(error.kind()) => return Ok(false),
            Err(error) => return Err(error).context("sending a frame"),
        }
    }
    Ok(true)
}

fn is_timeout(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
