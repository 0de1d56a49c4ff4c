//! [`RawSocket`].

use crate::rt::Home;
use crate::{Options, Protocol};

/// A socket in raw mode. The blocking twin of [`crate::RawSocket`], where it is told what each
/// protocol sends and receives.
#[derive(Clone, Debug)]
pub struct RawSocket {
    pub(super) inner: crate::RawSocket,
}

impl RawSocket {
    /// A raw socket of this protocol with default options.
    pub fn new(protocol: Protocol) -> Self {
        Self::with(protocol, Options::default())
    }

    /// A raw socket with these options.
    pub fn with(protocol: Protocol, options: Options) -> Self {
        Self { inner: crate::RawSocket::at(protocol, options, Home::background()) }
    }

    /// The protocol it speaks.
    pub fn protocol(&self) -> Protocol {
        self.inner.protocol()
    }
}

common_twin!(RawSocket);
sending_twin!(RawSocket);
receiving_twin!(RawSocket);
