//! The macros that give each blocking socket the methods of its async twin.

/// A socket around its async twin, on the library's thread.
macro_rules! twin {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name {
            pub(super) inner: crate::socket::$name,
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new()
            }
        }

        impl $name {
            /// A socket with default [`Options`](crate::Options).
            pub fn new() -> Self {
                Self::with(crate::Options::default())
            }

            /// A socket with these options.
            pub fn with(options: crate::Options) -> Self {
                Self { inner: crate::socket::$name::at(options, crate::rt::Home::background()) }
            }
        }

        common_twin!($name);
    };
}

/// Methods that every socket has, whatever it does with messages.
macro_rules! common_twin {
    ($name:ident) => {
        impl crate::socket::Watchable for $name {}

        impl crate::socket::Sealed for $name {
            fn watched(&self) -> crate::socket::Watched {
                crate::socket::Sealed::watched(&self.inner)
            }
        }

        impl $name {
            /// Listens at an address and accepts peers from then on.
            ///
            /// Port 0 lets the system choose; [`Listener::url`](crate::Listener::url) tells.
            ///
            /// # Errors
            /// The address makes no sense, is in use or not ours, or the socket is closed.
            pub fn listen(&self, url: &str) -> Result<crate::Listener, crate::ListenError> {
                crate::rt::block_on(self.inner.listen(url))
            }

            /// [`listen`](Self::listen) with options.
            ///
            /// # Errors
            /// As `listen`.
            pub fn listen_with(
                &self,
                url: &str,
                options: crate::ListenOptions,
            ) -> Result<crate::Listener, crate::ListenError> {
                crate::rt::block_on(self.inner.listen_with(url, options))
            }

            /// Dials a peer, waits for the connection, and keeps it up from then on: whenever it is
            /// lost, it is made again after a growing, random wait.
            ///
            /// # Errors
            /// Why the first attempt failed; then there is no dialer.
            pub fn dial(&self, url: &str) -> Result<crate::Dialer, crate::DialError> {
                crate::rt::block_on(self.inner.dial(url))
            }

            /// [`dial`](Self::dial) with options; with [`Start::Background`](crate::Start) it
            /// returns at once and keeps trying.
            ///
            /// # Errors
            /// As `dial`; in the background, only that the address makes no sense.
            pub fn dial_with(
                &self,
                url: &str,
                options: crate::DialOptions,
            ) -> Result<crate::Dialer, crate::DialError> {
                crate::rt::block_on(self.inner.dial_with(url, options))
            }

            /// Makes a peer of the other end of a connected stream socket: a TCP or unix connection,
            /// or one end of a socketpair. Waits for the handshake. Frames are those of tcp on unix
            /// sockets too, as with NNG's `socket://`.
            ///
            /// The descriptor belongs to the socket from here on.
            ///
            /// # Errors
            /// It is no connected stream socket, or its peer was refused.
            #[cfg(all(unix, feature = "ipc"))]
            pub fn adopt(
                &self,
                descriptor: std::os::fd::OwnedFd,
            ) -> Result<crate::PipeId, crate::AdoptError> {
                crate::rt::block_on(self.inner.adopt(descriptor))
            }

            /// Waits until at least `count` peers are attached.
            ///
            /// # Errors
            /// The socket is closed.
            pub fn wait_peers(&self, count: usize) -> Result<(), crate::RecvError> {
                crate::rt::block_on(self.inner.wait_peers(count))
            }

            /// [`wait_peers`](Self::wait_peers), waiting no longer than `timeout`.
            ///
            /// # Errors
            /// The socket is closed, or the timeout passed.
            pub fn wait_peers_timeout(
                &self,
                count: usize,
                timeout: std::time::Duration,
            ) -> Result<(), crate::RecvError> {
                crate::rt::block_on(self.inner.wait_peers_timeout(count, timeout))
            }

            /// The peers that are attached now.
            pub fn peers(&self) -> Vec<crate::Peer> {
                self.inner.peers()
            }

            /// Ends the connection to one peer at once; a dialer makes it again. `false` if there is
            /// no such peer.
            pub fn disconnect(&self, pipe: crate::PipeId) -> bool {
                self.inner.disconnect(pipe)
            }

            /// What happens on the socket from now on.
            pub fn events(&self) -> crate::blocking::Events {
                crate::blocking::Events::new(self.inner.events())
            }

            /// What the socket has counted, in short.
            pub fn stats(&self) -> crate::Stats {
                self.inner.stats()
            }

            /// All that the socket counts and measures: also by peer, transport, dialer, listener and
            /// reason, with the queues and how long things took.
            pub fn snapshot(&self) -> spanwire_core::snapshot::Snapshot {
                self.inner.snapshot()
            }

            /// Asks `filter` about every peer from now on, after the handshake and before the peer
            /// is attached; `false` refuses it. The filter runs on the library's thread and must
            /// not block.
            pub fn set_filter(&self, filter: impl Fn(&crate::Peer) -> bool + Send + Sync + 'static) {
                self.inner.set_filter(filter);
            }

            /// Closes the socket for all its clones: stops accepting, sends what waits, and waits
            /// for the peers to end, all of it no longer than `deadline`; then it cuts what is left,
            /// and gives tasks up to a second to end. Never hangs.
            ///
            /// Messages that were received and not taken are discarded and counted. Whoever waits
            /// on the socket gets `Closed`. When this returns, no task and no descriptor of the
            /// socket is left.
            pub fn close(&self, deadline: std::time::Duration) -> crate::CloseReport {
                self.inner.handle.close_blocking(deadline)
            }
        }
    };
}

