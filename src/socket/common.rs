//! The methods that all sockets have, and the macros that give them to each kind.

use super::close::Life;
use super::core::{CloseReport, Core};
use super::ops::{Get, In, Receiving, Sending, recv_error, send_error};
#[cfg(feature = "inproc")]
use super::passing::Why;
use crate::rt::Home;
use crate::{Message, Options, RecvError, SendError};
use spanwire_core::framing::sp::Protocol;
#[cfg(feature = "inproc")]
use spanwire_core::pattern::Refusal;
use spanwire_core::pattern::{CtxId, Rules};
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

/// What every socket is inside: its core, and the life that all clones share. The socket closes when
/// the last clone goes.
#[derive(Clone, Debug)]
pub(crate) struct Handle(Arc<Life>);

impl Deref for Handle {
    type Target = Life;
    #[inline]
    fn deref(&self) -> &Life {
        &self.0
    }
}

impl Handle {
    pub(crate) fn new(protocol: Protocol, rule: Rules, options: Options, home: Home) -> Self {
        Self(Arc::new(Life { core: Core::new(protocol, rule, options, home) }))
    }

    #[inline]
    pub(crate) fn options(&self) -> &Options {
        &self.core.options
    }

    #[inline]
    pub(crate) fn send(&self, ctx: CtxId, message: Message) -> Sending<'_> {
        self.send_timeout(ctx, message, self.options().send_timeout)
    }

    #[inline]
    pub(crate) fn send_timeout(
        &self,
        ctx: CtxId,
        message: Message,
        timeout: Option<Duration>,
    ) -> Sending<'_> {
        Sending::new(&self.core, ctx, message, timeout)
    }

    pub(crate) fn try_send(&self, ctx: CtxId, mut message: Message) -> Result<(), SendError> {
        let sent = match self.core.send(ctx, &mut message) {
            #[cfg(feature = "inproc")]
            Err(Why::Refused(Refusal::Full)) if self.core.deliver_left() => self.core.send(ctx, &mut message),
            sent => sent,
        };
        sent.map_err(|why| send_error(why, message))
    }

    #[inline]
    pub(crate) fn recv(&self, ctx: CtxId, timeout: Option<Duration>) -> Receiving<'_> {
        Receiving::new(&self.core, ctx, timeout)
    }

    pub(crate) fn try_recv(&self, ctx: CtxId) -> Result<Message, RecvError> {
        In::context(ctx).get(&self.core, None).map_err(recv_error)
    }

    pub(crate) async fn wait_peers(&self, count: usize, timeout: Option<Duration>) -> Result<(), RecvError> {
        let wait = self.core.wait_peers(count);
        self.core.home.within(timeout, wait).await.unwrap_or(Err(RecvError::TimedOut))
    }

    pub(crate) async fn close(&self, deadline: Duration) -> CloseReport {
        self.core.close(deadline).await
    }
}

/// Methods of every socket.
macro_rules! socket {
    ($(#[$doc:meta])* $name:ident, $protocol:ident, $rule:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name {
            pub(crate) handle: crate::socket::Handle,
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new()
            }
        }

        impl $name {
            /// A socket with default [`Options`](crate::Options), in the tokio runtime of the
            /// caller; where there is none, on the library's one background thread.
            pub fn new() -> Self {
                Self::with(crate::Options::default())
            }

            /// A socket with these options.
            pub fn with(options: crate::Options) -> Self {
                Self::at(options, crate::rt::Home::current())
            }

            pub(crate) fn at(options: crate::Options, home: crate::rt::Home) -> Self {
                let options = options.clamped();
                let rule = ($rule)(&options);
                let protocol = spanwire_core::framing::sp::Protocol::$protocol;
                Self { handle: crate::socket::Handle::new(protocol, rule, options, home) }
            }
        }

        common_methods!($name);
    };
}

