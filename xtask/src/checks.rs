//! What no other program checks: the oldest compiler, and that the core stands without std.

use crate::count::Tally;
use crate::house::House;
use crate::suites::Job;
use std::fs;
use std::path::Path;

/// The arguments for no feature, the default ones, each alone, and all.
pub(crate) fn feature_sets(features: &[String]) -> Vec<Vec<String>> {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let mut sets = vec![words(&["--no-default-features"]), Vec::new()];
    for feature in features {
        sets.push(words(&["--no-default-features", "--features", feature]));
    }
    sets.push(words(&["--all-features"]));
    sets
}

/// The oldest compiler: one number in all our packages, promised by every dependency, and tried
/// out when that compiler is here.
pub(crate) fn msrv(job: &Job) -> Tally {
    let house = job.house;
    let version = |package: &serde_json::Value| package["rust_version"].as_str().map(str::to_owned);
    let Some(oldest) = house.members().find(|member| member["name"] == "spanwire").and_then(version) else {
        return Tally::fail("package spanwire names no rust-version");
    };
    let mut tally = Tally::default();
    for member in house.members() {
        let agrees = version(member).as_ref() == Some(&oldest);
        let why = || format!("{} does not say rust-version {oldest}", member["name"]);
        tally += Tally::check(if agrees { Ok(()) } else { Err(why()) });
    }
    tally += Tally::check(dependencies_are_old_enough(house, &oldest));
    if house.has_toolchain(&oldest) {
        let mut check = house.program("cargo", &[&format!("+{oldest}"), "check", "-p", "spanwire", "--lib"]);
        check.env_remove("RUSTUP_TOOLCHAIN").env("CARGO_TARGET_DIR", house.target.join("msrv"));
        tally += job.exit(check);
    } else {
        tally.skipped.push(format!("Rust {oldest} is not installed: its promise was read, not tried"));
    }
    tally
}

/// Every crate that `spanwire` with its default features is built from promises to compile with `oldest`.
fn dependencies_are_old_enough(house: &House, oldest: &str) -> Result<(), String> {
    let tree = tree(house, &["-p", "spanwire", "-e", "normal,build"])?;
    let (mut too_new, mut seen) = (Vec::new(), 0);
    for package in house.packages() {
        let (name, version) = (package["name"].as_str(), package["version"].as_str());
        let (Some(name), Some(version), Some(wants)) = (name, version, package["rust_version"].as_str())
        else {
            continue;
        };
        let used = tree.iter().any(|line| line == &format!("{name} v{version}"));
        seen += usize::from(used);
        if used && numbers(wants) > numbers(oldest) {
            too_new.push(format!("{name} {version} wants Rust {wants}"));
        }
    }
    if seen == 0 {
        return Err("cargo tree and cargo metadata name no crate in common".to_owned());
    }
    if too_new.is_empty() { Ok(()) } else { Err(format!("{}; we promise {oldest}", too_new.join(", "))) }
}

fn numbers(version: &str) -> Vec<u32> {
    let mut numbers: Vec<u32> = version.split('.').map(|part| part.parse().unwrap_or(0)).collect();
    numbers.resize(3, 0);
    numbers
}

/// The lines `name vX.Y.Z` of a dependency tree, each once.
fn tree(house: &House, args: &[&str]) -> Result<Vec<String>, String> {
    let mut command = house.cargo(&["tree", "--prefix", "none", "--format", "{p}"]);
    let out = command.args(args).output().map_err(|e| format!("cargo tree: {e}"))?;
    if !out.status.success() {
        return Err(format!("cargo tree: {}", String::from_utf8_lossy(&out.stderr).trim()));
    }
    let text = String::from_utf8_lossy(&out.stdout);
    let first_two = |line: &str| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    let mut lines: Vec<_> = text.lines().map(first_two).filter(|line| !line.is_empty()).collect();
    lines.sort();
    lines.dedup();
    Ok(lines)
}

