//! [`Reason`] and [`Fault`]: why a connection is refused or ended, and why a request has no answer.

use core::fmt;

/// Why a connection is refused, or ended.
///
/// Numbers that this version does not know are kept as they are.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// 0: none is given.
    Unspecified,
    /// 1: no version that both speak.
    Version,
    /// 2: the verify hook said no.
    Denied,
    /// 3: the filter said no.
    Filtered,
    /// 4: as many connections as allowed.
    Full,
    /// 5: there is another connection between the two, and both wanted no more than one.
    Duplicate,
    /// 6: the other side broke the rules of the wire.
    Malformed,
    /// 7: a message or frame larger than allowed.
    TooLarge,
    /// 8: more messages or bytes than the rate allowed to a peer.
    TooFast,
    /// 9: the program has closed the connection.
    Closing,
    /// 10: the other side took too long.
    TooSlow,
    /// 11: the two ends are the same host.
    Myself,
    /// 12: a newer connection took the place of this one.
    Replaced,
    /// Any other number.
    Other(u16),
}

const REASONS: [Reason; 13] = [
    Reason::Unspecified,
    Reason::Version,
    Reason::Denied,
    Reason::Filtered,
    Reason::Full,
    Reason::Duplicate,
    Reason::Malformed,
    Reason::TooLarge,
    Reason::TooFast,
    Reason::Closing,
    Reason::TooSlow,
    Reason::Myself,
    Reason::Replaced,
];

impl Reason {
    /// Its number on the wire.
    pub fn number(self) -> u16 {
        match self {
            Self::Other(number) => number,
            _ => REASONS.iter().position(|reason| *reason == self).unwrap_or(0) as u16,
        }
    }

    /// The reason with this number.
    pub fn from_number(number: u16) -> Self {
        REASONS.get(usize::from(number)).copied().unwrap_or(Self::Other(number))
    }

    /// Whether trying again soon may well succeed without anybody changing anything.
    pub fn is_transient(self) -> bool {
        match self {
            Self::Full | Self::Duplicate | Self::TooFast | Self::Closing | Self::TooSlow | Self::Replaced => {
                true
            }
            Self::Unspecified
            | Self::Version
            | Self::Denied
            | Self::Filtered
            | Self::Malformed
            | Self::TooLarge
            | Self::Myself
            | Self::Other(_) => false,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unspecified => "no reason given",
            Self::Version => "no common version of the link protocol",
            Self::Denied => "proof not accepted",
            Self::Filtered => "refused by the filter",
            Self::Full => "as many connections as allowed",
            Self::Duplicate => "connected already",
            Self::Malformed => "the rules of the wire were broken",
            Self::TooLarge => "message over the size limit",
            Self::TooFast => "more than the allowed rate",
            Self::Closing => "closed",
            Self::TooSlow => "took too long",
            Self::Myself => "connected to itself",
            Self::Replaced => "replaced by a newer connection",
            Self::Other(number) => return write!(f, "reason {number}"),
        })
    }
}

/// Why a request has no answer. Numbers from 256 on are the application's.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// 1: nobody handles requests of this protocol and message.
    NoHandler,
    /// 2: as many requests wait as allowed.
    Busy,
    /// 3: the handler failed.
    Failed,
    /// 4: the handler dropped the request without an answer.
    Unanswered,
    /// 5: the answer would be larger than the asking side accepts.
    TooLarge,
    /// Any other number; those from 256 on belong to applications.
    Other(u16),
}

impl Fault {
    /// The first number that applications may use for their own.
    pub const APPLICATION: u16 = 256;

    /// Its number on the wire.
    pub fn number(self) -> u16 {
        match self {
            Self::NoHandler => 1,
            Self::Busy => 2,
            Self::Failed => 3,
            Self::Unanswered => 4,
            Self::TooLarge => 5,
            Self::Other(number) => number,
        }
    }

    /// The fault with this number.
    pub fn from_number(number: u16) -> Self {
        match number {
            1 => Self::NoHandler,
            2 => Self::Busy,
            3 => Self::Failed,
            4 => Self::Unanswered,
            5 => Self::TooLarge,
            other => Self::Other(other),
        }
    }

    /// Whether the same request may be answered later without anybody changing anything.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Busy)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoHandler => "nobody handles this request",
            Self::Busy => "too many requests wait",
            Self::Failed => "the handler failed",
            Self::Unanswered => "the handler gave no answer",
            Self::TooLarge => "the answer is too large",
            Self::Other(number) => return write!(f, "fault {number}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_nobody_knows_are_kept() {
        for number in 0..600 {
            assert_eq!(Reason::from_number(number).number(), number);
            assert_eq!(Fault::from_number(number).number(), number);
        }
        assert_eq!(Reason::from_number(13), Reason::Other(13));
        assert_eq!(Fault::from_number(0), Fault::Other(0));
    }
}
