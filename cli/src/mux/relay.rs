//! A local connection over a channel: one stream each way, and each ends by itself.
//!
//! ```text
//!  local ── read ──▶ stream ══ the other side ══▶ write ── local
//!           its end ▶ finish, the channel's too  ▶ shut down for writing
//!           a cut   ▶ reset                      ▶ cut, as far as its kind can say so
//! ```

use super::counts::Counts;
use super::local::Local;
use super::{CUT, UNREACHABLE};
use bytes::BytesMut;
use spanwire::mux::{Channel, ChannelEnd, Code, RecvError, StreamError};
use std::fmt;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Why a connection was cut.
#[derive(Debug)]
pub(super) enum Cut {
    /// The local side.
    Local(io::Error),
    /// The other side never connected it.
    Refused(String),
    /// The other side, or what is between.
    Channel(String),
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(error) => write!(f, "cut here: {error}"),
            Self::Refused(why) => write!(f, "refused by the other side: {why}"),
            Self::Channel(why) => write!(f, "cut: {why}"),
        }
    }
}

/// Read from a local connection at once.
const READ_BYTES: usize = 64 * 1024;
/// With less room than this in what was read into last, there is something new to read into.
const LEAST_BYTES: usize = 8 * 1024;

/// Carries until both directions have ended, or one is cut, which cuts the other.
pub(super) async fn relay(mut local: Local, channel: &Channel, counts: &Counts) -> Result<(), Cut> {
    let done = match &mut local {
        Local::Tcp(stream) => {
            let (from, to) = stream.split();
            both(from, to, channel, counts).await
        }
        #[cfg(unix)]
        Local::Unix(stream) => {
            let (from, to) = stream.split();
            both(from, to, channel, counts).await
        }
    };
    if done.is_err() {
        local.cut();
    }
    done
}

async fn both(
    from: impl AsyncRead + Unpin,
    to: impl AsyncWrite + Unpin,
    channel: &Channel,
    counts: &Counts,
) -> Result<(), Cut> {
    tokio::try_join!(forth(from, channel, counts), back(channel, to, counts)).map(drop)
}

async fn forth(mut from: impl AsyncRead + Unpin, channel: &Channel, counts: &Counts) -> Result<(), Cut> {
    let cut = |error: StreamError| cut(channel, &error);
    let mut to = channel.send_stream().await.map_err(cut)?;
    let mut buffer = BytesMut::new();
    loop {
        if buffer.capacity() < LEAST_BYTES {
            buffer.reserve(READ_BYTES);
        }
        let count = from.read_buf(&mut buffer).await.map_err(|error| broken(channel, error))?;
        if count == 0 {
            break;
        }
        to.write_chunk(buffer.split().freeze()).await.map_err(cut)?;
        counts.sent(count);
    }
    to.finish();
    channel.finish();
    Ok(())
}

async fn back(channel: &Channel, mut to: impl AsyncWrite + Unpin, counts: &Counts) -> Result<(), Cut> {
    loop {
        // A peer of another make may send messages instead: they are bytes, too.
        let mut stream = match channel.recv_stream().await {
            Ok(stream) => stream,
            Err(RecvError::Finished) => break,
            Err(error) => return Err(cut(channel, &error)),
        };
        while let Some(bytes) = stream.read_chunk().await.map_err(|error| cut(channel, &error))? {
            to.write_all(&bytes).await.map_err(|error| broken(channel, error))?;
            counts.received(bytes.len());
        }
    }
    // One who has closed both ways already needs not be told.
    let _ = to.shutdown().await;
    Ok(())
}

/// The local side has cut it, and so does the other one, for this very reason: before a stream that is given up
/// comes there as another.
fn broken(channel: &Channel, error: io::Error) -> Cut {
    channel.reset(CUT, "the connection at the other end was cut");
    Cut::Local(error)
}

fn cut(channel: &Channel, error: &dyn fmt::Display) -> Cut {
    match channel.end() {
        Some(ChannelEnd::ResetByPeer { code: code @ (Code::NOBODY | Code::BUSY | UNREACHABLE), text }) => {
            Cut::Refused(if text.is_empty() { code.to_string() } else { text })
        }
        Some(ChannelEnd::ResetByPeer { code: CUT, text }) => Cut::Channel(text),
        Some(end) => Cut::Channel(end.to_string()),
        None => Cut::Channel(error.to_string()),
    }
}
