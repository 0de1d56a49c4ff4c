//! [`Parcel`]: a message of the application on a plain connection.

pub use crate::priority::Priority;
use bytes::Bytes;

/// A message: which one of which protocol of the application it is, how urgent, and its body.
///
/// ```
/// use spanwire_core::link::{Parcel, Priority};
/// let parcel = Parcel::new(7, 1, "hello").at(Priority::High);
/// assert_eq!((parcel.protocol, parcel.message, &parcel.body[..]), (7, 1, &b"hello"[..]));
/// // Who has one kind of message only need not number it.
/// assert_eq!(Parcel::from("hello"), Parcel::new(0, 0, "hello"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parcel {
    /// The protocol; the numbers are the application's own.
    pub protocol: u16,
    /// Which message of the protocol.
    pub message: u16,
    /// How urgent it is here. It is the sender's business, and does not travel: a message that was
    /// received has the default.
    pub priority: Priority,
    /// What it says.
    pub body: Bytes,
}

impl Parcel {
    /// Of normal priority.
    pub fn new(protocol: u16, message: u16, body: impl Into<Bytes>) -> Self {
        Self { protocol, message, priority: Priority::Normal, body: body.into() }
    }

    /// The same with another priority.
    #[must_use]
    pub fn at(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }
}

macro_rules! from {
    ($($body:ty),*) => {
        $(impl From<$body> for Parcel {
            fn from(body: $body) -> Self {
                Self::new(0, 0, body)
            }
        })*
    };
}

from!(Bytes, alloc::vec::Vec<u8>, alloc::string::String, &'static str, &'static [u8]);
