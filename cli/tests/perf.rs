//! `spanwire perf` measures between two processes.

use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Output, Stdio};

fn perf(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spanwire"));
    command.arg("perf").args(args).stdin(Stdio::null());
    command
}

/// A local side, and the address that it announces.
fn local(args: &[&str]) -> (Child, BufReader<std::process::ChildStdout>, String) {
    let mut child =
        perf(args).arg("--announce").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut url = String::new();
    output.read_line(&mut url).unwrap();
    (child, output, url.trim().to_owned())
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn assert_sane(figure: &Value, blocking: bool) {
    assert_eq!(figure["blocking"], blocking, "{figure}");
    assert_eq!(figure["size_bytes"], 100);
    let seconds = figure["seconds"].as_f64().unwrap();
    assert!(seconds > 0.0, "{figure}");
    if figure["kind"] == "latency" {
        assert_eq!((&figure["pattern"], &figure["count"]), (&"req".into(), &300.into()));
        let at = |name: &str| figure["round_trip_ns"][name].as_u64().unwrap();
        let rising = ["min", "p50", "p90", "p99", "p99_9", "max"].map(at);
        assert!(rising[0] > 0 && rising.is_sorted(), "{figure}");
        assert!((rising[0]..=rising[5]).contains(&at("mean")), "{figure}");
        let total = at("mean") as f64 * 300.0 / 1e9;
        assert!((total / seconds - 1.0).abs() < 0.01, "the parts are the whole: {figure}");
    } else {
        assert_eq!((&figure["pattern"], &figure["count"]), (&"push".into(), &2_000.into()));
        let rate = |name: &str| figure[name].as_f64().unwrap();
        assert!((rate("messages_per_second") * seconds / 2_000.0 - 1.0).abs() < 0.01, "{figure}");
        assert!((rate("bytes_per_second") / rate("messages_per_second") - 100.0).abs() < 0.01, "{figure}");
    }
}

#[test]
fn a_pair_of_processes_measures_every_transport() {
    for blocking in [false, true] {
        let mut command = perf(&["pair", "--json", "--size", "100", "--trips", "300", "--messages", "2_000"]);
        let output = command.args(blocking.then_some("--blocking")).output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        let figures: Value = serde_json::from_slice(&output.stdout).unwrap();
        let figures = figures.as_array().unwrap();
        let schemes = 1 + usize::from(cfg!(unix)) + usize::from(cfg!(target_os = "linux"));
        let count = |kind: &str| figures.iter().filter(|figure| figure["kind"] == kind).count();
        assert_eq!((count("latency"), count("throughput")), (schemes, schemes));
        for figure in figures {
            assert_sane(figure, blocking);
        }
    }
}

#[test]
fn without_a_subcommand_it_is_the_pair_as_a_table() {
    let output = perf(&["--trips", "50", "--messages", "50", "--url", "tcp://127.0.0.1:0"]).output().unwrap();
    let text = text(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("p99.9") && text.contains("messages/s"), "{text}");
    assert_eq!(text.lines().filter(|line| line.starts_with("  tcp ")).count(), 2, "{text}");
}

#[test]
fn the_sides_have_the_names_and_words_of_nng() {
    for (local_role, remote_role, pattern) in [
        ("local_lat", "remote_lat", "pair1"),
        ("local-lat", "remote-lat", "pair0"),
        ("local_thr", "remote_thr", "pair1"),
        ("local-thr", "remote-thr", "pair0"),
    ] {
        let (mut child, mut rest, url) =
            local(&[local_role, "tcp://127.0.0.1:0", "10", "100", "--pattern", pattern]);
        let remote = perf(&[remote_role, &url, "10", "100", "--pattern", pattern]).output().unwrap();
        assert!(remote.status.success(), "{}", text(&remote));
        let mut said = String::new();
        rest.read_to_string(&mut said).unwrap();
        assert!(child.wait().unwrap().success());
        let figures = format!("{said}{}", text(&remote));
        assert!(figures.contains("message size: 10 [B]"), "{figures}");
        let result = if local_role.ends_with("lat") { "average latency: " } else { "[msg/s]" };
        assert!(figures.contains(result), "{figures}");
    }
}

#[test]
fn sides_that_were_told_different_things_fail_and_say_so() {
    for blocking in [&[] as &[&str], &["--blocking"]] {
        let (child, _, url) = local(&[&["local-lat", "tcp://127.0.0.1:0", "10", "100"], blocking].concat());
        let remote = perf(&["remote-lat", &url, "11", "100"]).output().unwrap();
        assert_eq!(remote.status.code(), Some(1));
        assert!(text(&remote).contains("same pattern, size and count"), "{}", text(&remote));
        let local = child.wait_with_output().unwrap();
        assert_eq!(local.status.code(), Some(1));
        assert!(text(&local).contains("11 bytes came instead of 10"), "{}", text(&local));
    }
}

#[test]
fn what_makes_no_sense_is_a_usage_error() {
    for args in [
        &["pair", "--url", "inproc://x"] as &[&str],
        &["local-lat", "tcp://127.0.0.1:0", "many", "1"],
        &["local-lat", "tcp://127.0.0.1:0", "1", "0"],
        &["local-lat"],
    ] {
        assert_eq!(perf(args).output().unwrap().status.code(), Some(2), "{args:?}");
    }
    let output = perf(&["local-thr", "nonsense", "1", "1"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("tcp://"), "it says how addresses look: {}", text(&output));
}
