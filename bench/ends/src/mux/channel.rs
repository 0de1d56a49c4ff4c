//! A logical connection, and messages on a stream of bytes.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use std::future::Future;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// A message to send, made once.
#[derive(Clone, Debug)]
pub struct Message(Bytes);

impl Message {
    /// One with a body of so many bytes.
    pub fn new(body_bytes: usize) -> Self {
        let mut frame = (body_bytes as u32).to_be_bytes().to_vec();
        frame.resize(HEADER_BYTES + body_bytes, b'x');
        Self(frame.into())
    }

    /// The body, for what has messages.
    pub fn body(&self) -> Bytes {
        self.0.slice(HEADER_BYTES..)
    }

    /// The length and the body, for what has streams of bytes.
    pub fn frame(&self) -> &Bytes {
        &self.0
    }

    /// How long a frame with such a body is.
    pub fn frame_bytes(body_bytes: usize) -> usize {
        HEADER_BYTES + body_bytes
    }

    /// Fails unless this is how a frame with such a body starts.
    pub fn check(start: &[u8], body_bytes: usize) -> Result<()> {
        match start.first_chunk().map(|length| u32::from_be_bytes(*length) as usize) {
            Some(length) if length == body_bytes => Ok(()),
            length => bail!("a frame of {length:?} bytes came instead of {body_bytes}"),
        }
    }
}

/// The length in front of a body, big-endian.
const HEADER_BYTES: usize = 4;

/// A logical connection, or what takes its place.
///
/// Every message of it has the size that the work wants. Calls are made one after the other and are not dropped.
pub trait Channel: Send + 'static {
    /// Sends a message. It may be on its way only after the next [`flush`](Self::flush).
    fn send(&mut self, message: &Message) -> impl Future<Output = Result<()>> + Send;

    /// All that was sent leaves without further calls. It need not have left yet.
    fn flush(&mut self) -> impl Future<Output = Result<()>> + Send;

    /// Waits until something came and says how many messages that completed; it may be none. They are gone then.
    fn recv(&mut self, body_bytes: usize) -> impl Future<Output = Result<u64>> + Send;

    /// Waits for one message and sends it back.
    fn echo(&mut self, body_bytes: usize) -> impl Future<Output = Result<()>> + Send;

    /// Sends one message and waits for the answer.
    fn ask(&mut self, message: &Message) -> impl Future<Output = Result<()>> + Send;
}

/// Messages on a stream of bytes: the length and the body in one call, one message a call, as a user of a
/// multiplexer has to do it. It knows what is coming, which saves everybody the second read.
#[derive(Debug)]
pub struct StreamChannel<S> {
    stream: S,
    /// What was read last.
    buffer: Vec<u8>,
    /// How much has come of a message that has not come as a whole yet.
    rest: usize,
    /// What was not written yet; the limit has this.
    batch: Option<Vec<u8>>,
    /// Whether the tasks of other channels have a turn after each piece of a large message.
    gives_way: bool,
}

impl<S> StreamChannel<S> {
    /// On this stream.
    pub fn new(stream: S) -> Self {
        Self { stream, buffer: Vec::new(), rest: 0, batch: None, gives_way: false }
    }

    /// The same; [`send`](Channel::send) writes as many messages at once as fit into 64 KiB.
    pub fn batching(stream: S) -> Self {
        Self { batch: Some(Vec::new()), ..Self::new(stream) }
    }

    /// The same; lets the tasks of other channels have a turn after each piece of 64 KiB that is sent or received.
    /// A multiplexer does that itself; sockets that are always ready would keep the thread for milliseconds.
    pub fn giving_way(self) -> Self {
        Self { gives_way: true, ..self }
    }

