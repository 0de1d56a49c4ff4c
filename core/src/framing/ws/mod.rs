//! The Scalability Protocols over WebSocket (spec 3, RFC 6455): one SP message is one binary message.
//!
//! ```text
//! opening    GET path, Sec-WebSocket-Protocol: rep.sp.nanomsg.org ──▶ 101, the same name     spec 3.1
//! frame      FIN RSV opcode | MASK length | longer length | key | payload                    spec 3.2
//! ```
//!
//! There is no SP handshake and no length prefix: the sub-protocol names the listener's protocol, and frames
//! know their length. What stands in front of a message is the protocol header (ids, backtraces), as
//! on all transports.
//!
//! | file | what it decides |
//! | --- | --- |
//! | [`frame`] | the bytes in front of a payload, and the mask over it |
//! | [`decoder`] | bytes of a peer to messages, control frames and faults |
//! | [`encoder`] | messages to bytes, and which of those stand for which messages |
//! | [`upgrade`] | the opening handshake: heads of requests and responses, and who is let in (feature `ws`) |

pub mod decoder;
pub mod encoder;
pub mod frame;
#[cfg(feature = "ws")]
pub mod upgrade;

pub use decoder::{Control, Decoder};
pub use encoder::{Encoder, Stage};
pub use frame::{Fault, Header, Opcode, Side, mask};
