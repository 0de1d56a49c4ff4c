//! [`Messages`] and [`Requests`]: what a socket receives, as iterators.

use super::Request;
use crate::RecvError;
use crate::rt;
use futures_core::Stream;
use std::future::poll_fn;
use std::iter::FusedIterator;
use std::pin::Pin;

macro_rules! iterator {
    ($(#[$doc:meta])* $name:ident of $item:ty, $new:expr) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name {
            inner: crate::socket::$name,
        }

        impl $name {
            pub(super) fn new(inner: crate::socket::$name) -> Self {
                Self { inner }
            }
        }

        impl Iterator for $name {
            type Item = Result<$item, RecvError>;

            fn next(&mut self) -> Option<Self::Item> {
                let item = rt::block_on(poll_fn(|cx| Pin::new(&mut self.inner).poll_next(cx)));
                item.map(|item| item.map($new))
            }
        }

        impl FusedIterator for $name {}
    };
}

iterator! {
    /// The messages of a socket: an iterator that waits for each, whatever the option
    /// `recv_timeout` says, and ends when the socket is closed.
    ///
    /// The only errors are those after which nothing will ever come; it ends after one.
    Messages of crate::Message, |message| message
}

iterator! {
    /// The requests of a replying socket. As [`Messages`] in everything else.
    Requests of Request, Request::new
}
