//! Which protocol listens and dials where. The order of the arguments says what belongs together:
//! addresses belong to the protocol before them.

use crate::complaint::Complaint;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Arg, ArgAction, ArgMatches, Command};
use spanwire::Protocol;

/// One side of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Side {
    pub(super) protocol: Protocol,
    pub(super) addresses: Vec<Address>,
}

/// A way to get peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    Listen(String),
    Dial(String),
}

/// Protocols and addresses in the order in which they were given.
#[derive(Clone, Debug, Default)]
pub(super) struct Sides {
    sides: Vec<Side>,
    /// Addresses in front of the first protocol.
    homeless: usize,
}

impl Sides {
    /// The sides, one for a reflector and two for others.
    pub(super) fn check(&self, reflect: bool) -> Result<Vec<Side>, Complaint> {
        let wrong = |what: &str, advice| Err(Complaint::usage(what.to_owned()).advise(advice));
        if self.homeless > 0 {
            return wrong(
                "an address stands in front of the protocols",
                "name the protocol first, then its addresses",
            );
        }
        match (reflect, self.sides.len()) {
            (true, 1) | (false, 2) => {}
            (true, _) => return wrong("--reflect has one side", "name one protocol"),
            (false, _) => {
                return wrong("a device has two sides", "name a second protocol, or --reflect to send back");
            }
        }
        match self.sides.iter().find(|side| side.addresses.is_empty()) {
            Some(side) => Err(Complaint::usage(format!("{} has no address", side.protocol.name()))
                .advise("say --listen URL or --dial URL after it")),
            None => Ok(self.sides.clone()),
        }
    }
}

/// The words for a protocol; the first is ours, others are those of nngcat and nanocat.
fn protocol(word: &str) -> Option<Protocol> {
    Some(match word {
        "pair" | "pair0" => Protocol::Pair0,
        "pair1" => Protocol::Pair1,
        "pub" => Protocol::Pub,
        "sub" => Protocol::Sub,
        "req" => Protocol::Req,
        "rep" => Protocol::Rep,
        "push" => Protocol::Push,
        "pull" => Protocol::Pull,
        "surveyor" | "survey" => Protocol::Surveyor,
        "respondent" | "respond" => Protocol::Respondent,
        "bus" => Protocol::Bus,
        _ => return None,
    })
}

impl clap::Args for Sides {
    fn augment_args(command: Command) -> Command {
        use clap::builder::PossibleValue as Word;
        let words = PossibleValuesParser::new([
            Word::new("pair0").alias("pair"),
            Word::new("pair1"),
            Word::new("pub"),
            Word::new("sub"),
            Word::new("req"),
            Word::new("rep"),
            Word::new("push"),
            Word::new("pull"),
            Word::new("surveyor").alias("survey"),
            Word::new("respondent").alias("respond"),
            Word::new("bus"),
        ]);
        let words = words.map(|word| protocol(&word).expect("every word of the list has its protocol"));
        command
            .arg(
                Arg::new("protocol")
                    .value_name("PROTOCOL")
                    .help("What this side speaks; its addresses follow")
                    .value_parser(words)
                    .hide_possible_values(true)
                    .required(true)
                    .num_args(1)
                    .action(ArgAction::Append),
            )
            .arg(
                Arg::new("listen")
                    .long("listen")
                    .value_name("URL")
                    .help("Listen here, as the protocol before this")
                    .action(ArgAction::Append),
            )
            .arg(
                Arg::new("dial")
                    .long("dial")
                    .value_name("URL")
                    .help("Dial this, and again whenever it is lost")
                    .action(ArgAction::Append),
            )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for Sides {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        enum Word {
            Protocol(Protocol),
            Address(Address),
        }
        let mut words = Vec::new();
        let indices = |name: &str| matches.indices_of(name).into_iter().flatten();
        for (at, protocol) in indices("protocol").zip(matches.get_many("protocol").into_iter().flatten()) {
            words.push((at, Word::Protocol(*protocol)));
        }
        let urls = |name: &str| matches.get_many::<String>(name).into_iter().flatten().cloned();
        words.extend(indices("listen").zip(urls("listen").map(|url| Word::Address(Address::Listen(url)))));
        words.extend(indices("dial").zip(urls("dial").map(|url| Word::Address(Address::Dial(url)))));
        words.sort_by_key(|(at, _)| *at);
        let mut sides = Self::default();
        for (_, word) in words {
            match (word, sides.sides.last_mut()) {
                (Word::Protocol(protocol), _) => {
                    sides.sides.push(Side { protocol, addresses: Vec::new() });
                }
                (Word::Address(address), Some(side)) => side.addresses.push(address),
                (Word::Address(_), None) => sides.homeless += 1,
            }
        }
        Ok(sides)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Args as _, FromArgMatches};

    fn sides(line: &str) -> Sides {
        let command = Sides::augment_args(Command::new("device"));
        let words = std::iter::once("device").chain(line.split_whitespace());
        Sides::from_arg_matches(&command.try_get_matches_from(words).unwrap()).unwrap()
    }

    #[test]
    fn addresses_belong_to_the_protocol_before_them() {
        let found =
            sides("rep --listen tcp://:1 --dial a --listen b req --dial=ipc:///c").check(false).unwrap();
        let listen = |url: &str| Address::Listen(url.into());
        let dial = |url: &str| Address::Dial(url.into());
        assert_eq!(
            found,
            [
                Side { protocol: Protocol::Rep, addresses: vec![listen("tcp://:1"), dial("a"), listen("b")] },
                Side { protocol: Protocol::Req, addresses: vec![dial("ipc:///c")] },
            ]
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (line, reflect) in [
            ("rep --listen a", false),
            ("--listen a rep req --listen b", false),
            ("rep req --listen b", false),
            ("bus --listen a bus --listen b", true),
            ("bus", true),
            ("rep --listen a req --dial b req --dial c", false),
        ] {
            assert!(sides(line).check(reflect).is_err(), "{line}");
        }
        assert!(sides("bus --listen a").check(true).is_ok());
        assert!(sides("pair --listen a pair0 --dial b").check(false).is_ok());
    }
}
