//! The tables of `bench/README.md`, out of a run that was written down.

use super::number::short;
use super::results::{CellResult, Cost, Kind, Results, Row};
use std::fmt::Write;

/// The whole page: where it was measured, a table for each work, what can be counted, the peers.
pub(super) fn page(results: &Results) -> String {
    let mut page = String::new();
    head(&mut page, results);
    let mut works: Vec<&str> = results.cells.iter().map(|cell| cell.work.as_str()).collect();
    works.dedup();
    for work in works {
        let cells: Vec<&CellResult> = results.cells.iter().filter(|cell| cell.work == work).collect();
        table(&mut page, work, &cells);
    }
    costs(&mut page, &results.costs);
    peers(&mut page, results);
    page
}

fn head(page: &mut String, results: &Results) {
    let machine = &results.machine;
    line(
        page,
        &format!(
            "Measured on {}: {}, {} CPUs, {} GiB, {}; spanwire {}, {}; {} rounds of {} ms.",
            results.date,
            machine.cpu,
            machine.cpus,
            machine.memory_gib,
            machine.kernel,
            results.version,
            machine.compiler,
            results.rounds,
            results.round_millis
        ),
    );
}

/// A row for each cell and main figure, a column for each subject.
fn table(page: &mut String, work: &str, cells: &[&CellResult]) {
    let mut subjects: Vec<(&str, Kind)> = Vec::new();
    for row in cells.iter().flat_map(|cell| &cell.rows) {
        if !subjects.iter().any(|(subject, _)| *subject == row.subject) {
            subjects.push((&row.subject, row.kind));
        }
    }
    subjects.sort_by_key(|(_, kind)| *kind as u8);
    let names: Vec<&str> = subjects.iter().map(|(subject, _)| *subject).collect();
    line(page, &format!("\n### `{work}`\n"));
    line(page, &format!("| cell | figure | {} |", names.join(" | ")));
    line(page, &format!("| --- | ---{} |", " | ---:".repeat(names.len())));
    for cell in cells {
        for place in 0..cell.heads.len() {
            let of = |name: &&str| {
                let row = cell.rows.iter().find(|row| row.subject == **name);
                row.map_or(String::new(), |row| value(cell, row, place))
            };
            let values: Vec<String> = names.iter().map(of).collect();
            let title = if place == 0 { &cell.title } else { "" };
            line(page, &format!("| {title} | {} | {} |", cell.heads[place].name, values.join(" | ")));
        }
    }
}

/// The median; of a main figure also the ratio to the limit, and of ours that to the best peer.
fn value(cell: &CellResult, row: &Row, place: usize) -> String {
    let Some(spread) = row.spreads.get(place).filter(|_| row.void.is_none()) else {
        return "void".to_owned();
    };
    let mut text = short(spread.median);
    if !cell.heads[place].main {
        return text;
    }
    let ratios = [cell.to_limit(row, place), cell.to_best_peer(row, place)];
    let ratios: Vec<String> = ratios.iter().flatten().map(|ratio| format!("{ratio:.2}")).collect();
    if !ratios.is_empty() {
        text += &format!(" ({})", ratios.join(", "));
    }
    match row.kind {
        Kind::Ours => format!("**{text}**"),
        _ => text,
    }
}

fn costs(page: &mut String, costs: &[Cost]) {
    if costs.is_empty() {
        return;
    }
    line(page, "\n### What can be counted\n");
    line(page, "Both ends together, for each message or round trip.\n");
    line(page, "| cell | subject | what | each | of which |");
    line(page, "| --- | --- | --- | ---: | --- |");
    for cost in costs {
        let parts: Vec<String> =
            cost.parts.iter().map(|(name, each)| format!("{name} {}", short(*each))).collect();
        let (each, parts) = (short(cost.each), parts.join(", "));
        line(page, &format!("| {} | {} | {} | {each} | {parts} |", cost.title, cost.subject, cost.what));
    }
}

fn peers(page: &mut String, results: &Results) {
    if results.peers.is_empty() {
        return;
    }
    line(page, "\n### The peers\n");
    line(page, "| peer | version | settings |");
    line(page, "| --- | --- | --- |");
    for peer in &results.peers {
        line(page, &format!("| {} | {} | {} |", peer.name, peer.version, peer.settings));
    }
}

fn line(page: &mut String, words: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(page, "{words}");
}

#[cfg(test)]
mod tests {
    use super::super::results::tests::made_up;
    use super::*;

    #[test]
    fn ratios_stand_behind_the_median() {
        let page = page(&made_up());
        let row = "| push tcp 64 split | M msg/s | 4.00 | **3.00 (0.75, 1.50)** | 1.00 (0.25) | 2.00 (0.50) | void |";
        assert!(page.contains(row), "{page}");
        assert!(page.contains("| push tcp 64 split | async | system calls | 0.0100 | read 0.0100 |"));
    }
}
