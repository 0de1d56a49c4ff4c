//! A message of any length over a plain connection: neither side ever holds more of it than a window, and
//! others go in between.
//!
//! Run with `cargo run --example link_stream`.

use spanwire::blocking::link;
use spanwire::link::{Parcel, Priority};
use std::error::Error;
use std::thread;

const FILES: u16 = 1;
const UPLOAD: u16 = 1;
const MEGABYTES: usize = 64;

fn main() -> Result<(), Box<dyn Error>> {
    let server = link::serve("abstract://")?;
    let here = link::connect(&server.url())?;
    let there = server.accept()?;

    let receiving = thread::spawn(move || {
        let stream = there.recv_stream().expect("it was begun");
        assert_eq!((stream.head().protocol, stream.head().message), (FILES, UPLOAD));
        // An iterator over pieces of whatever size they came in.
        let bytes: usize = stream.map(|piece| piece.map_or(0, |piece| piece.len())).sum();
        (bytes, there.recv().expect("it was sent"))
    });

    let mut upload = here.send_stream(Parcel::new(FILES, UPLOAD, "").at(Priority::Low))?;
    for n in 0..MEGABYTES {
        // Waits while the other side is behind.
        upload.write_chunk(vec![n as u8; 1 << 20])?;
        if n == 3 {
            here.send("meanwhile")?;
        }
    }
    // Returns when the other program has had all of it.
    upload.finish()?;

    let (bytes, meanwhile) = receiving.join().expect("it does not panic");
    println!("{bytes} bytes, and {:?} in between", meanwhile.body);
    assert_eq!(bytes, MEGABYTES << 20);
    Ok(())
}
