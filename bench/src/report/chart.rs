//! Charts: horizontal bars from the lowest to the highest subject of each cell, written by hand as SVG.
//! One file for each work and transport; the colours suit light and dark pages.

use super::number::{Spread, short};
use super::results::{Better, CellResult, Kind, Results, Row};
use std::fmt::Write;

/// Name and text of every chart.
pub(super) fn all(results: &Results) -> Vec<(String, String)> {
    let mut charts: Vec<(String, Vec<&CellResult>)> = Vec::new();
    for cell in &results.cells {
        let name = format!("{}-{}.svg", cell.work, cell.transport);
        match charts.iter_mut().find(|chart| chart.0 == name) {
            Some(chart) => chart.1.push(cell),
            None => charts.push((name, vec![cell])),
        }
    }
    charts.into_iter().map(|(name, cells)| (name, svg(results, &cells))).collect()
}

fn svg(results: &Results, cells: &[&CellResult]) -> String {
    let mut body = String::new();
    let mut y = TOP;
    for cell in cells {
        y = panel(&mut body, cell, y);
    }
    let machine = &results.machine;
    let foot = format!(
        "{}; {}, {} CPUs, {}; median and range of {} rounds",
        results.date, machine.cpu, machine.cpus, machine.kernel, results.rounds
    );
    text(&mut body, "quiet", LEFT, y + 4.0, &foot);
    let height = y + 16.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n<style>{STYLE}</style>\n{body}</svg>\n"
    )
}

/// One cell, from `y` downwards. Returns where the next one starts.
fn panel(out: &mut String, cell: &CellResult, y: f64) -> f64 {
    let Some(head) = cell.heads.first() else { return y };
    let better = match head.better {
        Better::Lower => "less is better",
        Better::Higher => "more is better",
    };
    text(out, "title", LEFT, y + 12.0, &cell.title);
    text_right(out, "quiet", WIDTH - RIGHT, y + 12.0, &format!("{}, {better}", head.name));
    let spreads: Vec<&Spread> = cell.rows.iter().filter_map(shown).collect();
    let highest = spreads.iter().map(|spread| spread.highest).fold(0.0, f64::max);
    let scale = if highest > 0.0 { (WIDTH - RIGHT - BARS - VALUE) / highest } else { 0.0 };
    let mut y = y + 20.0;
    for row in &cell.rows {
        text_right(out, "", BARS - 8.0, y + 11.0, &row.subject);
        match shown(row) {
            Some(spread) => bar(out, row.kind, spread, scale, y),
            None => text(out, "quiet", BARS, y + 11.0, "void"),
        }
        y += ROW;
    }
    y + GAP
}

fn shown(row: &Row) -> Option<&Spread> {
    row.spreads.first().filter(|spread| row.void.is_none() && spread.median.is_finite())
}

fn bar(out: &mut String, kind: Kind, spread: &Spread, scale: f64, y: f64) {
    let class = match kind {
        Kind::Limit => "limit",
        Kind::Ours => "ours",
        Kind::Peer => "peer",
    };
    let at = |value: f64| BARS + value * scale;
    let width = (spread.median * scale).max(1.0);
    let (low, high, middle) = (at(spread.lowest), at(spread.highest), y + 7.0);
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "<rect class=\"{class}\" x=\"{BARS}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"14\" rx=\"2\"/>\
         <path class=\"range\" d=\"M{low:.1} {middle}H{high:.1}M{low:.1} {0}v6M{high:.1} {0}v6\"/>",
        middle - 3.0,
    );
    text(out, "", high.max(BARS + width) + 6.0, y + 11.0, &short(spread.median));
}

fn text(out: &mut String, class: &str, x: f64, y: f64, words: &str) {
    let _ = writeln!(out, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", escaped(words));
}

fn text_right(out: &mut String, class: &str, x: f64, y: f64, words: &str) {
    let words = escaped(words);
    let _ =
        writeln!(out, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"end\">{words}</text>");
}

fn escaped(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

const WIDTH: f64 = 720.0;
const LEFT: f64 = 8.0;
const RIGHT: f64 = 8.0;
const TOP: f64 = 8.0;
/// Where the bars begin; the names stand before.
const BARS: f64 = 110.0;
/// Room for the value after the longest bar.
const VALUE: f64 = 60.0;
const ROW: f64 = 18.0;
const GAP: f64 = 16.0;

/// Seen without a style sheet of the page. Dark where the reader asks for it.
const STYLE: &str = "\
text{font:12px system-ui,sans-serif;fill:#24292f}\
.title{font-weight:600}\
.quiet{font-size:11px;fill:#6e7781}\
.limit{fill:#afb8c1}\
.ours{fill:#2f6fbf}\
.peer{fill:#d4b483}\
.range{stroke:#57606a;fill:none}\
@media(prefers-color-scheme:dark){\
text{fill:#d1d7e0}\
.quiet{fill:#9198a1}\
.limit{fill:#59636e}\
.ours{fill:#4c8fe0}\
.peer{fill:#8a713f}\
.range{stroke:#b7bdc8}}";

#[cfg(test)]
mod tests {
    use super::super::results::tests::made_up;
    use super::*;

    #[test]
    fn a_chart_has_a_bar_for_each_subject_that_is_not_void() {
        let charts = all(&made_up());
        let [(name, svg)] = charts.as_slice() else { panic!("one work, one transport, one chart") };
        assert_eq!(name, "push-tcp.svg");
        assert_eq!(svg.matches("<rect").count(), 8, "two cells of four");
        assert_eq!(svg.matches(">void<").count(), 2);
    }

    #[test]
    fn no_figure_is_no_bar() {
        let mut results = made_up();
        results.cells[0].rows[0].spreads = vec![Spread::of(Vec::new())];
        let svg = &all(&results)[0].1;
        assert!(!svg.contains("NaN"));
        assert_eq!(svg.matches("<rect").count(), 7);
    }
}
