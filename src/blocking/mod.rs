//! Every socket for programs without an async runtime: the same names and methods, without `async`.
//!
//! ```
//! use spanwire::blocking::{PullSocket, PushSocket};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let pull = PullSocket::new();
//! let listener = pull.listen("tcp://127.0.0.1:0")?;
//! let push = PushSocket::new();
//! push.dial(listener.url())?;
//! push.send("a job")?;
//! assert_eq!(&pull.recv()?[..], b"a job");
//! # Ok(()) }
//! ```
//!
//! These sockets are those of the async API underneath. Their connections live on one background
//! thread of the library, which starts with the first such socket and ends when the last socket, with
//! all handles of it ([`Listener`](crate::Listener), [`Dialer`](crate::Dialer), [`Request`]), is
//! dropped and closed. A call does its work in the caller's thread, the write to the kernel
//! included, and parks that thread only when it has to wait.
//!
//! **Inside an async runtime** every call works, and blocks its thread as any blocking call does. On a
//! single-threaded runtime it must not wait for something that only this runtime can do, such
//! as an async socket of its own replying. Filters and taps run while others wait for them, and
//! should not block.
//!
//! **Threads.** All sockets are `Clone + Send + Sync`; any number of threads may send and receive on
//! one at once. Closing it from one thread ends the waits of all others with `Closed`.
//!
//! **Fork.** As with any library that has threads, a child process may not go on using sockets that
//! were made before the fork: the background thread does not exist there.

#[macro_use]
mod common;
mod device;
mod duplex;
mod events;
mod iter;
pub mod link;
pub mod mux;
mod pipeline;
mod pubsub;
mod raw;
mod rep;
mod req;
mod survey;

pub use device::Device;
pub use duplex::{BusSocket, Pair0Socket, Pair1Socket, PolySocket};
pub use events::Events;
pub use iter::{Messages, Requests};
pub use pipeline::{PullSocket, PushSocket};
pub use pubsub::{PubSocket, SubContext, SubSocket};
pub use raw::RawSocket;
pub use rep::{RepContext, RepSocket, Request, RespondSocket};
pub use req::{ReqContext, ReqSocket};
pub use survey::{Survey, SurveyContext, SurveySocket};
