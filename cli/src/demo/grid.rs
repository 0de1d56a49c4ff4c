//! What the tour visits: patterns down, transports across.

use std::fmt;

/// A pattern of the tour.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    ReqRep,
    PubSub,
    PushPull,
    Survey,
    Bus,
    Pair0,
    Pair1,
    Poly,
    Device,
}

impl Pattern {
    pub(super) const ALL: [Self; 9] = [
        Self::ReqRep,
        Self::PubSub,
        Self::PushPull,
        Self::Survey,
        Self::Bus,
        Self::Pair0,
        Self::Pair1,
        Self::Poly,
        Self::Device,
    ];

    /// As it stands in the table.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::ReqRep => "REQ/REP",
            Self::PubSub => "PUB/SUB",
            Self::PushPull => "PUSH/PULL",
            Self::Survey => "SURVEY",
            Self::Bus => "BUS",
            Self::Pair0 => "PAIR0",
            Self::Pair1 => "PAIR1",
            Self::Poly => "PAIR1 poly",
            Self::Device => "device",
        }
    }

    /// What it is for, in lines that fit beside its rows.
    pub(super) const fn legend(self) -> [&'static str; 3] {
        match self {
            Self::ReqRep => ["a question goes to", "one peer, and its", "answer comes back"],
            Self::PubSub => ["news for all who", "subscribed to its", "topic, no others"],
            Self::PushPull => ["jobs spread over", "two workers, their", "results collected"],
            Self::Survey => ["all are asked, and", "answer before the", "time is up"],
            Self::Bus => ["three neighbours,", "each of them heard", "by all others"],
            Self::Pair0 => ["one peer, both", "ways, in order", ""],
            Self::Pair1 => ["the same, with a", "count of hops", ""],
            Self::Poly => ["one socket that", "talks to two peers", "by name"],
            Self::Device => ["REQ and REP joined", "by a forwarder in", "the middle"],
        }
    }

    /// As it stands in addresses and in `--sabotage`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::ReqRep => "req",
            Self::PubSub => "pub",
            Self::PushPull => "push",
            Self::Survey => "survey",
            Self::Bus => "bus",
            Self::Pair0 => "pair0",
            Self::Pair1 => "pair1",
            Self::Poly => "poly",
            Self::Device => "device",
        }
    }
}

/// A transport of the tour.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Tcp,
    Ipc,
    Abstract,
    Inproc,
    Socketpair,
    Tls,
    Ws,
    Wss,
    Quic,
    Mux,
}

impl Transport {
    const ALL: [Self; 10] = [
        Self::Tcp,
        Self::Ipc,
        Self::Abstract,
        Self::Inproc,
        Self::Socketpair,
        Self::Tls,
        Self::Ws,
        Self::Wss,
        Self::Quic,
        Self::Mux,
    ];

    /// Those that this system has.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|it| match it {
            Self::Tcp | Self::Inproc | Self::Tls | Self::Ws | Self::Wss | Self::Quic | Self::Mux => true,
            Self::Ipc | Self::Socketpair => cfg!(unix),
            Self::Abstract => cfg!(target_os = "linux"),
        })
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Ipc => "ipc",
            Self::Abstract => "abstract",
            Self::Inproc => "inproc",
            Self::Socketpair => "socketpair",
            Self::Tls => "tls+tcp",
            Self::Ws => "ws",
            Self::Wss => "wss",
            Self::Quic => "quic",
            Self::Mux => "mux+tcp",
        }
    }
}

/// One stop of the tour, written `tcp/req`.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Stop {
    pub(super) pattern: Pattern,
    pub(super) transport: Transport,
}

impl Stop {
    /// The stop that is written like this.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (transport, pattern) = text.split_once('/').ok_or("write TRANSPORT/PATTERN, as in tcp/req")?;
        let transport = Transport::all().find(|it| it.name() == transport).ok_or("no such transport")?;
        let pattern = Pattern::ALL.into_iter().find(|it| it.name() == pattern).ok_or("no such pattern")?;
        Ok(Self { pattern, transport })
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} over {}", self.pattern.title(), self.transport.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stop_can_be_named() {
        for transport in Transport::all() {
            for pattern in Pattern::ALL {
                let text = format!("{}/{}", transport.name(), pattern.name());
                assert_eq!(Stop::parse(&text), Ok(Stop { pattern, transport }));
            }
        }
        assert!(Stop::parse("tcp").is_err());
        assert!(Stop::parse("tcp/nothing").is_err());
    }
}
