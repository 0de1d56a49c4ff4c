//! [`PullSocket`].

use spanwire_core::pattern::{Pull, Rules};

socket! {
    /// PULL: takes jobs from every PUSH, fairly. When its queue is full it stops reading, and the
    /// pushers feel it.
    PullSocket, Pull, |options: &_| Rules::from(Pull::new(options))
}

receiving_methods!(PullSocket);
