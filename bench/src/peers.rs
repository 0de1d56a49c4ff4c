//! What the program with the other libraries says it can do, and the one library that is built in: quinn.

use crate::quinn;
use crate::subject::{Kind, Subject};
use anyhow::{Context, Result, bail};
use spanwire_bench_ends::{Cell, Mode, Transport, Word, Work};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The program, and its list.
#[derive(Debug)]
pub(crate) struct Peers {
    pub(crate) program: PathBuf,
    pub(crate) all: Vec<Peer>,
}

/// One line of its list.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) subject: Subject,
    pub(crate) version: String,
    /// With what settings it runs, in words.
    pub(crate) settings: String,
    abilities: Vec<Ability>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ability {
    work: Work,
    transport: Transport,
    /// None: every mode that needs nothing special.
    mode: Option<Mode>,
}

impl Peers {
    /// Asks the program.
    pub(crate) fn ask(program: &Path) -> Result<Self> {
        let what = || format!("cannot ask {} what it can do", program.display());
        let out = Command::new(program).arg("list").stderr(Stdio::inherit()).output().with_context(what)?;
        if !out.status.success() {
            bail!("{} list failed ({})", program.display(), out.status);
        }
        let text = String::from_utf8(out.stdout).with_context(what)?;
        let own = quinn::about();
        let all: Result<Vec<Peer>> = text.lines().chain([own.as_str()]).map(parse).collect();
        Ok(Self { program: program.to_owned(), all: all.with_context(what)? })
    }

    /// Whether this library can do this.
    pub(crate) fn can(&self, subject: Subject, cell: &Cell) -> bool {
        let peer = self.all.iter().find(|peer| peer.subject == subject);
        peer.is_some_and(|peer| peer.abilities.iter().any(|ability| ability.covers(cell)))
    }
}

impl Ability {
    fn covers(&self, cell: &Cell) -> bool {
        let mode = match self.mode {
            Some(mode) => mode == cell.mode,
            None => !matches!(cell.mode, Mode::Spin | Mode::Runtime),
        };
        mode && self.work == cell.work && self.transport == cell.transport
    }

    fn parse(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.trim().split(':').collect();
        let (work, transport, mode) = match words[..] {
            [work, transport] => (work, transport, None),
            [work, transport, mode] => (work, transport, Some(Mode::find(mode)?)),
            _ => return None,
        };
        Some(Self { work: Work::find(work)?, transport: Transport::find(transport)?, mode })
    }
}

fn parse(line: &str) -> Result<Peer> {
    let columns: Vec<&str> = line.split('\t').collect();
    let [name, version, settings, abilities] = columns[..] else {
        bail!("four columns are needed: {line:?}")
    };
    let subject = Subject::find(name).filter(|subject| subject.kind() == Kind::Peer);
    let words = abilities.split(',').filter(|word| !word.trim().is_empty());
    let ability = |word| Ability::parse(word).with_context(|| format!("{word:?} is no ability"));
    Ok(Peer {
        subject: subject.with_context(|| format!("there is no peer called {name:?}"))?,
        version: version.to_owned(),
        settings: settings.to_owned(),
        abilities: words.map(ability).collect::<Result<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_a_peer_can_do() {
        let peer = parse("zmq\t4.3.4\tno drops\treq:tcp,req:inproc:runtime,pub:ipc").unwrap();
        let peers = Peers { program: PathBuf::new(), all: vec![peer] };
        let can = |work, transport, mode| {
            peers.can(Subject::Zmq, &Cell { work, transport, body_bytes: 64, mode, many: 1 })
        };
        assert!(can(Work::RoundTrip, Transport::Tcp, Mode::Same));
        assert!(!can(Work::RoundTrip, Transport::Tcp, Mode::Spin));
        assert!(can(Work::RoundTrip, Transport::Inproc, Mode::Runtime));
        assert!(!can(Work::RoundTrip, Transport::Inproc, Mode::Split));
        assert!(can(Work::Publish, Transport::Ipc, Mode::Free));
    }

    #[test]
    fn a_line_that_makes_no_sense_is_an_error() {
        for line in ["zmq\t1\tnone", "async\t1\tnone\treq:tcp", "zmq\t1\tnone\treq", "zmq\t1\tnone\tpull:tcp"]
        {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
