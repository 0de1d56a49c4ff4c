//! What a pool says: [`Decision`], [`Effect`], and their reasons.

use super::{Physical, Ticket};

/// What becomes of whoever asks for a connection.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// This one is open: its logical connection counts from now on.
    Use(Physical),
    /// Dial this one and report; then it is as with `Wait`.
    Dial(Physical, Ticket),
    /// Wait for the `Grant` or `Fail` of the ticket: it is being dialled, or there is no room.
    Wait(Ticket),
    /// Nothing is counted.
    Refuse(Refusal),
}

/// Why nobody may even wait.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The pool is closed.
    Closed,
    /// [`PoolOptions::max_waiting`](super::PoolOptions::max_waiting) wait already.
    TooManyWait,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect<K> {
    /// Dial, and report `dialed` or `dial_failed`.
    Dial(Physical, K),
    /// Close it, or give up dialing it. It is forgotten: there is nothing to report.
    Close(Physical),
    /// Whoever has this ticket is to [`take`](super::Pool::take) it.
    Grant(Ticket, Physical),
    /// Whoever has this ticket waits in vain. It is forgotten.
    Fail(Ticket, Failure),
}

/// Why somebody waited in vain.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// This could not be dialled, and there is no other one. The next who asks dials again.
    DialFailed(Physical),
    /// The pool was closed.
    Closed,
}

/// Where a physical connection is in its life.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It is being dialled.
    Dialing,
    /// Logical connections may be opened on it.
    Open,
    /// It ends with its last logical connection.
    Leaving,
}

/// Why a physical connection was dialled.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Somebody asked for it.
    Use,
    /// A logical connection asked to stay up, and there was none any more.
    StayUp,
}
