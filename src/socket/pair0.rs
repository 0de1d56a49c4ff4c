//! [`Pair0Socket`].

use spanwire_core::pattern::{Pair0, Rules};

socket! {
    /// PAIR v0: one peer at a time, both ways, in order. A second peer is refused while the first
    /// is attached. Interoperates with NNG's `pair0` and with nanomsg's and mangos' `pair`.
    Pair0Socket, Pair0, |options: &_| Rules::from(Pair0::new(options))
}

sending_methods!(Pair0Socket);
receiving_methods!(Pair0Socket);
