//! Lives of every pattern, for tests and fuzzers: whatever happens in whatever order, nothing panics,
//! no bound is exceeded, whoever waits is told, and every message is accounted for.
//!
//! ```text
//!   bytes ──▶ World: kernel, peers, application, books ──▶ Rules
//!                ▲                                           │ Effects
//!                └───────────────── Script ◀─────────────────┘
//! ```
//!
//! A life is a string of bytes, in which each operation and its operands are a few. Property tests
//! and the fuzzer make them, and a file can keep one.
//!
//! | file | whose lives |
//! | --- | --- |
//! | `asking` | REQ, REP, SURVEYOR, RESPONDENT, and their raw forms |
//! | `telling` | all others |

mod asking;
mod telling;

use super::{
    Bus, Pair0, Pair1, Pub, Pull, Push, RawRep, RawReq, RawSurveyor, Rep, Req, Rules, Sub, Surveyor,
};
use crate::options::{Options, Overflow, Prefer, Topic};
use core::time::Duration;

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident,)*) => {
        /// Each side of each protocol, in each form that has rules of its own.
        #[derive(Copy, Clone, Debug, PartialEq, Eq)]
        pub enum Kind { $($(#[$doc])* $kind,)* }

        impl Kind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)*];
        }
    };
}

kinds! {
    /// PAIR v0.
    Pair0,
    /// PAIR v1 with one peer.
    Pair1,
    /// PAIR v1 with many.
    Poly,
    /// PAIR v1, raw.
    RawPair1,
    /// PUSH.
    Push,
    /// PULL.
    Pull,
    /// PUB that drops the oldest messages of slow subscribers.
    PubDropping,
    /// PUB that waits for slow subscribers.
    PubBlocking,
    /// PUB that keeps the newest message per topic for slow subscribers.
    PubConflating,
    /// SUB that prefers new messages.
    SubNewest,
    /// SUB that prefers old messages.
    SubOldest,
    /// SUB, raw.
    RawSub,
    /// BUS.
    Bus,
    /// BUS, raw.
    RawBus,
    /// REQ.
    Req,
    /// REQ that sends no request twice.
    ReqOnce,
    /// REP, and RESPONDENT, which follows the same rules.
    Rep,
    /// SURVEYOR.
    Surveyor,
    /// REQ, raw.
    RawReq,
    /// REP and RESPONDENT, raw.
    RawRep,
    /// SURVEYOR, raw.
    RawSurveyor,
}

impl Kind {
    /// Lives through `life`, whose first byte is the seed, and then down to the end of everything.
    ///
    /// # Panics
    ///
    /// The rule did what it must not do.
    pub fn live(self, life: &[u8]) {
        let (seed, life) = life.split_first().map_or((0, life), |(seed, life)| (*seed, life));
        let rule = self.rule(&self.options(), seed);
        if self.asks() || self.answers() {
            asking::live(self, rule, life);
        } else {
            telling::live(self, rule, life);
        }
    }

    /// Options with bounds that a short life reaches.
    pub fn options(self) -> Options {
        let overflow = match self {
            Self::PubBlocking => Overflow::Block(Duration::from_secs(1)),
            Self::PubConflating => Overflow::Conflate(Topic::Bytes(1)),
            _ => Overflow::DropOldest,
        };
        Options {
            outbox_messages: 3,
            outbox_bytes: 40,
            push_window_messages: 2,
            recv_messages: 6,
            recv_bytes: 120,
            requests_per_pipe: 2,
            answers_per_survey: 3,
            hop_limit: 3,
            resend_time: (self != Self::ReqOnce).then_some(Duration::from_nanos(20)),
            survey_time: Duration::from_nanos(30),
            resend_failures: 2,
            prefer: if self == Self::SubOldest { Prefer::Oldest } else { Prefer::Newest },
            overflow,
            ..Options::default()
        }
    }

    /// The rule, before anything has happened. Its ids begin as far before they wrap as `seed` says.
    pub fn rule(self, options: &Options, seed: u8) -> Rules {
        let seed = u32::MAX - u32::from(seed);
        match self {
            Self::Pair0 => Pair0::new(options).into(),
            Self::Pair1 => Pair1::new(options).into(),
            Self::Poly => Pair1::poly(options).into(),
            Self::RawPair1 => Pair1::raw(options).into(),
            Self::Push => Push::new(options).into(),
            Self::Pull => Pull::new(options).into(),
            Self::PubDropping | Self::PubBlocking | Self::PubConflating => Pub::new(options).into(),
            Self::SubNewest | Self::SubOldest => Sub::new(options).into(),
            Self::RawSub => Sub::raw(options).into(),
            Self::Bus => Bus::new(options).into(),
            Self::RawBus => Bus::raw(options).into(),
            Self::Req | Self::ReqOnce => Req::new(options, seed).into(),
            Self::Rep => Rep::new(options).into(),
            Self::Surveyor => Surveyor::new(options, seed).into(),
            Self::RawReq => RawReq::new(options).into(),
            Self::RawRep => RawRep::new(options).into(),
            Self::RawSurveyor => RawSurveyor::new(options).into(),
        }
    }

    /// Whether what it receives answers what it sent.
    fn asks(self) -> bool {
        matches!(self, Self::Req | Self::ReqOnce | Self::RawReq | Self::Surveyor | Self::RawSurveyor)
    }

    /// Whether what it sends answers what it received.
    fn answers(self) -> bool {
        matches!(self, Self::Rep | Self::RawRep)
    }
}

#[cfg(test)]
mod tests {
    use super::Kind;
    use proptest::prelude::*;

    macro_rules! lives {
        ($($name:ident: $kind:ident,)*) => {
            proptest! {
                $(#[test]
                fn $name(life in prop::collection::vec(any::<u8>(), 0..700)) {
                    Kind::$kind.live(&life);
                })*
            }

            #[test]
            fn every_kind_lives() {
                assert_eq!(Kind::ALL, [$(Kind::$kind,)*]);
            }
        };
    }

    lives! {
        pair0: Pair0,
        pair1: Pair1,
        poly: Poly,
        raw_pair1: RawPair1,
        push: Push,
        pull: Pull,
        dropping_pub: PubDropping,
        blocking_pub: PubBlocking,
        conflating_pub: PubConflating,
        sub_that_prefers_new: SubNewest,
        sub_that_prefers_old: SubOldest,
        raw_sub: RawSub,
        bus: Bus,
        raw_bus: RawBus,
        req: Req,
        req_without_resend: ReqOnce,
        rep: Rep,
        surveyor: Surveyor,
        raw_req: RawReq,
        raw_rep: RawRep,
        raw_surveyor: RawSurveyor,
    }
}
