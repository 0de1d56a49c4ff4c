//! One connection after the other, a frame on each.

use super::wire::{self, Format};
use anyhow::{Context, Result};
use spanwire_bench_ends::{Arrivals, Measure, Role, Side, role};
use std::io::{Read, Write};

pub(super) fn run(role: &Role) -> Result<()> {
    let format = Format::of(&role.cell);
    if role.side == Side::Client {
        let frame = format.frame();
        return role::serve(|job| {
            for _ in 0..job.count {
                let mut stream = wire::connect(&role.address)?;
                stream.write_all(&frame).context("sending")?;
                stream.end()?;
                // Without waiting for the other side, more would come than it accepts.
                let _ = stream.read(&mut [0])?;
            }
            Ok(Measure::moved(job.count))
        });
    }
    let listener = wire::listen_for(role)?;
    let mut frame = vec![0; format.frame_bytes()];
    role::serve(|job| {
        let mut arrivals = Arrivals::new(job.count);
        while arrivals.missing() > 0 {
            let mut stream = listener.accept()?;
            format.read_frame(&mut stream, &mut frame).context("waiting for a frame")?;
            arrivals.note(1);
            // The other side ends it.
            let _ = stream.read(&mut [0])?;
        }
        Ok(arrivals.finish())
    })
}
