//! `cargo xtask bench`: builds the benchmark, and on request the program with the other libraries, which
//! lives in a workspace of its own so that no user ever compiles them.

use crate::house::House;
use crate::{peers, run};
use std::path::PathBuf;
use std::process::Command;

/// The benchmark with its own arguments. `with_peers`: beside the other libraries, as far as they can be
/// built here.
pub(crate) fn bench(house: &House, args: &[String], with_peers: bool) -> bool {
    let mut command = house.cargo(&["run", "--release", "-p", "spanwire-bench", "--"]);
    command.args(args);
    if let Some(program) = with_peers.then(|| build(house)).flatten() {
        command.arg("--peers").arg(program);
    }
    if is_measured_for_keeps(args) {
        command.args(["--runs", "bench/runs"]);
        // A run of everything also has what can be counted.
        if !args.iter().any(|arg| is_word(arg) || arg == "--only") {
            command.arg("--costs");
        }
    }
    succeeds(&mut command)
}

/// The program with the other libraries, if it was built.
pub(crate) fn peer_program(house: &House) -> Option<PathBuf> {
    Some(target(house).join("release/spanwire-peer")).filter(|program| program.is_file())
}

/// Where the other libraries are built: beside our own artefacts, not among them.
fn target(house: &House) -> PathBuf {
    house.target.join("bench-peers")
}

/// Builds it. Says what is missing, and goes on with what is there.
fn build(house: &House) -> Option<PathBuf> {
    if !house.root.join(MANIFEST).exists() {
        println!("there is no {MANIFEST}: measuring without peers");
        return None;
    }
    peers::install_for_bench(house);
    if try_build(house, &["default"]) {
        return peer_program(house);
    }
    println!("the peers do not build together; trying one after the other");
    let mut good = Vec::new();
    for feature in FEATURES {
        good.push(*feature);
        if !try_build(house, &good) {
            good.pop();
            println!("{feature} does not build here and is left out");
        }
    }
    // The last attempt may have been one that failed.
    if try_build(house, &good) {
        return peer_program(house);
    }
    println!("no peer could be built: measuring without them");
    None
}

fn try_build(house: &House, features: &[&str]) -> bool {
    let mut build = house.cargo(&["build", "--release", "--locked", "--manifest-path", MANIFEST]);
    build.arg("--target-dir").arg(target(house));
    succeeds(build.args(["--no-default-features", "--features", &features.join(",")]))
}

fn succeeds(command: &mut Command) -> bool {
    println!("$ {}", run::words(command));
    command.status().is_ok_and(|status| status.success())
}

/// Whether something is measured that nobody wants somewhere else.
fn is_measured_for_keeps(args: &[String]) -> bool {
    let elsewhere = |arg: &String| {
        let name = arg.split('=').next().unwrap_or_default();
        ELSEWHERE.contains(&name)
    };
    !args.iter().any(elsewhere)
}

/// Words are the arguments that are no option and no value of one.
fn is_word(arg: &str) -> bool {
    !arg.starts_with('-') && !arg.starts_with(|c: char| c.is_ascii_digit())
}

/// The workspace of the other libraries.
pub(crate) const MANIFEST: &str = "bench/peers/Cargo.toml";

/// The peers that are compiled; the others are loaded when the program runs.
const FEATURES: &[&str] = &["nng", "rzmq", "zeromq", "zenoh", "nats", "mux"];

/// With these nothing is written, or the caller says where.
const ELSEWHERE: &[&str] = &[
    "--out",
    "--runs",
    "--json",
    "--list",
    "--help",
    "-h",
    "--syscalls",
    "--instructions",
    "--report",
    "smoke",
    "bounds",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_measured_is_kept() {
        let args = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert!(is_measured_for_keeps(&args("push,tcp --rounds 3")));
        assert!(!is_measured_for_keeps(&args("push --out=x")));
        assert!(!is_measured_for_keeps(&args("smoke")));
        assert!(args("--rounds 3 --quick").iter().all(|arg| !is_word(arg)));
        assert!(args("--rounds 3 push").iter().any(|arg| is_word(arg)));
    }
}
