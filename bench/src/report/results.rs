//! Everything a run has found, as it is written to a file and read again.

use super::machine::Machine;
use super::number::Spread;
use crate::options::Options;
use crate::peers::Peers;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use spanwire_bench_ends::{Word, pin};

/// A run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) version: String,
    pub(crate) date: String,
    pub(crate) machine: Machine,
    /// The CPUs of client and server.
    pub(crate) pinned_to: Option<(usize, usize)>,
    pub(crate) rounds: usize,
    pub(crate) round_millis: u64,
    pub(crate) peers: Vec<About>,
    pub(crate) cells: Vec<CellResult>,
    pub(crate) costs: Vec<Cost>,
}

/// A peer, and how it was set up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct About {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) settings: String,
}

/// What all subjects reached in one cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CellResult {
    pub(crate) work: String,
    pub(crate) transport: String,
    pub(crate) body_bytes: usize,
    pub(crate) mode: String,
    pub(crate) many: u32,
    /// The cell in words.
    pub(crate) title: String,
    /// What the numbers of each row are.
    pub(crate) heads: Vec<Head>,
    pub(crate) rows: Vec<Row>,
}

/// What a number is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) name: String,
    pub(crate) better: Better,
    /// Shown with its spread and compared with the limit and the best peer. Of the others, the median.
    pub(crate) main: bool,
}

/// Which way is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Better {
    Lower,
    Higher,
}

/// One subject.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) subject: String,
    pub(crate) kind: Kind,
    /// Why it counts for nothing.
    pub(crate) void: Option<String>,
    pub(crate) spreads: Vec<Spread>,
}

/// Whose row it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Limit,
    Ours,
    Peer,
}

/// What a message or round trip costs that can be counted; both ends together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cost {
    /// The cell in words.
    pub(crate) title: String,
    pub(crate) subject: String,
    /// Of what: system calls or instructions.
    pub(crate) what: String,
    pub(crate) each: f64,
    /// Of what that consists, the most first.
    pub(crate) parts: Vec<(String, f64)>,
}

impl Results {
    /// Of a run that begins.
    pub(crate) fn new(options: &Options, peers: Option<&Peers>) -> Self {
        let about = |peer: &crate::peers::Peer| About {
            name: peer.subject.word().to_owned(),
            version: peer.version.clone(),
            settings: peer.settings.clone(),
        };
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            date: super::today(),
            machine: Machine::here(),
            pinned_to: pin::cpus(),
            rounds: options.rounds,
            round_millis: options.duration.as_millis() as u64,
            peers: peers.map_or_else(Vec::new, |peers| peers.all.iter().map(about).collect()),
            cells: Vec::new(),
            costs: Vec::new(),
        }
    }

    /// How many rows count for nothing.
    pub(crate) fn voids(&self) -> usize {
        self.cells.iter().flat_map(|cell| &cell.rows).filter(|row| row.void.is_some()).count()
    }

    /// As text, a row a line.
    pub(crate) fn to_json(&self) -> Result<String> {
        let bare = Self { cells: Vec::new(), costs: Vec::new(), ..self.clone() };
        let mut text = serde_json::to_string_pretty(&bare)?;
        // The lists are written by hand: pretty would put each number on a line of its own.
        let end = text.find("  \"cells\": []").unwrap_or(text.len());
        text.truncate(end);
        text.push_str("  \"cells\": [\n");
        for (place, cell) in self.cells.iter().enumerate() {
            let head = serde_json::to_string(&CellResult { rows: Vec::new(), ..cell.clone() })?;
            text.push_str("    ");
            text.push_str(head.strip_suffix("]}").unwrap_or(&head));
            text.push('\n');
            lines(&mut text, "      ", &cell.rows)?;
            text.push_str(if place + 1 < self.cells.len() { "    ]},\n" } else { "    ]}\n" });
        }
        text.push_str("  ],\n  \"costs\": [\n");
        lines(&mut text, "    ", &self.costs)?;
        text.push_str("  ]\n}\n");
        Ok(text)
    }

    /// Reads it again.
    pub(crate) fn from_json(text: &str) -> Result<Self> {
        Ok(serde_json::from_str(text)?)
    }
}

