//! [`Pulse`]: whether the peer is still there, and how far away it is.

use crate::time::Time;
use core::time::Duration;

/// Asks a silent peer whether it is there, measures the round trip, and tells when it is dead.
///
/// ```text
///            silent for keep_alive                 silent for dead_after
///   Hearing ───────────────────────▶ Asking ─────────────────────────────▶ dead
///      ▲                               │ ▲  │ keep_alive: asks again
///      └───────── anything ────────────┘ └──┘
/// ```
#[derive(Debug)]
pub struct Pulse {
    every: Option<Duration>,
    dead_after: Duration,
    heard_at: Time,
    /// The ping that is out, and when it was sent.
    out: Option<(u64, Time)>,
    next_token: u64,
    round_trip: Option<Duration>,
}

/// What is due.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Beat {
    /// Send a ping with this token.
    Ping(u64),
    /// The peer is dead.
    Dead,
}

impl Pulse {
    /// Of a peer that was heard just now.
    pub fn new(every: Option<Duration>, dead_after: Duration, now: Time) -> Self {
        Self { every, dead_after, heard_at: now, out: None, next_token: 1, round_trip: None }
    }

    /// Something came.
    pub fn heard(&mut self, now: Time) {
        self.heard_at = self.heard_at.max(now);
    }

    /// A pong came. The round trip, if it was the answer to the last ping.
    pub fn pong(&mut self, token: u64, now: Time) -> Option<Duration> {
        let (_, at) = self.out.filter(|(asked, _)| *asked == token)?;
        self.out = None;
        self.round_trip = Some(now - at);
        self.round_trip
    }

    /// A ping that is asked for by the program, or due for another reason.
    pub fn ping(&mut self, now: Time) -> u64 {
        let token = self.next_token;
        self.next_token += 1;
        self.out = Some((token, now));
        token
    }

    /// The last round trip that was measured.
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// When [`expire`](Self::expire) is due.
    pub fn deadline(&self) -> Option<Time> {
        let every = self.every?;
        let dead_at = self.heard_at + self.dead_after;
        let asked_at = self.out.map_or(Time::ZERO, |(_, at)| at);
        Some(dead_at.min(self.heard_at.max(asked_at) + every))
    }

    /// What is due at this time.
    pub fn expire(&mut self, now: Time) -> Option<Beat> {
        let (due, every) = (self.deadline()?, self.every?);
        if due > now {
            return None;
        }
        if self.heard_at + self.dead_after <= now {
            if now - due < every / 2 {
                return Some(Beat::Dead);
            }
            // We come late ourselves: the process was stopped, or its machine was asleep. What came meanwhile is
            // still to be read, so the peer gets another chance.
            let chance = self.dead_after.saturating_sub(every);
            self.heard_at = Time::from_nanos(now.as_nanos().saturating_sub(chance.as_nanos() as u64));
        }
        Some(Beat::Ping(self.ping(now)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Time = Time::from_nanos(1);

    fn at(seconds: u64) -> Time {
        START + Duration::from_secs(seconds)
    }

    fn pulse() -> Pulse {
        Pulse::new(Some(Duration::from_secs(10)), Duration::from_secs(30), START)
    }

    #[test]
    fn who_was_stopped_himself_asks_before_he_calls_the_peer_dead() {
        let mut pulse = pulse();
        assert_eq!(pulse.expire(at(10)), Some(Beat::Ping(1)));
        assert_eq!(pulse.expire(at(100)), Some(Beat::Ping(2)));
        pulse.pong(2, at(101));
        pulse.heard(at(101));
        assert_eq!(pulse.deadline(), Some(at(111)));
        // And one that is really gone is dead soon after.
        assert_eq!(pulse.expire(at(200)), Some(Beat::Ping(3)));
        assert_eq!(pulse.deadline(), Some(at(210)));
        assert_eq!(pulse.expire(at(210)), Some(Beat::Dead));
    }

    #[test]
    fn a_silent_peer_is_asked_and_then_dead() {
        let mut pulse = pulse();
        assert_eq!(pulse.deadline(), Some(at(10)));
        assert_eq!(pulse.expire(at(9)), None);
        assert_eq!(pulse.expire(at(10)), Some(Beat::Ping(1)));
        assert_eq!(pulse.deadline(), Some(at(20)));
        assert_eq!(pulse.expire(at(20)), Some(Beat::Ping(2)));
        assert_eq!(pulse.deadline(), Some(at(30)));
        assert_eq!(pulse.expire(at(30)), Some(Beat::Dead));
    }

    #[test]
    fn a_pong_is_a_round_trip_and_a_sign_of_life() {
        let mut pulse = pulse();
        assert_eq!(pulse.expire(at(10)), Some(Beat::Ping(1)));
        pulse.heard(at(12));
        pulse.pong(7, at(12));
        assert_eq!(pulse.round_trip(), None, "of another ping");
        pulse.pong(1, at(12));
        assert_eq!(pulse.round_trip(), Some(Duration::from_secs(2)));
        assert_eq!(pulse.deadline(), Some(at(22)));
    }

    #[test]
    fn who_says_anything_is_not_asked() {
        let mut pulse = pulse();
        for second in 0..100 {
            pulse.heard(at(second));
            assert_eq!(pulse.expire(at(second + 9)), None);
        }
    }

    #[test]
    fn without_keep_alive_nobody_is_asked() {
        let mut pulse = Pulse::new(None, Duration::from_secs(1), START);
        assert_eq!((pulse.deadline(), pulse.expire(at(1_000))), (None, None));
    }
}
