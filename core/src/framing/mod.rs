//! What the bytes on a wire mean: one file or folder a format.
//!
//! | file | format |
//! | --- | --- |
//! | [`sp`] | the Scalability Protocols over streams: tcp, ipc, abstract, descriptors |
//! | [`ws`] | the Scalability Protocols over WebSocket: frames, and the opening handshake |
//! | [`link`] | connections that speak our own handshake: plain connections, nodes |

pub mod link;
pub mod sp;
pub mod ws;
