//! [`PushSocket`] and [`PullSocket`].

twin! {
    /// PUSH: gives each job to exactly one PULL, in turn among those that have room. The blocking
    /// twin of [`crate::PushSocket`].
    ///
    /// `send` waits while there is no peer, or none with room. Jobs that a lost connection had not
    /// sent whole go to another peer.
    PushSocket
}

sending_twin!(PushSocket);

twin! {
    /// PULL: takes jobs from every PUSH, fairly. The blocking twin of [`crate::PullSocket`].
    ///
    /// When its queue is full it stops reading, and the pushers feel it.
    PullSocket
}

receiving_twin!(PullSocket);
