//! `spanwire demo` works here, says so in a row for every stop, and notices what it should.

use std::process::{Command, Output};

const PATTERNS: [&str; 9] =
    ["REQ/REP", "PUB/SUB", "PUSH/PULL", "SURVEY", "BUS", "PAIR0", "PAIR1", "PAIR1 poly", "device"];

fn transports() -> Vec<&'static str> {
    let mut transports = vec!["tcp", "inproc", "tls+tcp", "ws", "wss", "quic", "mux+tcp"];
    if cfg!(unix) {
        transports.extend(["ipc", "socketpair"]);
    }
    if cfg!(target_os = "linux") {
        transports.push("abstract");
    }
    transports
}

fn demo(args: &[&str]) -> (Output, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_spanwire")).arg("demo").args(args).output().unwrap();
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    (output, text)
}

/// The row of a stop, without its first two columns.
fn row<'a>(text: &'a str, pattern: &str, transport: &str) -> &'a str {
    let rows: Vec<_> = text
        .lines()
        .filter_map(|line| {
            let row = line.strip_prefix(pattern)?.strip_prefix("  ")?.trim_start();
            // One name may begin another.
            row.strip_prefix(transport)?.strip_prefix(' ')
        })
        .collect();
    assert_eq!(rows.len(), 1, "{pattern} over {transport} in\n{text}");
    rows[0]
}

#[test]
fn every_pattern_works_over_every_transport() {
    let (output, text) = demo(&[]);
    assert!(output.status.success(), "{text}");
    for pattern in PATTERNS {
        for transport in transports() {
            let row = row(&text, pattern, transport);
            assert!(row.ends_with("   ok"), "{row}");
            let messages: u64 = row.split_whitespace().next().unwrap().replace(',', "").parse().unwrap();
            assert!(messages >= 400, "{row}");
        }
    }
    let stops = PATTERNS.len() * transports().len();
    assert_eq!(text.lines().filter(|line| line.ends_with("   ok")).count(), stops);
    assert!(text.contains(&format!("{stops} of {stops} worked:")), "{text}");
    assert!(!text.contains('\x1b') && !text.contains('\r'), "a file is no terminal: {text:?}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn a_connection_that_is_cut_fails_its_stop_and_no_other() {
    let mut stops = vec![("tcp/req", "REQ/REP", "tcp"), ("inproc/bus", "BUS", "inproc")];
    if cfg!(unix) {
        stops.extend([("ipc/pub", "PUB/SUB", "ipc"), ("socketpair/device", "device", "socketpair")]);
    }
    for (sabotage, pattern, transport) in stops {
        let (output, text) = demo(&["--sabotage", sabotage]);
        assert_eq!(output.status.code(), Some(1), "{text}");
        let row = row(&text, pattern, transport);
        assert!(row.contains("FAILED  connection cut after "), "{row}");
        assert!(text.contains(&format!("failed {pattern} over {transport}: connection cut")), "{text}");
        let stops = PATTERNS.len() * transports().len();
        assert!(text.contains(&format!("{} of {stops} worked:", stops - 1)), "{text}");
        assert!(String::from_utf8(output.stderr).unwrap().contains("1 of"), "errors go to standard error");
    }
}

#[test]
fn what_the_demo_does_not_know_is_a_usage_error() {
    let (output, _) = demo(&["--sabotage", "tcp/nothing"]);
    assert_eq!(output.status.code(), Some(2));
}
