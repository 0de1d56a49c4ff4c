//! Rows as text: one table, for pipes.

use super::figures::{COLUMNS, Look, PEER_COLUMNS, Row};
use super::muxes::{CARRIER_COLUMNS, CHANNEL_COLUMNS};
use std::fmt::Write;

/// The sockets, each with its reasons below, and its transports if they are asked for.
pub(super) fn sockets(look: &Look, transports: bool) -> String {
    let cells: Vec<_> = look.rows.iter().map(Row::cells).collect();
    let mut lines = table(&COLUMNS, &cells, 2).into_iter();
    let mut out = format!("{}\n{}\n", look.title, lines.next().unwrap_or_default());
    for (row, line) in look.rows.iter().zip(lines) {
        let _ = writeln!(out, "{line}");
        let below = row.transports.iter().filter(|_| transports).chain(&row.reasons);
        for line in below {
            let _ = writeln!(out, "    {line}");
        }
    }
    out
}

/// The peers of all sockets; and multiplexed connections and their channels where there are any.
pub(super) fn peers(look: &Look) -> String {
    let mut out = lines(&PEER_COLUMNS, look, |row| &row.present);
    if look.rows.iter().any(|row| !row.carriers.is_empty()) {
        out.push('\n');
        out += &lines(&CARRIER_COLUMNS, look, |row| &row.carriers);
        out.push('\n');
        out += &lines(&CHANNEL_COLUMNS, look, |row| &row.channels);
    }
    out
}

fn lines<const N: usize>(heads: &[&str; N], look: &Look, cells: impl Fn(&Row) -> &[[String; N]]) -> String {
    let rows: Vec<_> = look.rows.iter().flat_map(|row| cells(row).iter().cloned()).collect();
    table(heads, &rows, 2).into_iter().map(|line| line + "\n").collect()
}

/// Lines with the heads first; as many columns stand on the left of theirs as `left` says.
fn table<const N: usize>(heads: &[&str; N], rows: &[[String; N]], left: usize) -> Vec<String> {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([heads[column].len()]).max().unwrap_or_default()
    };
    let widths: Vec<_> = (0..N).map(width).collect();
    let line = |cells: [&str; N]| {
        let mut line = String::new();
        for (column, (cell, width)) in cells.iter().zip(&widths).enumerate() {
            let _ = match column < left {
                true => write!(line, "{cell:<width$}  "),
                false => write!(line, "{cell:>width$}  "),
            };
        }
        line.trim_end().to_owned()
    };
    let rows = rows.iter().map(|row| line(row.each_ref().map(String::as_str)));
    std::iter::once(line(*heads)).chain(rows).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let rows =
            [["a".to_owned(), "ä".to_owned(), "1".to_owned()], ["long".into(), "b".into(), "1,000".into()]];
        assert_eq!(table(&["X", "Y", "Z"], &rows, 2), ["X     Y      Z", "a     ä      1", "long  b  1,000"]);
    }
}
