//! [`Channel`]: a logical connection, and its two halves.

use super::{Connection, RecvStream, SendStream};
use crate::mux as hands;
use crate::mux::{Account, ChannelEnd, ChannelId, ChannelStats, CloseReport, Code};
use crate::mux::{FlushError, RecvError, SendError, StreamError};
use crate::rt::block_on;
use bytes::Bytes;
use std::time::Duration;

/// See [`mux::Channel`](crate::mux::Channel).
#[derive(Clone, Debug)]
pub struct Channel {
    inner: hands::Channel,
}

impl Channel {
    pub(super) fn new(inner: hands::Channel) -> Self {
        Self { inner }
    }

    /// The same channel for `async` code.
    pub fn as_async(&self) -> &hands::Channel {
        &self.inner
    }

    /// What it is called.
    pub fn id(&self) -> &ChannelId {
        self.inner.id()
    }

    /// Its number on its connection.
    pub fn number(&self) -> u32 {
        self.inner.number()
    }

    /// The connection that carries it.
    pub fn connection(&self) -> Connection {
        Connection::new(self.inner.connection())
    }

    /// Waits until the peer's program has accepted it.
    ///
    /// # Errors
    /// How it ended instead.
    pub fn accepted(&self) -> Result<(), ChannelEnd> {
        block_on(self.inner.accepted())
    }

    /// Sends a message; waits for room if there is none.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn send(&self, body: impl Into<Bytes>) -> Result<(), SendError> {
        block_on(self.inner.send(body))
    }

    /// [`send`](Self::send), no longer than this.
    ///
    /// # Errors
    /// [`SendError::TimedOut`], too.
    pub fn send_timeout(&self, body: impl Into<Bytes>, timeout: Duration) -> Result<(), SendError> {
        block_on(self.inner.send_timeout(body, timeout))
    }

    /// Sends a message if there is room.
    ///
    /// # Errors
    /// [`SendError::Full`], too.
    pub fn try_send(&self, body: impl Into<Bytes>) -> Result<(), SendError> {
        self.inner.try_send(body)
    }

    /// Receives the next message.
    ///
    /// # Errors
    /// See [`RecvError`].
    pub fn recv(&self) -> Result<Bytes, RecvError> {
        block_on(self.inner.recv())
    }

    /// [`recv`](Self::recv), no longer than this.
    ///
    /// # Errors
    /// [`RecvError::TimedOut`], too.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Bytes, RecvError> {
        block_on(self.inner.recv_timeout(timeout))
    }

    /// Receives a message if one is here.
    ///
    /// # Errors
    /// [`RecvError::Empty`], too.
    pub fn try_recv(&self) -> Result<Bytes, RecvError> {
        self.inner.try_recv()
    }

    /// Begins a message of any length.
    ///
    /// # Errors
    /// See [`StreamError`].
    pub fn send_stream(&self) -> Result<SendStream, StreamError> {
        block_on(self.inner.send_stream()).map(SendStream::new)
    }

    /// Takes the next message piece by piece.
    ///
    /// # Errors
    /// See [`RecvError`].
    pub fn recv_stream(&self) -> Result<RecvStream, RecvError> {
        block_on(self.inner.recv_stream()).map(RecvStream::new)
    }

    /// Waits until the peer's program has everything that was sent so far in its queue.
    ///
    /// # Errors
    /// [`FlushError::Lost`].
    pub fn flush(&self) -> Result<(), FlushError> {
        block_on(self.inner.flush())
    }

    /// [`flush`](Self::flush), no longer than this.
    ///
    /// # Errors
    /// [`FlushError::TimedOut`], too.
    pub fn flush_timeout(&self, timeout: Duration) -> Result<(), FlushError> {
        block_on(self.inner.flush_timeout(timeout))
    }

    /// What became of what was sent.
    pub fn account(&self) -> Account {
        self.inner.account()
    }

    /// What it has counted.
    pub fn stats(&self) -> ChannelStats {
        self.inner.stats()
    }

    /// Sends nothing more.
    pub fn finish(&self) {
        self.inner.finish();
    }

    /// Takes nothing more.
    pub fn stop(&self, code: Code) {
        self.inner.stop(code);
    }

    /// Ends both directions at once; what waits is not sent.
    pub fn reset(&self, code: Code, text: &str) {
        self.inner.reset(code, text);
    }

    /// How it ended before its time, if it has.
    pub fn end(&self) -> Option<ChannelEnd> {
        self.inner.end()
    }

    /// Closes: see [`mux::Channel::close`](crate::mux::Channel::close).
    pub fn close(&self, timeout: Duration) -> CloseReport {
        block_on(self.inner.close(timeout))
    }

    /// The two halves: see [`mux::Channel::split`](crate::mux::Channel::split).
    ///
    /// ```
    /// use spanwire::blocking::mux::{self, Server};
    /// use std::thread;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = Server::bind("tcp://127.0.0.1:0")?;
    /// let here = mux::Connection::connect(&server.url(), Default::default())?.open("numbers")?;
    /// let (sender, receiver) = server.accept("numbers")?.split();
    /// let echo = thread::spawn(move || {
    ///     while let Ok(number) = receiver.recv() {
    ///         sender.send(number).unwrap();
    ///     }
    ///     sender.finish();
    /// });
    /// here.send("1")?;
    /// assert_eq!(&here.recv()?[..], b"1");
    /// here.finish();
    /// echo.join().unwrap();
    /// # Ok(()) }
    /// ```
    pub fn split(self) -> (Sender, Receiver) {
        (Sender { channel: self.clone() }, Receiver { channel: self })
    }
}