/// Methods that every socket has, whatever it does with messages.
macro_rules! common_methods {
    ($name:ident) => {
        impl crate::socket::Watchable for $name {}

        impl crate::socket::Sealed for $name {
            fn watched(&self) -> crate::socket::Watched {
                crate::socket::Watched::new(&self.handle.core)
            }
        }

        impl $name {
            /// Listens at an address and accepts peers from then on.
            ///
            /// Port 0 lets the system choose; [`Listener::url`](crate::Listener::url) tells.
            /// Cancel-safe: dropped before it is done, nothing listens.
            ///
            /// # Errors
            /// The address makes no sense, is in use or not ours, or the socket is closed.
            pub async fn listen(&self, url: &str) -> Result<crate::Listener, crate::ListenError> {
                self.handle.core.listen(url, crate::ListenOptions::default()).await
            }

            /// [`listen`](Self::listen) with options.
            ///
            /// # Errors
            /// As `listen`.
            pub async fn listen_with(
                &self,
                url: &str,
                options: crate::ListenOptions,
            ) -> Result<crate::Listener, crate::ListenError> {
                self.handle.core.listen(url, options).await
            }

            /// Dials a peer, waits for the connection, and keeps it up from then on: whenever it is
            /// lost, it is made again after a growing, random wait.
            ///
            /// Cancel-safe: dropped before it is done, the dialer ends.
            ///
            /// # Errors
            /// Why the first attempt failed; then there is no dialer.
            pub async fn dial(&self, url: &str) -> Result<crate::Dialer, crate::DialError> {
                self.handle.core.dial(url, crate::DialOptions::default()).await
            }

            /// [`dial`](Self::dial) with options; with [`Start::Background`](crate::Start) it
            /// returns at once and keeps trying.
            ///
            /// # Errors
            /// As `dial`; in the background, only that the address makes no sense.
            pub async fn dial_with(
                &self,
                url: &str,
                options: crate::DialOptions,
            ) -> Result<crate::Dialer, crate::DialError> {
                self.handle.core.dial(url, options).await
            }

            /// Makes a peer of the other end of a connected stream socket: a TCP or unix connection,
            /// or one end of a socketpair. Waits for the handshake. Frames are those of tcp on unix
            /// sockets too, as with NNG's `socket://`.
            ///
            /// The descriptor belongs to the socket from here on. Cancel-safe: the connection goes
            /// on even if this is dropped.
            ///
            /// # Errors
            /// It is no connected stream socket, or its peer was refused.
            #[cfg(all(unix, feature = "ipc"))]
            pub async fn adopt(
                &self,
                descriptor: std::os::fd::OwnedFd,
            ) -> Result<crate::PipeId, crate::AdoptError> {
                self.handle.core.adopt(descriptor).await
            }

            /// Waits until at least `count` peers are attached. Cancel-safe.
            ///
            /// # Errors
            /// The socket is closed.
            pub async fn wait_peers(&self, count: usize) -> Result<(), crate::RecvError> {
                self.handle.wait_peers(count, None).await
            }

            /// [`wait_peers`](Self::wait_peers), waiting no longer than `timeout`.
            ///
            /// # Errors
            /// The socket is closed, or the timeout passed.
            pub async fn wait_peers_timeout(
                &self,
                count: usize,
                timeout: std::time::Duration,
            ) -> Result<(), crate::RecvError> {
                self.handle.wait_peers(count, Some(timeout)).await
            }

            /// The peers that are attached now.
            pub fn peers(&self) -> Vec<crate::Peer> {
                self.handle.core.peers()
            }

            /// Ends the connection to one peer at once; a dialer makes it again. `false` if there is
            /// no such peer.
            pub fn disconnect(&self, pipe: crate::PipeId) -> bool {
                self.handle.core.disconnect(pipe, crate::DetachReason::ClosedHere)
            }

            /// What happens on the socket from now on.
            pub fn events(&self) -> crate::Events {
                self.handle.core.events()
            }

            /// What the socket has counted, in short.
            pub fn stats(&self) -> crate::Stats {
                self.handle.core.stats()
            }

            /// All that the socket counts and measures: also by peer, transport, dialer, listener and
            /// reason, with the queues and how long things took. Takes the socket's lock for about as
            /// long as a few messages do, and longer by some 50 ns for each peer; by some 100 more for
            /// each that has given answers.
            pub fn snapshot(&self) -> spanwire_core::snapshot::Snapshot {
                self.handle.core.snapshot()
            }

            /// Asks `filter` about every peer from now on, after the handshake and before the peer
            /// is attached; `false` refuses it. The filter runs in the socket's runtime and must
            /// not block.
            pub fn set_filter(&self, filter: impl Fn(&crate::Peer) -> bool + Send + Sync + 'static) {
                self.handle.core.set_filter(std::sync::Arc::new(filter));
            }

            /// Closes the socket for all its clones: stops accepting, sends what waits, and waits
            /// for the peers to end, all of it no longer than `deadline`; then it cuts what is left,
            /// and gives tasks up to a second to end. Never hangs.
            ///
            /// Messages that were received and not taken are discarded and counted. Whoever waits
            /// on the socket gets `Closed`. When this returns, no task and no descriptor of the
            /// socket is left. Cancel-safe: once begun, closing goes on without it, and connections
            /// end at `deadline` at the latest.
            pub async fn close(&self, deadline: std::time::Duration) -> crate::CloseReport {
                self.handle.close(deadline).await
            }
        }
    };
}

