//! The two directions of one channel: [`Sending`] and [`Receiving`].
//!
//! | file | what is in it |
//! | --- | --- |
//! | `sending` | what waits to be sent, and the frames that it becomes as credit allows |
//! | `receiving` | what has come, and the messages or pieces that the program takes of it |
//! | `waiting`, `arrived` | the queue of each, which is there while it is needed |
//! | `spare` | memory for both queues, shared by all channels |

mod arrived;
mod receiving;
mod sending;
mod spare;
mod waiting;

pub use receiving::{Receiving, RecvState, Take, Wanted};
pub use sending::{NotSent, SendState, Sending};
pub(super) use spare::Spare;