/// The half of a [`Channel`] that sends.
#[derive(Clone, Debug)]
pub struct Sender {
    channel: Channel,
}

/// The half of a [`Channel`] that receives.
#[derive(Clone, Debug)]
pub struct Receiver {
    channel: Channel,
}

impl Sender {
    /// See [`Channel::send`].
    ///
    /// # Errors
    /// As there.
    pub fn send(&self, body: impl Into<Bytes>) -> Result<(), SendError> {
        self.channel.send(body)
    }

    /// See [`Channel::send_timeout`].
    ///
    /// # Errors
    /// As there.
    pub fn send_timeout(&self, body: impl Into<Bytes>, timeout: Duration) -> Result<(), SendError> {
        self.channel.send_timeout(body, timeout)
    }

    /// See [`Channel::try_send`].
    ///
    /// # Errors
    /// As there.
    pub fn try_send(&self, body: impl Into<Bytes>) -> Result<(), SendError> {
        self.channel.try_send(body)
    }

    /// See [`Channel::flush`].
    ///
    /// # Errors
    /// As there.
    pub fn flush(&self) -> Result<(), FlushError> {
        self.channel.flush()
    }

    /// See [`Channel::finish`].
    pub fn finish(&self) {
        self.channel.finish();
    }

    /// The channel.
    pub fn channel(&self) -> &Channel {
        &self.channel
    }
}

impl Receiver {
    /// See [`Channel::recv`].
    ///
    /// # Errors
    /// As there.
    pub fn recv(&self) -> Result<Bytes, RecvError> {
        self.channel.recv()
    }

    /// See [`Channel::recv_timeout`].
    ///
    /// # Errors
    /// As there.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Bytes, RecvError> {
        self.channel.recv_timeout(timeout)
    }

    /// See [`Channel::try_recv`].
    ///
    /// # Errors
    /// As there.
    pub fn try_recv(&self) -> Result<Bytes, RecvError> {
        self.channel.try_recv()
    }

    /// See [`Channel::stop`].
    pub fn stop(&self, code: Code) {
        self.channel.stop(code);
    }

    /// The channel.
    pub fn channel(&self) -> &Channel {
        &self.channel
    }
}
