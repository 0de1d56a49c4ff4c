//! One connection for all who dial an address.

use super::super::connection::{Connection, Life};
use super::super::{Channel, ChannelEnd, ChannelId, Code, OpenError};
use super::halves::stream_of;
use super::table::{Slot, Table};
use super::{id_of, options};
use crate::endpoint::Connector;
use crate::error::{ConnectError, DialError};
use crate::options::{DialOptions, Start};
use crate::rt::Home;
use crate::session::Origin;
use crate::transport::{Incoming, Speaks, Stream};
use spanwire_core::{Priority, addr};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// The connections of this process that dialers share.
static CONNECTIONS: Table<DialOptions, Life> = Table::new();

/// So many connections are tried that turn out to take no new channels, or to have ended, as each of them was
/// there before; then it is the dialer's turn to wait.
const TRIES: usize = 3;

/// Opens the channel of an address, on the connection that all share who dial the address in front with the
/// same options, and waits until the peer has accepted it.
///
/// The connection lives in the runtime of who was the first to dial, and as long as one of its channels.
/// It is the caller who looks at the time.
pub(crate) async fn channel_to(
    addr: &addr::Mux,
    options: &DialOptions,
    home: &Home,
) -> Result<Stream, ConnectError> {
    let id = id_of(addr)?;
    let options = of_the_connection(options);
    let slot = CONNECTIONS.slot(addr.inner(), options.clone());
    let mut of_no_use = None;
    let mut last = OpenError::Leaving;
    for _ in 0..TRIES {
        let connection = connection(&slot, of_no_use, addr, &options, home).await?;
        match open(&connection, &id).await {
            Ok(channel) => match stream_of(channel, home) {
                Some(stream) => return Ok(stream),
                None => last = OpenError::Leaving,
            },
            Err(error @ (OpenError::Leaving | OpenError::Closed(_))) => last = error,
            Err(error) => return Err(not_connected(error)),
        }
        of_no_use = Some(connection.number());
    }
    Err(not_connected(last))
}

/// The options without those that are each dialer's own.
fn of_the_connection(options: &DialOptions) -> DialOptions {
    DialOptions {
        start: Start::Wait,
        reconnect_min: Duration::ZERO,
        reconnect_max: Duration::ZERO,
        connect_timeout: None,
        ..options.clone()
    }
}

/// The connection that is there, unless it is of no use, or a new one. Where one is being made, it is waited for.
async fn connection(
    slot: &Slot<Life>,
    of_no_use: Option<u64>,
    addr: &addr::Mux,
    options: &DialOptions,
    home: &Home,
) -> Result<Connection, ConnectError> {
    let mut held = slot.lock().await;
    let there = held.upgrade().map(|life| Connection::of(&life));
    let good = |connection: &Connection| connection.end().is_none() && Some(connection.number()) != of_no_use;
    if let Some(connection) = there.filter(good) {
        return Ok(connection);
    }
    let connection = connect(addr, options, home).await?;
    *held = Arc::downgrade(&connection.life);
    Ok(connection)
}

/// A new one. In a box, as it goes through the table of endpoints once more.
fn connect<'a>(
    addr: &'a addr::Mux,
    options: &'a DialOptions,
    home: &Home,
) -> Pin<Box<dyn Future<Output = Result<Connection, ConnectError>> + Send + 'a>> {
    let home = home.shared();
    Box::pin(async move {
        let connector = Connector { addr: addr.inner().clone(), options: options.clone() };
        let stream = connector.connect(Speaks::Link, &home).await?;
        let origin = Origin { url: addr.inner().to_string().into(), dialed: true };
        let (connection, _) =
            Connection::start(&home, origin, &self::options(), None, Incoming::Ready(stream));
        connection.greeted().await.map_err(not_connected)?;
        Ok(connection)
    })
}

async fn open(connection: &Connection, id: &ChannelId) -> Result<Channel, OpenError> {
    let channel = connection.open_with(id.clone(), Priority::Normal).await?;
    match channel.accepted().await {
        Ok(()) => Ok(channel),
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
        OpenError::Refused(_) | OpenError::Full | OpenError::Busy => io::ErrorKind::ConnectionRefused,
        error if error.is_transient() => io::ErrorKind::ConnectionReset,
        _ => io::ErrorKind::InvalidData,
    };
    ConnectError::Io(io::Error::new(kind, error))
}
