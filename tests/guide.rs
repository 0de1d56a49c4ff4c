//! What the documents list is what there is: options, reasons, headings.

use spanwire::watch::SERIES;
use spanwire::{Dropped, Latency};
use std::collections::BTreeSet;
use std::fs;

/// Where the options are, what they are called there, and the heading of their table.
const OPTIONS: &[(&str, &str, &str)] = &[
    ("core/src/options.rs", "Options", "Options"),
    ("src/options.rs", "DialOptions", "DialOptions"),
    ("src/options.rs", "ListenOptions", "ListenOptions"),
    ("src/options.rs", "WsDialOptions", "WsDialOptions"),
    ("src/options.rs", "WsListenOptions", "WsListenOptions"),
    ("src/options.rs", "QuicOptions", "QuicOptions"),
    ("core/src/link/options.rs", "LinkOptions", "LinkOptions"),
    ("src/link/host.rs", "HostOptions", "HostOptions"),
    ("src/link/server.rs", "ServerOptions", "ServerOptions"),
    ("core/src/options/mux.rs", "MuxOptions", "MuxOptions"),
    ("core/src/mux/pool/options.rs", "PoolOptions", "PoolBounds"),
    ("src/mux/logical.rs", "LogicalOptions", "LogicalOptions"),
    ("src/mux/server.rs", "ServerOptions", "mux::ServerOptions"),
    ("core/src/mux/tagged/options.rs", "TaggedOptions", "TaggedOptions"),
];

#[test]
fn every_option_has_its_row_in_the_guide() {
    let guide = read("GUIDE.md");
    for (file, name, heading) in OPTIONS {
        let fields = public_fields(&read(file), name);
        assert!(!fields.is_empty(), "{file} has no struct {name} with public fields");
        assert_eq!(rows(section(&guide, &format!("### `{heading}`"))), fields, "the table of {heading}");
    }
}

#[test]
fn every_reason_for_a_drop_has_its_row_in_the_guide() {
    let guide = read("GUIDE.md");
    let reasons: BTreeSet<_> = Dropped::ALL.iter().map(|why| format!("{why:?}")).collect();
    assert!(rows(section(&guide, "## Reliability")).is_superset(&reasons));
}

#[test]
fn every_series_and_every_latency_has_its_row_in_the_guide() {
    let guide = read("GUIDE.md");
    let series = SERIES.iter().map(|series| series.full_name().to_string());
    let latencies = Latency::ALL.iter().map(|what| what.name().to_string());
    assert_eq!(rows(section(&guide, "### Latencies and series")), series.chain(latencies).collect());
}

#[test]
fn every_link_inside_the_documents_leads_somewhere() {
    for file in ["README.md", "GUIDE.md", "ARCHITECTURE.md"] {
        for link in links(&read(file)) {
            let (target, heading) = link.split_once('#').unwrap_or((&link, ""));
            let target = if target.is_empty() { file } else { target };
            assert!(fs::exists(target).unwrap(), "{file} links to {link}");
            if !heading.is_empty() {
                assert!(anchors(&read(target)).contains(heading), "{file} links to {link}");
            }
        }
    }
}

#[test]
fn fork_has_a_heading_of_its_own() {
    assert!(anchors(&read("GUIDE.md")).contains("fork"));
}

#[test]
fn a_missing_row_is_noticed() {
    let source = "/// A.\npub struct Options {\n    /// Unit.\n    pub known: u8,\n    pub new: Option<u8>,\n}\npub struct Other {\n    pub x: u8,\n}\n";
    let guide =
        "### `Options`: x\n\n| field | default |\n| --- | --- |\n| `known` | 1 |\n## Next\n| `new` | 2 |\n";
    assert_eq!(public_fields(source, "Options"), set(&["known", "new"]));
    assert_eq!(rows(section(guide, "### `Options`")), set(&["known"]));
}

#[test]
fn headings_become_anchors() {
    let found = anchors("# All: of `it`\n```text\n# no heading\n```\n## Push-and-pull\n");
    assert_eq!(found, set(&["all-of-it", "push-and-pull"]));
    assert_eq!(
        links("[a](b#c), `[d](e)`\n```rust\n[f](g)\n```\n[h](https://i)"),
        ["b#c".to_string()],
        "neither code nor other sites"
    );
}

fn read(file: &str) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_string()).collect()
}

/// The names of the public fields of a struct, as the house writes structs: one field a line.
fn public_fields(source: &str, name: &str) -> BTreeSet<String> {
    let start = format!("pub struct {name} {{");
    let inside = source.lines().skip_while(|line| *line != start).skip(1).take_while(|line| *line != "}");
    let fields = inside.filter_map(|line| line.trim().strip_prefix("pub ")?.split_once(':'));
    fields.map(|(field, _)| field.to_string()).collect()
}

/// What stands between a heading that begins like this and the next of its level or above.
fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let level = heading.split(' ').next().unwrap_or_default();
    let start = text.find(&format!("\n{heading}")).or(text.starts_with(heading).then_some(0));
    let body = &text[start.unwrap_or_else(|| panic!("no heading {heading}")) + heading.len()..];
    let ends = (1..=level.len()).filter_map(|depth| body.find(&format!("\n{} ", "#".repeat(depth))));
    &body[..ends.min().unwrap_or(body.len())]
}

/// The names in the first column of every table.
fn rows(text: &str) -> BTreeSet<String> {
    let names = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    names.map(|(name, _)| name.to_string()).collect()
}

/// The lines of a document that are no code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut code = false;
    text.lines().filter(move |line| {
        let fence = line.starts_with("```");
        code ^= fence;
        !code && !fence
    })
}

/// What links lead to the headings, as forges make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text).filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let name = heading.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
        name.chars().filter(|sign| sign.is_alphanumeric() || "-_".contains(*sign)).collect()
    };
    headings.map(anchor).collect()
}

/// Where a document links to, other sites left out.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in prose(text) {
        // What stands between backticks is no link.
        let words: String = line.split('`').step_by(2).collect();
        let targets = words.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0.to_string()));
        found.extend(targets.filter(|target| !target.contains("://")));
    }
    found
}
