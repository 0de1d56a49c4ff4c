//! [`Messages`] and [`Requests`]: what a socket receives, as streams.

use super::ops::{Get, In, recv_error};
use super::passing::NoMessage;
use super::receiver::Receiver;
use super::rep::TakeRequest;
use super::{Handle, Request, SubContext};
use crate::{Message, RecvError};
use futures_core::Stream;
use futures_core::stream::FusedStream;
use spanwire_core::pattern::CtxId;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// The messages of a socket, as a [`Stream`] that ends when the socket is closed.
///
/// It waits for as long as it takes, whatever the option `recv_timeout` says. It is a clone of
/// its socket, so the socket stays open as long as it exists; any number of them share the messages
/// among each other and with `recv`. The only errors are those after which nothing will ever come, such as
/// `RuntimeGone`; the stream ends after one.
///
/// Cancel-safe: a message is taken only when `poll_next` returns it. One that has been woken and is
/// neither polled nor dropped holds up those who wait behind it.
#[derive(Debug)]
pub struct Messages {
    line: Line,
    /// Dropped after it has left the line.
    _context: Option<SubContext>,
}

impl Messages {
    pub(crate) fn of(handle: &Handle) -> Self {
        Self { line: Line::new(handle, CtxId::DEFAULT), _context: None }
    }

    pub(super) fn of_context(context: SubContext) -> Self {
        Self { line: Line::new(&context.handle, context.ctx), _context: Some(context) }
    }
}

impl Stream for Messages {
    type Item = Result<Message, RecvError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut get = In::context(self.line.ctx);
        self.line.poll(cx, &mut get)
    }
}

impl FusedStream for Messages {
    fn is_terminated(&self) -> bool {
        self.line.over
    }
}

/// The requests of a replying socket, as a [`Stream`] that ends when the socket is closed.
///
/// As [`Messages`] in everything else. Cancel-safe: a request is taken only when `poll_next` returns
/// it.
#[derive(Debug)]
pub struct Requests {
    line: Line,
}

impl Requests {
    pub(super) fn of(handle: &Handle) -> Self {
        Self { line: Line::new(handle, CtxId::DEFAULT) }
    }
}

impl Stream for Requests {
    type Item = Result<Request, RecvError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let line = &mut self.line;
        let taken = line.poll(cx, &mut TakeRequest);
        taken.map(|taken| Some(taken?.map(|message| Request::new(&line.handle, message))))
    }
}

impl FusedStream for Requests {
    fn is_terminated(&self) -> bool {
        self.line.over
    }
}

/// A place among those who wait for messages, taken again and again.
#[derive(Debug)]
struct Line {
    handle: Handle,
    ctx: CtxId,
    receiver: Receiver,
    over: bool,
}

impl Line {
    fn new(handle: &Handle, ctx: CtxId) -> Self {
        Self { handle: handle.clone(), ctx, receiver: Receiver::default(), over: false }
    }

    fn poll(&mut self, cx: &mut Context<'_>, get: &mut impl Get) -> Poll<Option<Result<Message, RecvError>>> {
        if self.over {
            return Poll::Ready(None);
        }
        let why = match ready!(self.receiver.poll(&self.handle.core, self.ctx, cx, get)) {
            Ok(message) => return Poll::Ready(Some(Ok(message))),
            Err(why) => why,
        };
        self.over = true;
        Poll::Ready(match why {
            NoMessage::Closed => None,
            why => Some(Err(recv_error(why))),
        })
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.receiver.leave(&self.handle.core, self.ctx);
    }
}
