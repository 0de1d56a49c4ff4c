//! [`BusSocket`], [`Pair0Socket`], [`Pair1Socket`] and [`PolySocket`]: they send and receive as they
//! like.

twin! {
    /// BUS: what one sends, all directly connected neighbours get. The blocking twin of
    /// [`crate::BusSocket`].
    BusSocket
}

sending_twin!(BusSocket);
receiving_twin!(BusSocket);

twin! {
    /// PAIR v0: one peer at a time, both ways, in order. The blocking twin of
    /// [`crate::Pair0Socket`].
    Pair0Socket
}

sending_twin!(Pair0Socket);
receiving_twin!(Pair0Socket);

twin! {
    /// PAIR v1: one peer at a time, both ways, with a hop count. The blocking twin of
    /// [`crate::Pair1Socket`].
    Pair1Socket
}

sending_twin!(Pair1Socket);
receiving_twin!(Pair1Socket);

twin! {
    /// PAIR v1 in polyamorous mode: many peers, each addressed by its pipe. The blocking twin of
    /// [`crate::PolySocket`].
    PolySocket
}

sending_twin!(PolySocket);
receiving_twin!(PolySocket);
