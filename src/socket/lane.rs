//! [`Lane`]: the way to one peer, over a connection or inside this process.

#[cfg(feature = "inproc")]
use super::inproc::InprocPipe;
use crate::session::pipe::{Closing, StreamPipe};
use std::sync::Arc;

/// How messages get to a peer.
#[derive(Clone, Debug)]
pub(crate) enum Lane {
    /// As frames on a stream.
    Stream(Arc<StreamPipe>),
    /// As they are, into another socket of this process.
    #[cfg(feature = "inproc")]
    Inproc(Arc<InprocPipe>),
}

impl Lane {
    pub(super) fn stream(&self) -> Option<&Arc<StreamPipe>> {
        match self {
            Self::Stream(pipe) => Some(pipe),
            #[cfg(feature = "inproc")]
            Self::Inproc(_) => None,
        }
    }

    /// Ends it: at once, or when all is sent but no later than a deadline.
    pub(super) fn close(&self, closing: Closing) {
        match self {
            Self::Stream(pipe) => pipe.close(closing),
            #[cfg(feature = "inproc")]
            Self::Inproc(pipe) => pipe.close(closing),
        }
    }

    /// Takes away the oldest message that is still whole.
    pub(super) fn drop_oldest(&self) -> Option<usize> {
        match self {
            Self::Stream(pipe) => pipe.drop_oldest(),
            #[cfg(feature = "inproc")]
            Self::Inproc(pipe) => pipe.drop_oldest(),
        }
    }

    /// Messages that have not left whole.
    pub(super) fn waiting(&self) -> usize {
        match self {
            Self::Stream(pipe) => pipe.waiting(),
            #[cfg(feature = "inproc")]
            Self::Inproc(pipe) => pipe.waiting(),
        }
    }
}
