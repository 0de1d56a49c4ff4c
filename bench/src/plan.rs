//! Which workloads there are, and which of them were asked for.

use crate::peers::Peers;
use crate::subject::{Kind, SUBJECTS, Subject};
use anyhow::{Context, Result};
use spanwire_bench_ends::words::MUX;
use spanwire_bench_ends::{Cell, Mode, Mux, Transport, Word, Work, parse_size};

/// Which cells and subjects to run. An empty list means the default of that kind.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    works: Vec<Work>,
    transports: Vec<Transport>,
    bodies: Vec<usize>,
    modes: Vec<Mode>,
    /// How many, for the works that have many of something.
    manys: Vec<u32>,
    /// Percent of capacity, for `load`.
    loads: Vec<u32>,
    subjects: Vec<Subject>,
}

impl Selection {
    /// Adds comma-separated words, such as `push,tcp,64`. Words of one kind widen the choice, words
    /// of different kinds narrow it.
    pub(crate) fn add(&mut self, words: &str) -> Result<()> {
        for word in words.split(',').filter(|word| !word.is_empty()) {
            if let Some(work) = Work::find(word) {
                self.works.push(work);
            } else if word == MUX {
                let all = Work::WORDS.iter().map(|(_, work)| *work);
                self.works.extend(all.filter(|work| matches!(work, Work::Mux(_))));
            } else if let Some(transport) = Transport::find(word) {
                self.transports.push(transport);
            } else if let Some(mode) = Mode::find(word) {
                self.modes.push(mode);
            } else if let Some(subject) = Subject::find(word) {
                self.subjects.push(subject);
            } else if let Some(many) = parse_number(word.strip_prefix('x')) {
                self.manys.push(many);
            } else if let Some(percent) = parse_number(word.strip_suffix('%')) {
                self.loads.push(percent);
            } else {
                self.bodies.push(parse_size(word).with_context(|| format!("there is no word {word:?}"))?);
            }
        }
        Ok(())
    }

    /// Modes to use where none were asked for.
    pub(crate) fn default_modes(&mut self, modes: &[Mode]) {
        if self.modes.is_empty() {
            self.modes = modes.to_vec();
        }
    }

    /// Works to use where none were asked for.
    pub(crate) fn default_works(&mut self, works: &[Work]) {
        if self.works.is_empty() {
            self.works = works.to_vec();
        }
    }

    /// Body sizes to use where none were asked for.
    pub(crate) fn default_bodies(&mut self, bodies: &[usize]) {
        if self.bodies.is_empty() {
            self.bodies = bodies.to_vec();
        }
    }

    /// The cells, in the order in which they run.
    pub(crate) fn cells(&self) -> Vec<Cell> {
        let all: Vec<Work> = Work::WORDS.iter().map(|(_, work)| *work).collect();
        let mut cells = Vec::new();
        for work in or(&self.works, &all) {
            for transport in or(&self.transports, transports(work)) {
                for body_bytes in or(&self.bodies, bodies(work)) {
                    for mode in or(&self.modes, &modes(work, transport, body_bytes)) {
                        for many in self.manys(work) {
                            cells.push(Cell { work, transport, body_bytes, mode, many });
                        }
                    }
                }
            }
        }
        cells.retain(exists);
        cells.dedup();
        cells
    }

    fn manys(&self, work: Work) -> Vec<u32> {
        match work {
            Work::Load => or(&self.loads, manys(work)),
            Work::RoundTrip | Work::OneWay | Work::Connect | Work::Mixed | Work::Outrun => {
                manys(work).to_vec()
            }
            Work::Mux(Mux::Send | Mux::Recv | Mux::Mixed) => manys(work).to_vec(),
            _ => or(&self.manys, manys(work)),
        }
    }

    /// The subjects of a cell. The limit comes first and is always there: nothing else has a meaning
    /// without it.
    pub(crate) fn subjects(&self, cell: &Cell, peers: Option<&Peers>) -> Vec<Subject> {
        let is_wanted = |subject: Subject| match subject.kind() {
            Kind::Limit => true,
            Kind::Peer if self.subjects.is_empty() => true,
            _ => or(&self.subjects, &[Subject::Async, Subject::Blocking]).contains(&subject),
        };
        all_subjects(cell, peers).into_iter().filter(|subject| is_wanted(*subject)).collect()
    }
}

/// Every subject that can do a cell.
pub(crate) fn all_subjects(cell: &Cell, peers: Option<&Peers>) -> Vec<Subject> {
    let can = |subject: &Subject| match subject.kind() {
        Kind::Peer => peers.is_some_and(|peers| peers.can(*subject, cell)),
        _ => subject.suits(cell),
    };
    SUBJECTS.iter().copied().filter(can).collect()
}

/// What a figure is compared to within one subject: the same with one, or unloaded.
pub(crate) fn baseline(cell: &Cell) -> Option<Cell> {
    match cell.work {
        Work::Pushers | Work::Threads | Work::Load if cell.many > 1 => Some(cell.with_many(1)),
        Work::Mixed if cell.many > 0 => Some(cell.with_many(0)),
        _ => None,
    }
}