fn lines<T: Serialize>(text: &mut String, indent: &str, list: &[T]) -> Result<()> {
    for (place, item) in list.iter().enumerate() {
        let comma = if place + 1 < list.len() { "," } else { "" };
        *text += &format!("{indent}{}{comma}\n", serde_json::to_string(item)?);
    }
    Ok(())
}

impl CellResult {
    /// How one number of a row compares with that of the limit.
    pub(crate) fn to_limit(&self, row: &Row, place: usize) -> Option<f64> {
        let limit = self.rows.iter().find(|row| row.kind == Kind::Limit && row.void.is_none())?;
        (row.kind != Kind::Limit).then(|| ratio(row, limit, place))?
    }

    /// How one number of ours compares with that of the best peer.
    pub(crate) fn to_best_peer(&self, row: &Row, place: usize) -> Option<f64> {
        let best = self.best_peer(place)?;
        (row.kind == Kind::Ours).then(|| ratio(row, best, place))?
    }

    /// The peer with the best median of one number.
    pub(crate) fn best_peer(&self, place: usize) -> Option<&Row> {
        let median = |row: &Row| row.spreads.get(place).map_or(f64::NAN, |spread| spread.median);
        let is_peer = |row: &&Row| row.kind == Kind::Peer && row.void.is_none() && !median(row).is_nan();
        let peers = self.rows.iter().filter(is_peer);
        match self.heads.get(place)?.better {
            Better::Lower => peers.min_by(|one, other| median(one).total_cmp(&median(other))),
            Better::Higher => peers.max_by(|one, other| median(one).total_cmp(&median(other))),
        }
    }
}

fn ratio(row: &Row, to: &Row, place: usize) -> Option<f64> {
    let ratio = row.spreads.get(place)?.median / to.spreads.get(place)?.median;
    ratio.is_finite().then_some(ratio)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A run with one cell: the limit does 4, we do 3, the peers 1 and 2.
    pub(crate) fn made_up() -> Results {
        let row = |subject: &str, kind, value: f64| Row {
            subject: subject.to_owned(),
            kind,
            void: None,
            spreads: vec![Spread::of(vec![value, value * 0.5, value * 1.5])],
        };
        let head = Head { name: "M msg/s".into(), better: Better::Higher, main: true };
        let cell = CellResult {
            work: "push".into(),
            transport: "tcp".into(),
            body_bytes: 64,
            mode: "split".into(),
            many: 1,
            title: "push tcp 64 split".into(),
            heads: vec![head],
            rows: vec![
                row("limit", Kind::Limit, 4.0),
                row("async", Kind::Ours, 3.0),
                row("nng", Kind::Peer, 1.0),
                row("zmq", Kind::Peer, 2.0),
                Row { void: Some("lost 3".into()), ..row("nats", Kind::Peer, 9.0) },
            ],
        };
        let machine = Machine {
            cpu: "any".into(),
            cpus: 2,
            kernel: "linux".into(),
            memory_gib: 4,
            load: "0".into(),
            compiler: "rustc".into(),
        };
        Results {
            version: "0".into(),
            date: "2026-11-21".into(),
            machine,
            pinned_to: Some((0, 1)),
            rounds: 3,
            round_millis: 100,
            peers: Vec::new(),
            cells: vec![cell.clone(), cell],
            costs: vec![Cost {
                title: "push tcp 64 split".into(),
                subject: "async".into(),
                what: "system calls".into(),
                each: 0.01,
                parts: vec![("read".into(), 0.01)],
            }],
        }
    }

    #[test]
    fn results_read_back() {
        let results = made_up();
        assert_eq!(Results::from_json(&results.to_json().unwrap()).unwrap(), results);
        let empty = Results { cells: Vec::new(), costs: Vec::new(), ..results };
        assert_eq!(Results::from_json(&empty.to_json().unwrap()).unwrap(), empty);
    }

    #[test]
    fn ratios_are_to_the_limit_and_to_the_best_peer_that_is_not_void() {
        let results = made_up();
        let cell = &results.cells[0];
        let ours = &cell.rows[1];
        assert_eq!(cell.to_limit(ours, 0), Some(0.75));
        assert_eq!(cell.to_best_peer(ours, 0), Some(1.5));
        assert_eq!(cell.to_limit(&cell.rows[0], 0), None);
        assert_eq!(cell.best_peer(0).map(|row| row.subject.as_str()), Some("zmq"));
    }
}
