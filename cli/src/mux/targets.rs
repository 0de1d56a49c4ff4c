//! Which target belongs to which id. The order of the arguments says what belongs together: an id belongs to
//! the target behind it.

use super::local;
use crate::complaint::Complaint;
use clap::{Arg, ArgAction, ArgMatches, Command};
use spanwire::mux::ChannelId;
use spanwire::{Addr, DialError};

/// Where the channels of some ids go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// Those; none are all others.
    ids: Vec<String>,
    pub(super) addr: Addr,
}

impl Target {
    /// Whether channels of this id go there.
    pub(super) fn takes(&self, id: &str) -> bool {
        self.ids.is_empty() || self.ids.iter().any(|own| own == id)
    }
}

/// Ids and targets in the order in which they were given.
#[derive(Clone, Debug, Default)]
pub(super) struct Targets(Vec<Word>);

#[derive(Clone, Debug)]
enum Word {
    Id(String),
    To(String),
}

impl Targets {
    /// The targets; the one of all others is the last.
    pub(super) fn check(&self) -> Result<Vec<Target>, Complaint> {
        let (mut targets, mut rest, mut ids) = (Vec::<Target>::new(), None, Vec::new());
        for word in &self.0 {
            match word {
                Word::Id(id) => {
                    ChannelId::new(id).map_err(|error| Complaint::usage(error.to_string()))?;
                    if ids.contains(id) || targets.iter().any(|target| target.ids.contains(id)) {
                        return Err(Complaint::usage(format!("the id {id:?} has two targets")));
                    }
                    ids.push(id.clone());
                }
                Word::To(url) => {
                    let addr = local::parse(url)?;
                    addr.for_dial()
                        .map_err(|error| DialError::Address { url: url.as_str().into(), error })?;
                    let target = Target { ids: std::mem::take(&mut ids), addr };
                    if !target.ids.is_empty() {
                        targets.push(target);
                    } else if rest.replace(target).is_some() {
                        return Err(Complaint::usage("two targets take all ids".to_owned())
                            .advise("say which ids go where, with --id in front of --to"));
                    }
                }
            }
        }
        if !ids.is_empty() {
            return Err(Complaint::usage("an id stands behind the last target".to_owned())
                .advise("say --id in front of its --to"));
        }
        targets.extend(rest);
        Ok(targets)
    }
}

impl clap::Args for Targets {
    fn augment_args(command: Command) -> Command {
        command
            .arg(
                Arg::new("to")
                    .long("to")
                    .value_name("TARGET")
                    .help("Connect channels with this: tcp://host:port or ipc://path")
                    .required(true)
                    .action(ArgAction::Append),
            )
            .arg(
                Arg::new("id")
                    .long("id")
                    .value_name("NAME")
                    .help("Only channels of this id go to the --to behind it")
                    .action(ArgAction::Append),
            )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for Targets {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let indices = |name: &str| matches.indices_of(name).into_iter().flatten();
        let values = |name: &str| matches.get_many::<String>(name).into_iter().flatten().cloned();
        let ids = indices("id").zip(values("id").map(Word::Id));
        let mut words: Vec<_> = ids.chain(indices("to").zip(values("to").map(Word::To))).collect();
        words.sort_by_key(|(at, _)| *at);
        Ok(Self(words.into_iter().map(|(_, word)| word).collect()))
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

    fn targets(line: &str) -> Targets {
        let command = Targets::augment_args(Command::new("serve"));
        let words = std::iter::once("serve").chain(line.split_whitespace());
        Targets::from_arg_matches(&command.try_get_matches_from(words).unwrap()).unwrap()
    }

    #[test]
    fn an_id_belongs_to_the_target_behind_it() {
        let line = "--to tcp://h:1 --id a --id b --to tcp://h:2 --id c --to=tcp://h:3";
        let found = targets(line).check().unwrap();
        for (id, port) in [("a", 2), ("b", 2), ("c", 3), ("d", 1), ("", 1)] {
            let target = found.iter().find(|target| target.takes(id)).unwrap();
            assert_eq!(target.addr.to_string(), format!("tcp://h:{port}"), "{id}");
        }
        assert!(!targets("--id a --to tcp://h:1").check().unwrap().iter().any(|target| target.takes("b")));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "--to tcp://h:1 --to tcp://h:2",
            "--id a --to tcp://h:1 --id a --to tcp://h:2",
            "--to tcp://h:1 --id a",
            "--to tls+tcp://h:1",
            "--to tcp://:1",
        ] {
            assert!(targets(line).check().is_err(), "{line}");
        }
    }
}
