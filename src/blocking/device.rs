//! [`Device`].

use super::RawSocket;
use crate::Message;
use crate::device::{self, DeviceError, Direction};
use crate::rt;

/// A forwarder between two raw sockets, or from one back to itself. The blocking twin of
/// [`crate::device::Device`].
///
/// ```no_run
/// # fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use spanwire::Protocol;
/// use spanwire::blocking::{Device, RawSocket};
/// let front = RawSocket::new(Protocol::Rep);
/// front.listen("tcp://127.0.0.1:5555")?;
/// let back = RawSocket::new(Protocol::Req);
/// back.listen("tcp://127.0.0.1:5556")?;
/// Device::new(front, back)?.run();
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Device<'a> {
    inner: device::Device<'a>,
}

impl<'a> Device<'a> {
    /// Joins two sockets.
    ///
    /// # Errors
    /// Their protocols do not belong together.
    pub fn new(first: RawSocket, second: RawSocket) -> Result<Self, DeviceError> {
        Ok(Self { inner: device::Device::new(first.inner, second.inner)? })
    }

    /// Sends back what a socket receives. For protocols that are their own peer: PAIR and BUS.
    ///
    /// # Errors
    /// The protocol is not its own peer.
    pub fn reflector(socket: RawSocket) -> Result<Self, DeviceError> {
        Ok(Self { inner: device::Device::reflector(socket.inner)? })
    }

    /// Shows every message to `tap` before it goes on. A clone of it costs no copy; while the tap
    /// blocks, nothing goes on.
    #[must_use]
    pub fn tap(self, tap: impl Fn(Direction, &Message) + Send + Sync + 'a) -> Self {
        Self { inner: self.inner.tap(tap) }
    }

    /// Forwards, in this thread, until one of the sockets is closed; says why it ended. Closing
    /// one from another thread is the way to stop it.
    pub fn run(&self) -> DeviceError {
        rt::block_on(self.inner.run())
    }
}
