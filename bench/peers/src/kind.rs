//! What a socket is for.

/// Libraries have what they have; where there is nothing of a kind, opening one fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Req,
    Rep,
    /// Asks without waiting for the last answer.
    Dealer,
    /// Answers it.
    Router,
    Push,
    Pull,
    /// Waits for slow subscribers where the library can.
    Pub,
    /// Never waits for a subscriber.
    LossyPub,
    /// Subscribed to everything.
    Sub,
}
