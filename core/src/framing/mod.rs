//! What the bytes on a wire mean: one file a format.
//!
//! | file | format |
//! | --- | --- |
//! | [`sp`] | the Scalability Protocols over streams: tcp, ipc, abstract, descriptors |
//! | [`link`] | connections that speak our own handshake: plain connections, nodes |

pub mod link;
pub mod sp;
