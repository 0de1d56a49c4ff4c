//! A network inside the process, with names in it.

use spanwire::Place;
use spanwire::addr::Foreign;
use spanwire::transport::{Acceptor, Connection, Transport, Wait};
use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc;

/// So many bytes are on their way at most, in each direction.
const PIPE_BYTES: usize = 64 * 1024;
/// So many connections wait to be accepted at most.
const BACKLOG: usize = 128;

/// A network of names. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    names: Arc<Mutex<HashMap<String, mpsc::Sender<Arriving>>>>,
    last_dialer: Arc<AtomicUsize>,
}

/// One end of a new connection, and whom it comes from.
type Arriving = (DuplexStream, Place);

impl Transport for Memory {
    fn connect<'a>(&'a self, address: &'a Foreign) -> Wait<'a, Connection> {
        Box::pin(async move {
            let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
            let listener = names.get(address.rest()).ok_or(io::ErrorKind::ConnectionRefused)?;
            let ours = Place::Foreign(format!("#{}", self.last_dialer.fetch_add(1, Ordering::Relaxed)));
            let theirs = Place::Foreign(address.rest().to_owned());
            let (near, far) = duplex(PIPE_BYTES);
            // Nobody waits here, so a full backlog is an error; the dialer tries again.
            listener.try_send((far, ours.clone())).map_err(|_| io::ErrorKind::ConnectionRefused)?;
            Ok(Connection::new(near).between(ours, theirs).in_flight_bytes(PIPE_BYTES))
        })
    }

    fn listen<'a>(&'a self, address: &'a Foreign) -> Wait<'a, Box<dyn Acceptor>> {
        Box::pin(async move {
            let (tell, arriving) = mpsc::channel(BACKLOG);
            let name = address.rest().to_owned();
            let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
            if names.contains_key(&name) {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            names.insert(name.clone(), tell);
            Ok(Box::new(Listening { network: self.clone(), name, arriving }) as Box<dyn Acceptor>)
        })
    }
}

/// A name at which somebody listens. It is free again when this is dropped.
#[derive(Debug)]
struct Listening {
    network: Memory,
    name: String,
    arriving: mpsc::Receiver<Arriving>,
}

impl Acceptor for Listening {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Wait<'static, Connection>>> {
        let Some((stream, from)) = ready!(self.arriving.poll_recv(cx)) else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        let here = Place::Foreign(self.name.clone());
        // A transport with a handshake of its own would do it in here.
        Poll::Ready(Ok(Box::pin(async move {
            Ok(Connection::new(stream).between(here, from).in_flight_bytes(PIPE_BYTES))
        })))
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.network.names.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}
