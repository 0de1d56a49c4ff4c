//! [`BusSocket`].

use spanwire_core::pattern::{Bus, Rules};

socket! {
    /// BUS: what one sends, all directly connected neighbours get; never itself, and nothing is
    /// passed on. A neighbour that is too slow, here or there, misses messages, and that is counted.
    BusSocket, Bus, |options: &_| Rules::from(Bus::new(options))
}

sending_methods!(BusSocket);
receiving_methods!(BusSocket);
