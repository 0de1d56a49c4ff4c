//! The commands that are not part of every test run, because they take as long as one lets them.

use crate::house::House;
use crate::run;
use std::process::Command;
use std::time::{Duration, Instant};

/// Each fuzz target, or those named, for `seconds`. True when none of them found anything.
pub(crate) fn fuzz(house: &House, seconds: u64, targets: &[String]) -> Result<bool, String> {
    if !house.has_toolchain("nightly") {
        let install = ["toolchain", "install", "nightly", "--profile", "minimal"];
        obtain(house, "a nightly compiler", &mut house.program("rustup", &install))?;
    }
    if !house.has_cargo_command("fuzz") {
        obtain(house, "cargo-fuzz", &mut house.cargo(&["install", "cargo-fuzz", "--locked"]))?;
    }
    let targets = if targets.is_empty() { fuzz_targets(house)? } else { targets.to_vec() };
    let mut results = Vec::new();
    for target in &targets {
        // New inputs go to the first folder; what is worth keeping is moved by hand.
        let (found, kept) = (format!("fuzz/target/corpus/{target}"), format!("fuzz/corpus/{target}"));
        std::fs::create_dir_all(house.root.join(&found)).map_err(|e| format!("{found}: {e}"))?;
        let time = format!("-max_total_time={seconds}");
        let fuzz = &mut nightly_fuzz(house, &["run", target, &found, &kept, "--", &time]);
        let ended = run::shown(fuzz, never());
        results.push((target, ended.ok));
    }
    println!();
    for (target, ok) in &results {
        println!("{target:<24} {}", if *ok { "found nothing" } else { "FAILED" });
    }
    Ok(results.iter().all(|(_, ok)| *ok))
}

fn fuzz_targets(house: &House) -> Result<Vec<String>, String> {
    let out = nightly_fuzz(house, &["list"]).output().map_err(|e| format!("cargo fuzz list: {e}"))?;
    let names: Vec<_> = String::from_utf8_lossy(&out.stdout).split_whitespace().map(str::to_owned).collect();
    if names.is_empty() {
        return Err(format!("no fuzz targets: {}", String::from_utf8_lossy(&out.stderr).trim()));
    }
    Ok(names)
}

/// Through rustup's cargo, since ours belongs to another toolchain.
fn nightly_fuzz(house: &House, args: &[&str]) -> Command {
    let mut command = house.program("cargo", &["+nightly", "fuzz"]);
    command.args(args);
    command
}

/// `tests/soak/` for `minutes`, optimised.
pub(crate) fn soak(house: &House, minutes: u64) -> bool {
    let mut command =
        house.cargo(&["test", "--release", "-p", "spanwire", "--test", "soak", "--", "--nocapture"]);
    shown(command.env("SPANWIRE_SOAK_SECONDS", (minutes * 60).to_string()))
}

/// Mutants of the pure rules: whatever survives is a line that no test needs.
pub(crate) fn mutants(house: &House, args: &[String]) -> Result<bool, String> {
    if !house.has_cargo_command("mutants") {
        obtain(house, "cargo-mutants", &mut house.cargo(&["install", "cargo-mutants", "--locked"]))?;
    }
    let mut command = house.cargo(&["mutants", "-p", "spanwire-core", "--all-features"]);
    for folder in ["pattern", "session", "framing"] {
        command.args(["--file", &format!("core/src/{folder}/**")]);
    }
    // The scripted effects and the lives are tools of the tests, and no rules.
    command.args(["--exclude", "core/src/pattern/script.rs", "--exclude", "core/src/pattern/sequences/**"]);
    // Nor are the self-checks: without one, nothing else is wrong.
    command.args(["--exclude-re", "check_invariants"]);
    Ok(shown(command.args(args)))
}

/// Installs a tool when that is allowed.
fn obtain(house: &House, what: &str, install: &mut Command) -> Result<(), String> {
    let how = run::words(install);
    if !house.may_install {
        return Err(format!("{what} is missing; {how}"));
    }
    if shown(install) { Ok(()) } else { Err(format!("{what} could not be installed")) }
}

/// Straight to the terminal: these commands have progress displays of their own.
fn shown(command: &mut Command) -> bool {
    println!("$ {}", run::words(command));
    match command.status() {
        Ok(status) => status.success(),
        Err(why) => {
            eprintln!("cannot start it: {why}");
            false
        }
    }
}

fn never() -> Instant {
    Instant::now() + Duration::from_secs(365 * 24 * 3600)
}