/// Methods of sockets that send without being asked.
macro_rules! sending_methods {
    ($name:ident) => {
        impl $name {
            /// Sends a message.
            ///
            /// Waits while no peer has room, for no longer than the option `send_timeout` (default:
            /// for ever). Cancel-safe: dropped before it is done, nothing is sent.
            ///
            /// # Errors
            /// Every error gives the message back.
            #[inline]
            pub fn send(&self, message: impl Into<crate::Message>) -> crate::Sending<'_> {
                self.handle.send(spanwire_core::pattern::CtxId::DEFAULT, message.into())
            }

            /// Sends a message if that needs no waiting.
            ///
            /// # Errors
            /// `Full` or `NoPeer` where `send` would wait.
            pub fn try_send(&self, message: impl Into<crate::Message>) -> Result<(), crate::SendError> {
                self.handle.try_send(spanwire_core::pattern::CtxId::DEFAULT, message.into())
            }

            /// [`send`](Self::send), waiting no longer than `timeout`.
            ///
            /// # Errors
            /// As `send`.
            #[inline]
            pub fn send_timeout(
                &self,
                message: impl Into<crate::Message>,
                timeout: std::time::Duration,
            ) -> crate::Sending<'_> {
                let ctx = spanwire_core::pattern::CtxId::DEFAULT;
                self.handle.send_timeout(ctx, message.into(), Some(timeout))
            }

            /// Sends messages one after the other; returns how many. Cheaper than a `send` for each.
            /// Dropped before it is done, the rest is not sent.
            ///
            /// # Errors
            /// The first failure, with its message, how many were sent before it, and those that
            /// were taken from the iterator after it.
            pub async fn send_many<M: Into<crate::Message>>(
                &self,
                messages: impl IntoIterator<Item = M>,
            ) -> Result<usize, crate::SendManyError> {
                self.handle.send_many(messages, |message| self.send(message)).await
            }

            /// The socket as a [`Sink`](futures_sink::Sink).
            pub fn sink(&self) -> crate::MessageSink {
                crate::MessageSink::of(&self.handle)
            }

            /// A descriptor that is readable while `send` would not wait, for foreign event loops. A
            /// large message may have to wait where a small one has not.
            ///
            /// # Errors
            /// The process has no descriptor left.
            #[cfg(unix)]
            pub fn writable_fd(&self) -> std::io::Result<crate::PollFd> {
                self.handle.poll_fd(crate::socket::Ready::ToSend(spanwire_core::pattern::CtxId::DEFAULT))
            }
        }
    };
}

/// Methods of sockets that receive plain messages.
macro_rules! receiving_methods {
    ($name:ident) => {
        impl $name {
            /// Receives the next message.
            ///
            /// Waits for one, no longer than the option `recv_timeout` (default: for ever).
            /// Cancel-safe: dropped before it is done, no message is taken.
            ///
            /// # Errors
            /// The socket is closed, or the timeout passed.
            #[inline]
            pub fn recv(&self) -> crate::Receiving<'_> {
                let timeout = self.handle.options().recv_timeout;
                self.handle.recv(spanwire_core::pattern::CtxId::DEFAULT, timeout)
            }

            /// Receives a message if one is there.
            ///
            /// # Errors
            /// `Empty` where `recv` would wait.
            pub fn try_recv(&self) -> Result<crate::Message, crate::RecvError> {
                self.handle.try_recv(spanwire_core::pattern::CtxId::DEFAULT)
            }

            /// [`recv`](Self::recv), waiting no longer than `timeout`.
            ///
            /// # Errors
            /// As `recv`.
            #[inline]
            pub fn recv_timeout(&self, timeout: std::time::Duration) -> crate::Receiving<'_> {
                self.handle.recv(spanwire_core::pattern::CtxId::DEFAULT, Some(timeout))
            }

            /// Waits for a message as `recv` does, and takes up to `max` of those that are there,
            /// appending them to `into`. Returns how many. Cancel-safe.
            ///
            /// # Errors
            /// As `recv`; then nothing was taken.
            pub async fn recv_many(
                &self,
                into: &mut Vec<crate::Message>,
                max: usize,
            ) -> Result<usize, crate::RecvError> {
                self.handle.recv_many(into, max).await
            }

            /// The messages as a [`Stream`](futures_core::Stream) that ends when the socket is
            /// closed.
            pub fn messages(&self) -> crate::Messages {
                crate::Messages::of(&self.handle)
            }

            /// A descriptor that is readable while `recv` would not wait, for foreign event loops.
            ///
            /// # Errors
            /// The process has no descriptor left.
            #[cfg(unix)]
            pub fn readable_fd(&self) -> std::io::Result<crate::PollFd> {
                self.handle.poll_fd(crate::socket::Ready::ToRecv(spanwire_core::pattern::CtxId::DEFAULT))
            }
        }
    };
}
