//! A channel for all who dial an address, by the pool of the process.

use super::super::pool_key::Site;
use super::super::{Channel, ChannelEnd, Code, OpenError, Pool};
use super::halves::stream_of;
use super::id_of;
use crate::error::{ConnectError, DialError};
use crate::options::DialOptions;
use crate::rt::Home;
use crate::transport::Stream;
use spanwire_core::{Priority, addr};
use std::io;

/// So many channels come to nothing because their connection ends or takes no more of them, as each of them was
/// there before; then it is the dialer's turn to wait.
const TRIES: usize = 3;

/// Opens the channel of an address, on the connection that all share who dial the address in front with the
/// same options, and waits until the peer has accepted it.
///
/// The connection is one of the pool of the process. If there is none yet, it lives in the runtime of this dialer,
/// and as long as one of its channels. It is the caller who looks at the time.
pub(crate) async fn channel_to(
    addr: &addr::Mux,
    options: &DialOptions,
    home: &Home,
) -> Result<Stream, ConnectError> {
    let id = id_of(addr)?;
    let pool = Pool::global();
    let key = pool.core().key_with(addr.inner(), options);
    let site = Site::Asker(home.shared(), options.connect_timeout);
    let mut last = OpenError::Leaving;
    for _ in 0..TRIES {
        let opened = pool.core().open(&key, &id, Priority::Normal, &site).await;
        let channel = opened.map_err(not_connected)?;
        match accepted(&channel).await {
            Ok(()) => match stream_of(channel, home) {
                Some(stream) => return Ok(stream),
                None => last = OpenError::Leaving,
            },
            Err(error @ (OpenError::Leaving | OpenError::Closed(_))) => last = error,
            Err(error) => return Err(not_connected(error)),
        }
    }
    Err(not_connected(last))
}

async fn accepted(channel: &Channel) -> Result<(), OpenError> {
    match channel.accepted().await {
        Ok(()) => Ok(()),
        // It could be had on another connection.
        Err(ChannelEnd::ResetByPeer { code: Code::LEAVING, .. }) => Err(OpenError::Leaving),
        Err(end) => Err(end.into()),
    }
}

/// A peer that refuses is there, and may think better of it, as with TCP: the error is of the kind
/// `ConnectionRefused`, and has the [`OpenError`] inside.
fn not_connected(error: OpenError) -> ConnectError {
    let kind = match &error {
        OpenError::Dial(DialError::Upgrade { error, .. }) => return ConnectError::Upgrade(error.clone()),
        OpenError::Dial(DialError::Connect { error, .. }) => {
            // Others may wait for the same dial, so the error is theirs, too.
            return ConnectError::Io(match error.raw_os_error() {
                Some(code) => io::Error::from_raw_os_error(code),
                None => io::Error::new(error.kind(), error.clone()),
            });
        }
        OpenError::Dial(DialError::TimedOut { .. }) => io::ErrorKind::TimedOut,
        OpenError::Refused(_) | OpenError::Full | OpenError::Busy => io::ErrorKind::ConnectionRefused,
        // The pool of the process is another one by now.
        OpenError::ClosedHere => io::ErrorKind::ConnectionReset,
        error if error.is_transient() => io::ErrorKind::ConnectionReset,
        _ => io::ErrorKind::InvalidData,
    };
    ConnectError::Io(io::Error::new(kind, error))
}
