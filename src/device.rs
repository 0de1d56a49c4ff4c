//! Devices: forwarders that join two raw sockets.
//!
//! ```text
//!   REQ ── REP⟩ device ⟨REQ ── REP          SUB ── PUB⟩ device ⟨SUB ── PUB
//! ```
//!
//! Messages go from each socket to the other with header and body unchanged; that is all that REQ,
//! REP, SURVEYOR and RESPONDENT need to find their way back, since raw sockets keep the way in the
//! header. A loop of devices ends by the hop limit in those and in PAIR v1; the other protocols have
//! none, so a loop of them goes round for ever (spec 5.8).

use crate::{Message, RawSocket, RecvError, SendError};
use spanwire_core::framing::sp::Protocol;
use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

/// Which way a message goes through a device.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the first socket to the second.
    Forth,
    /// From the second socket to the first.
    Back,
}

/// Why two sockets were not joined, or are no longer.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// The protocols do not belong together: each has to be the peer of the other.
    #[error("a device cannot join {0} and {1}")]
    Mismatch(Protocol, Protocol),
    /// One of the sockets was closed. That is how a device ends.
    #[error("a socket of the device was closed")]
    Closed,
}

/// Sees every message that goes through.
type Tap<'a> = Box<dyn Fn(Direction, &Message) + Send + Sync + 'a>;

/// A forwarder between two raw sockets, or from one back to itself.
///
/// ```
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use spanwire::{Protocol, RawSocket, device::Device};
/// let front = RawSocket::new(Protocol::Rep);
/// front.listen("tcp://127.0.0.1:0").await?;
/// let back = RawSocket::new(Protocol::Req);
/// back.listen("tcp://127.0.0.1:0").await?;
/// let device = Device::new(front, back)?;
/// device.run().await;
/// # Ok(()) }
/// ```
pub struct Device<'a> {
    first: RawSocket,
    second: Option<RawSocket>,
    tap: Option<Tap<'a>>,
}

impl<'a> Device<'a> {
    /// Joins two sockets.
    ///
    /// # Errors
    /// Their protocols do not belong together.
    pub fn new(first: RawSocket, second: RawSocket) -> Result<Self, DeviceError> {
        let (a, b) = (first.protocol(), second.protocol());
        if a.peer() != b {
            return Err(DeviceError::Mismatch(a, b));
        }
        Ok(Self { first, second: Some(second), tap: None })
    }

    /// Sends back what a socket receives. For protocols that are their own peer: PAIR and BUS.
    ///
    /// # Errors
    /// The protocol is not its own peer.
    pub fn reflector(socket: RawSocket) -> Result<Self, DeviceError> {
        let protocol = socket.protocol();
        if protocol.peer() != protocol {
            return Err(DeviceError::Mismatch(protocol, protocol));
        }
        Ok(Self { first: socket, second: None, tap: None })
    }

    /// Shows every message to `tap` before it goes on. A clone of it costs no copy; the tap must
    /// not block.
    #[must_use]
    pub fn tap(mut self, tap: impl Fn(Direction, &Message) + Send + Sync + 'a) -> Self {
        self.tap = Some(Box::new(tap));
        self
    }

    /// Forwards until one of the sockets is closed; says why it ended.
    ///
    /// Dropping the future stops the device; a message that is between the sockets then is lost,
    /// and no other.
    pub async fn run(&self) -> DeviceError {
        match &self.second {
            None => self.pass(Direction::Forth, &self.first, &self.first).await,
            Some(second) => {
                let mut forth = pin!(self.pass(Direction::Forth, &self.first, second));
                let mut back = pin!(self.pass(Direction::Back, second, &self.first));
                poll_fn(|cx| match forth.as_mut().poll(cx) {
                    Poll::Ready(why) => Poll::Ready(why),
                    Poll::Pending => back.as_mut().poll(cx),
                })
                .await
            }
        }
    }

    async fn pass(&self, direction: Direction, from: &RawSocket, to: &RawSocket) -> DeviceError {
        loop {
            let mut message = match from.recv().await {
                Ok(message) => message,
                // One that only sends never has anything to pass on.
                Err(RecvError::State) => std::future::pending().await,
                Err(RecvError::TimedOut) => continue,
                Err(_) => return DeviceError::Closed,
            };
            // Its pipe is one of the other socket; where it goes is in its header.
            message.set_pipe(None);
            if let Some(tap) = &self.tap {
                tap(direction, &message);
            }
            match to.send(message).await {
                Ok(()) => {}
                Err(SendError::Closed(_) | SendError::RuntimeGone(_)) => return DeviceError::Closed,
                // Whoever it was for is gone, or its header makes no sense: nobody can be told.
                Err(error) => to.handle.core.discard_unsendable(&error),
            }
        }
    }
}

impl fmt::Debug for Device<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device")
            .field("first", &self.first)
            .field("second", &self.second)
            .finish_non_exhaustive()
    }
}
