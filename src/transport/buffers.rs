//! [`Buffers`]: what the kernel keeps of a socket.

use crate::options::{DialOptions, ListenOptions};
use socket2::SockRef;
use std::io;

/// The sizes of a socket's buffers in the kernel, in bytes. `None`: its own choice.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Buffers {
    send: Option<usize>,
    recv: Option<usize>,
}

impl Buffers {
    /// What was not asked for is `bytes`, as far as the kernel allows that.
    #[cfg(feature = "quic")]
    pub(super) fn set_or(self, socket: &SockRef<'_>, bytes: usize) -> io::Result<()> {
        // Two calls: where one of them is too much, the other need not be.
        let _ = Self { send: Some(bytes), recv: None }.set(socket);
        let _ = Self { send: None, recv: Some(bytes) }.set(socket);
        self.set(socket)
    }

    /// The kernel moves sizes into the range that it allows.
    pub(super) fn set(self, socket: &SockRef<'_>) -> io::Result<()> {
        self.send.map_or(Ok(()), |bytes| socket.set_send_buffer_size(bytes))?;
        self.recv.map_or(Ok(()), |bytes| socket.set_recv_buffer_size(bytes))
    }
}

impl From<&DialOptions> for Buffers {
    fn from(options: &DialOptions) -> Self {
        Self { send: options.send_buffer_bytes, recv: options.recv_buffer_bytes }
    }
}

impl From<&ListenOptions> for Buffers {
    fn from(options: &ListenOptions) -> Self {
        Self { send: options.send_buffer_bytes, recv: options.recv_buffer_bytes }
    }
}