/// Methods of sockets that send without being asked.
macro_rules! sending_twin {
    ($name:ident) => {
        impl $name {
            /// Sends a message.
            ///
            /// Waits while no peer has room, for no longer than the option `send_timeout` (default:
            /// for ever).
            ///
            /// # Errors
            /// Every error gives the message back.
            pub fn send(&self, message: impl Into<crate::Message>) -> Result<(), crate::SendError> {
                let handle = &self.inner.handle;
                let ctx = spanwire_core::pattern::CtxId::DEFAULT;
                handle.send_blocking(ctx, message.into(), handle.options().send_timeout)
            }

            /// Sends a message if that needs no waiting.
            ///
            /// # Errors
            /// `Full` or `NoPeer` where `send` would wait.
            pub fn try_send(&self, message: impl Into<crate::Message>) -> Result<(), crate::SendError> {
                self.inner.try_send(message)
            }

            /// [`send`](Self::send), waiting no longer than `timeout`.
            ///
            /// # Errors
            /// As `send`.
            pub fn send_timeout(
                &self,
                message: impl Into<crate::Message>,
                timeout: std::time::Duration,
            ) -> Result<(), crate::SendError> {
                let ctx = spanwire_core::pattern::CtxId::DEFAULT;
                self.inner.handle.send_blocking(ctx, message.into(), Some(timeout))
            }

            /// Sends messages one after the other; returns how many.
            ///
            /// # Errors
            /// The first failure, with its message, how many were sent before it, and those that
            /// were taken from the iterator after it.
            pub fn send_many<M: Into<crate::Message>>(
                &self,
                messages: impl IntoIterator<Item = M>,
            ) -> Result<usize, crate::SendManyError> {
                self.inner.handle.send_many_blocking(messages, |message| self.send(message))
            }

            /// A descriptor that is readable while `send` would not wait, for foreign event loops. A
            /// large message may have to wait where a small one has not.
            ///
            /// # Errors
            /// The process has no descriptor left.
            #[cfg(unix)]
            pub fn writable_fd(&self) -> std::io::Result<crate::PollFd> {
                self.inner.writable_fd()
            }
        }
    };
}

/// Methods of sockets that receive plain messages.
macro_rules! receiving_twin {
    ($name:ident) => {
        impl $name {
            /// Receives the next message.
            ///
            /// Waits for one, no longer than the option `recv_timeout` (default: for ever).
            ///
            /// # Errors
            /// The socket is closed, or the timeout passed.
            pub fn recv(&self) -> Result<crate::Message, crate::RecvError> {
                let handle = &self.inner.handle;
                let ctx = spanwire_core::pattern::CtxId::DEFAULT;
                handle.recv_blocking(ctx, handle.options().recv_timeout)
            }

            /// Receives a message if one is there.
            ///
            /// # Errors
            /// `Empty` where `recv` would wait.
            pub fn try_recv(&self) -> Result<crate::Message, crate::RecvError> {
                self.inner.try_recv()
            }

            /// [`recv`](Self::recv), waiting no longer than `timeout`.
            ///
            /// # Errors
            /// As `recv`.
            pub fn recv_timeout(
                &self,
                timeout: std::time::Duration,
            ) -> Result<crate::Message, crate::RecvError> {
                let ctx = spanwire_core::pattern::CtxId::DEFAULT;
                self.inner.handle.recv_blocking(ctx, Some(timeout))
            }

            /// Waits for a message as `recv` does, and takes up to `max` of those that are there,
            /// appending them to `into`. Returns how many.
            ///
            /// # Errors
            /// As `recv`; then nothing was taken.
            pub fn recv_many(
                &self,
                into: &mut Vec<crate::Message>,
                max: usize,
            ) -> Result<usize, crate::RecvError> {
                self.inner.handle.recv_many_blocking(into, max)
            }

            /// The messages as an iterator that waits for each, for as long as it takes, and ends when
            /// the socket is closed. It is a clone of the socket.
            pub fn messages(&self) -> crate::blocking::Messages {
                crate::blocking::Messages::new(self.inner.messages())
            }

            /// A descriptor that is readable while `recv` would not wait, for foreign event loops.
            ///
            /// # Errors
            /// The process has no descriptor left.
            #[cfg(unix)]
            pub fn readable_fd(&self) -> std::io::Result<crate::PollFd> {
                self.inner.readable_fd()
            }
        }
    };
}