/// The core stands without std.
///
/// A crate can say `#![no_std]` and still bring std in through a dependency, and a target that has
/// no std would have to be downloaded to notice. So a probe does it on the machine's own target: a
/// crate without std that uses the core and defines a panic handler. If anything below it links
/// std, there are two such handlers, and the compiler refuses. That it does refuse is checked too.
pub(crate) fn core(job: &Job) -> Tally {
    let house = job.house;
    let mut tally = Tally::check(core_head(&house.root));
    tally += Tally::check(core_tree(house));
    let features = house.features("spanwire-core");
    for features in [Vec::new(), features] {
        tally += Tally::check(probe(house, &features, false).and_then(|probe| {
            if probe.compiles { Ok(()) } else { Err(format!("with {features:?}: {}", probe.said)) }
        }));
    }
    tally += Tally::check(probe(house, &[], true).and_then(|probe| {
        let refused = !probe.compiles && probe.said.contains("panic_impl");
        if refused { Ok(()) } else { Err(format!("the probe does not notice std: {}", probe.said)) }
    }));
    tally
}

fn core_head(root: &Path) -> Result<(), String> {
    let text =
        fs::read_to_string(root.join("core/src/lib.rs")).map_err(|e| format!("core/src/lib.rs: {e}"))?;
    for attribute in ["#![no_std]", "#![forbid(unsafe_code)]"] {
        if !text.lines().any(|line| line.trim() == attribute) {
            return Err(format!("core/src/lib.rs does not say {attribute}"));
        }
    }
    Ok(())
}

/// Without the feature `ws`, whose three crates know no I/O either: the probe sees that they link no std.
fn core_tree(house: &House) -> Result<(), String> {
    let args = ["-p", "spanwire-core", "--features", "script", "-e", "normal,build"];
    // Buffers and hash tables: neither knows std, nor needs anything itself.
    let known = ["spanwire-core v", "bytes v", "hashbrown v"];
    let others: Vec<_> = tree(house, &args)?
        .into_iter()
        .filter(|line| !known.iter().any(|name| line.starts_with(name)))
        .collect();
    if others.is_empty() {
        Ok(())
    } else {
        Err(format!("the core needs more than bytes and hashbrown: {}", others.join(", ")))
    }
}

struct Probe {
    compiles: bool,
    said: String,
}

/// Compiles a crate without std over the core; `with_std` asks bytes for its std feature.
fn probe(house: &House, features: &[String], with_std: bool) -> Result<Probe, String> {
    let folder = house.target.join("no-std-probe");
    let std = if with_std { "bytes = { version = \"1\", features = [\"std\"] }\n" } else { "" };
    let manifest = format!(
        "[package]\nname = \"no-std-probe\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n\
         spanwire-core = {{ path = {:?}, default-features = false, features = {features:?} }}\n{std}",
        house.root.join("core"),
    );
    let write = || {
        fs::create_dir_all(folder.join("src"))?;
        fs::write(folder.join("Cargo.toml"), manifest)?;
        fs::write(folder.join("src/lib.rs"), PROBE)?;
        // The same versions as ours, so that nothing is fetched.
        fs::copy(house.root.join("Cargo.lock"), folder.join("Cargo.lock"))
    };
    write().map_err(|e| format!("cannot write the probe: {e}"))?;
    let mut check = house.cargo(&["check", "--quiet", "--offline"]);
    check.current_dir(&folder).env("CARGO_TARGET_DIR", &house.target);
    println!(
        "$ {} in {}",
        crate::run::words(&check),
        folder.strip_prefix(&house.root).unwrap_or(&folder).display()
    );
    let out = check.output().map_err(|e| format!("cargo check: {e}"))?;
    Ok(Probe { compiles: out.status.success(), said: String::from_utf8_lossy(&out.stderr).trim().to_owned() })
}

const PROBE: &str = "\
#![no_std]

pub use spanwire_core as _;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feature_sets_are_none_default_each_and_all() {
        let sets = feature_sets(&["ipc".to_owned(), "tcp".to_owned()]);
        let lines: Vec<_> = sets.iter().map(|set| set.join(" ")).collect();
        let each = "--no-default-features --features";
        let expected =
            ["--no-default-features", "", &format!("{each} ipc"), &format!("{each} tcp"), "--all-features"];
        assert_eq!(lines, expected);
    }

    #[test]
    fn versions_compare_as_numbers() {
        assert!(numbers("1.9") < numbers("1.85"));
        assert_eq!(numbers("1.85"), numbers("1.85.0"));
        assert!(numbers("1.85.1") > numbers("1.85"));
    }
}
