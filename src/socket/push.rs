//! [`PushSocket`].

use spanwire_core::pattern::{Push, Rules};

socket! {
    /// PUSH: gives each job to exactly one PULL, in turn among those that have room.
    ///
    /// `send` waits while there is no peer, or none with room. Jobs that a lost connection had not
    /// sent whole go to another peer.
    PushSocket, Push, |options: &_| Rules::from(Push::new(options))
}

sending_methods!(PushSocket);
