//! [`Kind`]: the messages of the session, with their numbers.

/// Declares the kinds of session messages with their numbers.
macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        /// The messages of the session, with their numbers.
        #[derive(Copy, Clone, Debug, PartialEq, Eq)]
        #[repr(u16)]
        pub enum Kind { $($(#[$doc])* $name = $number,)* }

        impl Kind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The one with this number.
            pub const fn from_number(number: u16) -> Option<Self> {
                match number { $($number => Some(Self::$name),)* _ => None }
            }
        }
    };
}

kinds! {
    /// Who I am, what I speak, what I can take.
    Hello = 1,
    /// I take you.
    Ack = 2,
    /// I do not take you, and why.
    Refuse = 3,
    /// My metadata are these from now on.
    Metadata = 4,
    /// Are you there?
    Ping = 5,
    /// I am.
    Pong = 6,
    /// I send no more; what I have had of you.
    Goodbye = 7,
    /// You may send so much in all.
    Grant = 8,
    /// A message in pieces begins.
    Begin = 9,
    /// A piece of it.
    Chunk = 10,
    /// It is whole.
    End = 11,
    /// It will never be whole.
    Abort = 12,
    /// I want no more pieces of it.
    Stop = 13,
    /// You may send so much of it in all.
    Widen = 14,
    /// A request.
    Request = 15,
    /// The answer to one.
    Reply = 16,
    /// There will be no answer, and why.
    Failure = 17,
    /// I do not wait for the answer any more.
    Cancel = 18,
}
