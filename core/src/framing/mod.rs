//! What the bytes on a wire mean: one file a format.
//!
//! | file | format |
//! | --- | --- |
//! | [`sp`] | the Scalability Protocols over streams: tcp, ipc, abstract, descriptors |

pub mod sp;