    async fn give_way(&mut self) {
        if self.gives_way {
            tokio::task::yield_now().await;
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> StreamChannel<S> {
    /// Reads one message into the buffer.
    async fn read(&mut self, body_bytes: usize) -> Result<()> {
        self.buffer.resize(Message::frame_bytes(body_bytes), 0);
        self.stream.read_exact(&mut self.buffer).await.context("waiting for a message")?;
        Message::check(&self.buffer, body_bytes)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Channel for StreamChannel<S> {
    async fn send(&mut self, message: &Message) -> Result<()> {
        let small = message.frame().len() < BATCH_BYTES;
        let Some(batch) = self.batch.as_mut().filter(|_| small) else {
            let most = if self.gives_way { BATCH_BYTES } else { usize::MAX };
            for piece in message.frame().chunks(most) {
                self.stream.write_all(piece).await.context("sending")?;
                self.give_way().await;
            }
            return Ok(());
        };
        if batch.len() + message.frame().len() > BATCH_BYTES {
            self.stream.write_all(batch).await.context("sending a batch")?;
            batch.clear();
        }
        batch.extend_from_slice(message.frame());
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        if let Some(batch) = &mut self.batch {
            self.stream.write_all(batch).await.context("sending the rest")?;
            batch.clear();
        }
        self.stream.flush().await.context("flushing")
    }

    async fn recv(&mut self, body_bytes: usize) -> Result<u64> {
        self.buffer.resize(BATCH_BYTES, 0);
        let frame_bytes = Message::frame_bytes(body_bytes);
        // Of a message larger than the buffer only the length is seen.
        let is_large = frame_bytes > BATCH_BYTES;
        let kept = if is_large { 0 } else { self.rest };
        match self.stream.read(&mut self.buffer[kept..]).await.context("waiting for messages")? {
            0 => bail!("the other end has closed"),
            count => self.rest += count,
        }
        let count = self.rest / frame_bytes;
        let end = count * frame_bytes;
        if !is_large {
            let mut frames = self.buffer[..end].chunks_exact(frame_bytes);
            frames.try_for_each(|frame| Message::check(frame, body_bytes))?;
            self.buffer.copy_within(end..self.rest, 0);
        }
        self.rest -= end;
        self.give_way().await;
        Ok(count as u64)
    }

    async fn echo(&mut self, body_bytes: usize) -> Result<()> {
        self.read(body_bytes).await?;
        self.stream.write_all(&self.buffer).await.context("answering")?;
        self.stream.flush().await.context("flushing an answer")
    }

    async fn ask(&mut self, message: &Message) -> Result<()> {
        self.stream.write_all(message.frame()).await.context("asking")?;
        self.stream.flush().await.context("flushing a question")?;
        self.read(message.body().len()).await
    }
}

/// What one read takes at most, and what the limit writes at once.
const BATCH_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn now<F: Future<Output = ()>>(test: F) {
        crate::mux::runtime().unwrap().block_on(test);
    }

    #[test]
    fn what_is_asked_is_answered() {
        now(async {
            let (one, other) = tokio::io::duplex(64);
            let (mut asker, mut answerer) = (StreamChannel::new(one), StreamChannel::new(other));
            let task = tokio::spawn(async move { answerer.echo(100).await });
            asker.ask(&Message::new(100)).await.unwrap();
            task.await.unwrap().unwrap();
        });
    }

    #[test]
    fn messages_are_counted_when_their_last_byte_is_there() {
        now(async {
            for sender in [StreamChannel::new, StreamChannel::batching] {
                let (one, other) = tokio::io::duplex(70);
                let (mut sender, mut receiver) = (sender(one), StreamChannel::new(other));
                let task = tokio::spawn(async move {
                    for _ in 0..7 {
                        sender.send(&Message::new(100)).await.unwrap();
                    }
                    sender.flush().await.unwrap();
                    sender
                });
                assert_eq!(receiver.recv(100).await.unwrap(), 0, "70 bytes are no message of 104");
                let mut count = 0;
                while count < 7 {
                    count += receiver.recv(100).await.unwrap();
                }
                assert_eq!(count, 7);
                drop(task.await.unwrap());
                assert!(receiver.recv(100).await.is_err(), "there is nothing more");
            }
        });
    }

    #[test]
    fn large_messages_are_counted_too() {
        now(async {
            let (one, other) = tokio::io::duplex(1 << 10);
            let (mut sender, mut receiver) =
                (StreamChannel::new(one).giving_way(), StreamChannel::new(other));
            let task = tokio::spawn(async move {
                sender.send(&Message::new(BATCH_BYTES * 3)).await.unwrap();
                sender.send(&Message::new(BATCH_BYTES * 3)).await.unwrap();
            });
            let mut count = 0;
            while count < 2 {
                count += receiver.recv(BATCH_BYTES * 3).await.unwrap();
            }
            task.await.unwrap();
            assert!(receiver.recv(BATCH_BYTES * 3).await.is_err(), "there is nothing more");
        });
    }

    #[test]
    fn another_length_is_an_error() {
        now(async {
            let (one, other) = tokio::io::duplex(1 << 10);
            let (mut sender, mut receiver) = (StreamChannel::new(one), StreamChannel::new(other));
            sender.send(&Message::new(200)).await.unwrap();
            sender.send(&Message::new(200)).await.unwrap();
            assert!(receiver.recv(100).await.is_err());
            sender.send(&Message::new(200)).await.unwrap();
            assert!(receiver.echo(100).await.is_err());
        });
    }
}
