//! [`Pair1Socket`] and [`PolySocket`].

use spanwire_core::pattern::{Pair1, Rules};

socket! {
    /// PAIR v1: one peer at a time, both ways, with a hop count that lets devices notice loops.
    /// Never interconnects with PAIR v0.
    Pair1Socket, Pair1, |options: &_| Rules::from(Pair1::new(options))
}

sending_methods!(Pair1Socket);
receiving_methods!(Pair1Socket);

socket! {
    /// PAIR v1 in polyamorous mode: many peers, each a plain PAIR v1 that does not know.
    ///
    /// Received messages know their pipe; a message is sent to the pipe it is addressed to
    /// ([`Message::to`](crate::Message::to)), else to the peer that was attached first.
    PolySocket, Pair1, |options: &_| Rules::from(Pair1::poly(options))
}

sending_methods!(PolySocket);
receiving_methods!(PolySocket);
