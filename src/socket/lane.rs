//! [`Lane`]: the way to one peer, over a connection or inside this process.

#[cfg(feature = "inproc")]
use super::inproc::InprocPipe;
#[cfg(feature = "inproc")]
use super::outgoing::Outgoing;
use super::work::Out;
#[cfg(feature = "inproc")]
use super::work::Work;
use crate::session::pipe::{Closing, PipeState, StreamPipe};
use spanwire_core::pattern::Held;
use std::sync::Arc;

/// How messages get to a peer.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // the large one is the usual one
pub(crate) enum Lane {
    /// As frames on a stream.
    Stream(Arc<StreamPipe>, PipeState),
    /// As they are, into another socket of this process.
    #[cfg(feature = "inproc")]
    Inproc(Arc<InprocPipe>, Outgoing),
}

impl Lane {
    pub(super) fn stream(&self) -> Option<&Arc<StreamPipe>> {
        match self {
            Self::Stream(pipe, _) => Some(pipe),
            #[cfg(feature = "inproc")]
            Self::Inproc(..) => None,
        }
    }

    /// Ends it: at once, or when all is sent but no later than a deadline.
    pub(super) fn close(&mut self, closing: Closing, out: &mut Out) {
        match self {
            Self::Stream(_, state) => state.close(closing).into_iter().for_each(|w| out.wakers.push(w)),
            #[cfg(feature = "inproc")]
            Self::Inproc(pipe, _) => {
                let pipe = pipe.clone();
                out.work.push(Work::Call(Box::new(move || pipe.close(closing))));
            }
        }
    }

    /// Takes away the oldest message that is still whole.
    pub(super) fn drop_oldest(&mut self) -> Option<usize> {
        match self {
            Self::Stream(_, state) => state.drop_oldest(),
            #[cfg(feature = "inproc")]
            Self::Inproc(_, outgoing) => outgoing.drop_oldest(),
        }
    }

    /// The same, with the bytes of what no writer has yet.
    pub(super) fn held(&mut self) -> Held {
        match self {
            Self::Stream(_, state) => Held { messages: state.waiting(), bytes: state.waiting_bytes() },
            #[cfg(feature = "inproc")]
            Self::Inproc(_, outgoing) => outgoing.held(),
        }
    }

    /// Messages that have not left whole.
    pub(super) fn waiting(&mut self) -> usize {
        match self {
            Self::Stream(_, state) => state.waiting(),
            #[cfg(feature = "inproc")]
            Self::Inproc(_, outgoing) => outgoing.waiting(),
        }
    }
}