/// Whether this kind of work exists in this arrangement.
fn exists(cell: &Cell) -> bool {
    let is_plain = matches!(cell.work, Work::RoundTrip | Work::OneWay);
    let is_local = cell.transport == Transport::Inproc;
    let is_bare = matches!(cell.transport, Transport::Tcp | Transport::Ipc);
    let mode = match cell.mode {
        Mode::Runtime => is_local,
        Mode::Spin => cell.work == Work::RoundTrip && is_bare,
        _ => true,
    };
    let body = match cell.work {
        // The limit writes all requests before it reads an answer, which the kernel must have room for.
        Work::Flight | Work::Load => cell.body_bytes <= 4 << 10,
        // The number of the pusher; the stamp, which must not look like the end of the bulk.
        Work::Pushers => cell.body_bytes >= 4,
        Work::Mixed => cell.body_bytes > 8 && cell.many <= 1,
        // As in flight: the limit has many messages in flight on one connection.
        Work::Mux(Mux::Echo) => cell.many == 1 || cell.body_bytes <= 4 << 10,
        _ => true,
    };
    mode && body
        && (is_plain || is_bare || (cell.work == Work::Idle && !is_local))
        && (cell.transport == Transport::Tcp || !matches!(cell.work, Work::Mux(_)))
        && (cell.many > 0 || cell.work == Work::Mixed)
}

fn transports(work: Work) -> &'static [Transport] {
    use Transport::{Inproc, Ipc, Quic, Tcp, Tls, Ws, Wss};
    match work {
        Work::RoundTrip | Work::OneWay => &[Tcp, Ipc, Inproc, Tls, Ws, Wss, Quic],
        Work::Idle => &[Tcp, Tls, Ws, Wss, Quic],
        _ => &[Tcp],
    }
}

fn bodies(work: Work) -> &'static [usize] {
    match work {
        Work::RoundTrip | Work::OneWay => &[64, 1 << 10, 64 << 10, 1 << 20],
        Work::Publish => &[64, 1 << 10],
        Work::Outrun => &[1 << 20],
        Work::Mux(Mux::Echo) => &[100, 200 << 10, 1 << 20],
        Work::Mux(Mux::Send | Mux::Recv) => &[1 << 10],
        Work::Mux(_) => &[100],
        _ => &[64],
    }
}

fn modes(work: Work, transport: Transport, body_bytes: usize) -> Vec<Mode> {
    match (work, transport) {
        (Work::RoundTrip | Work::OneWay, Transport::Inproc) => vec![Mode::Runtime, Mode::Split],
        (Work::RoundTrip, Transport::Tls | Transport::Ws | Transport::Wss | Transport::Quic) => {
            vec![Mode::Split, Mode::Same]
        }
        (Work::RoundTrip, _) => {
            let mut modes = vec![Mode::Split, Mode::Same];
            // What the scheduler does, and spinning, matter where waking up is most of the time.
            if body_bytes == 64 {
                modes.push(Mode::Free);
            }
            if body_bytes <= 1 << 10 {
                modes.push(Mode::Spin);
            }
            modes
        }
        // Threads on one core would never meet.
        (Work::Threads, _) => vec![Mode::Free],
        _ => vec![Mode::Split],
    }
}

fn manys(work: Work) -> &'static [u32] {
    match work {
        Work::Publish => &[1, 8, 64],
        Work::Stall => &[63],
        Work::Flight => &[64],
        Work::Pushers => &[1000],
        Work::Threads => &[8],
        Work::Idle => &[10_000],
        Work::Load => &[50, 90],
        Work::Mux(Mux::Echo) => &[1, 16, 1000],
        Work::Mux(Mux::Links) => &[4],
        Work::Mux(Mux::Idle) => &[10_000],
        _ => &[1],
    }
}

/// What is left of `x64` or `50%` without its sign.
fn parse_number(digits: Option<&str>) -> Option<u32> {
    digits?.parse().ok().filter(|number| *number > 0)
}

/// Prints one cell a line.
pub(crate) fn print(cells: &[Cell]) {
    for cell in cells {
        println!("{cell}");
    }
}

fn or<T: Copy>(chosen: &[T], default: &[T]) -> Vec<T> {
    if chosen.is_empty() { default } else { chosen }.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(words: &str) -> Vec<String> {
        let mut selection = Selection::default();
        selection.add(words).unwrap();
        selection.cells().iter().map(Cell::to_string).collect()
    }

    #[test]
    fn words_of_different_kinds_narrow_the_choice() {
        assert_eq!(cells("push,tcp,64,split"), ["push tcp 64 split"]);
        assert_eq!(cells("pub,x8,1k"), ["pub x8 tcp 1k split"]);
        assert_eq!(cells("load,90%"), ["load 90% tcp 64 split"]);
        assert_eq!(cells("push,tcp,64,x8"), ["push tcp 64 split"], "there is only one of it");
    }

    #[test]
    fn one_word_is_for_all_of_the_multiplexers() {
        assert!(cells("mux").iter().all(|cell| cell.starts_with("mux-")));
        let echoes = ["mux-echo tcp 100 split", "mux-echo x16 tcp 100 split", "mux-echo x1000 tcp 100 split"];
        assert_eq!(cells("mux-echo,100"), echoes);
        assert_eq!(cells("mux-echo,1m,x1,x16"), ["mux-echo tcp 1m split"]);
    }

    #[test]
    fn words_of_one_kind_widen_the_choice() {
        assert_eq!(cells("push,tcp,ipc,1k,1m,same").len(), 4);
    }

    #[test]
    fn unknown_words_are_refused() {
        assert!(Selection::default().add("pull").is_err());
        assert!(Selection::default().add("0").is_err());
    }

    #[test]
    fn one_runtime_is_for_inproc_alone() {
        assert_eq!(cells("req,64,runtime"), ["req inproc 64 runtime"]);
    }

    #[test]
    fn every_work_has_a_default() {
        for (word, _) in Work::WORDS {
            assert!(!cells(word).is_empty(), "{word}");
        }
    }
}
