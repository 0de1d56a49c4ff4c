//! The table in the terminal.

use super::number::short;
use super::results::{CellResult, Kind, Results, Row};

/// Says where and how this runs.
pub(crate) fn head(results: &Results) {
    let machine = &results.machine;
    println!(
        "{}, {} CPUs, {} GiB, {}; load {}",
        machine.cpu, machine.cpus, machine.memory_gib, machine.kernel, machine.load
    );
    println!("spanwire {}, {}", results.version, machine.compiler);
    for peer in &results.peers {
        println!("{} {}: {}", peer.name, peer.version, peer.settings);
    }
    match results.pinned_to {
        Some((client, server)) => {
            println!("split: client on CPU {client}, server on CPU {server}; same: both on CPU {client}");
        }
        None => println!("split and spin left out: there are no two CPUs to pin to"),
    }
    println!(
        "{} rounds of {} ms, subjects in turn; median [lowest..highest]",
        results.rounds, results.round_millis
    );
}

/// Prints one cell.
pub(crate) fn print(cell: &CellResult) {
    println!();
    let with_peers = cell.rows.iter().any(|row| row.kind == Kind::Peer);
    let mut line = format!("{:<28}", cell.title);
    for head in &cell.heads {
        line += &format!("{:>1$}", head.name, if head.main { WIDE } else { NARROW });
    }
    for head in cell.heads.iter().filter(|head| head.main) {
        let unit = head.name.split(' ').next().unwrap_or_default();
        line += &format!("{:>1$}", format!("{unit}/limit"), NARROW);
        if with_peers {
            line += &format!("{:>1$}", format!("{unit}/best"), NARROW);
        }
    }
    println!("{line}");
    for row in &cell.rows {
        println!("{}", self::row(cell, row, with_peers));
    }
}

fn row(cell: &CellResult, row: &Row, with_peers: bool) -> String {
    let mut line = format!("{:<28}", format!("  {}", row.subject));
    if let Some(reason) = &row.void {
        return line + reason;
    }
    for (head, spread) in cell.heads.iter().zip(&row.spreads) {
        line += &match head.main {
            true => format!("{:>WIDE$}", spread.text()),
            false => format!("{:>NARROW$}", short(spread.median)),
        };
    }
    let ratio = |ratio: Option<f64>| ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
    for place in (0..cell.heads.len()).filter(|place| cell.heads[*place].main) {
        line += &format!("{:>NARROW$}", ratio(cell.to_limit(row, place)));
        if with_peers {
            line += &format!("{:>NARROW$}", ratio(cell.to_best_peer(row, place)));
        }
    }
    line
}

const WIDE: usize = 26;
const NARROW: usize = 15;

#[cfg(test)]
mod tests {
    use super::super::results::tests::made_up;
    use super::*;

    #[test]
    fn a_row_has_its_numbers_and_its_ratios() {
        let results = made_up();
        let cell = &results.cells[0];
        let words = |place: usize| {
            let line = row(cell, &cell.rows[place], true);
            line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(words(1), ["async", "3.00", "[1.50..4.50]", "0.75", "1.50"]);
        assert_eq!(words(0), ["limit", "4.00", "[2.00..6.00]", "-", "-"]);
        assert_eq!(words(4), ["nats", "lost", "3"]);
    }
}
