//! The shape of the tree, checked by reading it.
//!
//! | what holds | where it is written |
//! | --- | --- |
//! | each layer uses those below it, never those above | [`LAYERS`] |
//! | the rules know no std, no tokio and no unsafe | `rules_touch_nothing` |
//! | unsafe stands in at most one file, named after its system call | `unsafe_has_one_file` |
//! | only `src/rt` spawns, sleeps or looks for a runtime | `only_rt_spawns_and_sleeps` |
//! | no test sleeps | `no_test_sleeps` |
//! | every fault that we promise to survive has its test | `architecture/faults.rs` |
//!
//! Each check is a function over files and has a test of its own that hands it a made-up bad line, so
//! that a check which sees nothing is noticed.

#[path = "architecture/faults.rs"]
mod faults;
#[path = "architecture/paths.rs"]
mod paths;
#[path = "architecture/source.rs"]
mod source;

use paths::{Path, paths};
use source::{File, Token, read_tree};
use std::collections::BTreeMap;

/// The layers from the ground up. Rules are modules of the core, hands those of the library; a
/// module may use its own layer and those before it in this table. A new module goes into a row here.
const LAYERS: &[Layer] = &[
    Layer {
        name: "ground",
        rules: &["message", "time", "error", "options", "histogram", "event", "priority"],
        hands: &["rt", "hub"],
    },
    // The errors of dialing and listening say what is wrong with an address, so they stand beside it; and
    // their options may name a transport.
    Layer {
        name: "transport",
        rules: &["addr", "framing"],
        hands: &["error", "options", "tls", "trace", "transport"],
    },
    Layer { name: "session", rules: &["session"], hands: &["session"] },
    // The table of endpoints stands here: a connection of ours is dialled through it, and runs over what it
    // finds; and an address may lead to a channel of such a connection.
    Layer { name: "mux", rules: &["mux"], hands: &["mux", "endpoint"] },
    Layer {
        name: "pattern",
        // Plain connections stand beside the patterns: what programs use, on the same table of endpoints.
        rules: &["pattern", "snapshot", "link"],
        hands: &["socket", "link", "device", "blocking"],
    },
    Layer { name: "systems", rules: &["broker", "node", "watch"], hands: &["broker", "node", "watch"] },
];

struct Layer {
    name: &'static str,
    rules: &'static [&'static str],
    hands: &'static [&'static str],
}

#[derive(Copy, Clone, PartialEq, Eq)]
enum Side {
    Rules,
    Hands,
}

impl Side {
    /// How high a module stands.
    fn rank(self, module: &str) -> Option<usize> {
        LAYERS.iter().position(|layer| match self {
            Self::Rules => layer.rules.contains(&module),
            Self::Hands => layer.hands.contains(&module),
        })
    }

    /// The side and module that a path leads to, from a file of this side. `None`: out of our tree.
    fn leads_to(self, path: &Path) -> Option<(Self, &[String])> {
        match path.segments.first()?.as_str() {
            "crate" => Some((self, &path.segments[1..])),
            CORE_CRATE => Some((Self::Rules, &path.segments[1..])),
            _ => None,
        }
    }
}

/// What the roots of both crates re-export: the name, and where it comes from.
struct Roots {
    rules: BTreeMap<String, Path>,
    hands: BTreeMap<String, Path>,
}

impl Roots {
    fn of(rules: &[File], hands: &[File]) -> Self {
        let names = |files: &[File]| {
            let root = files.iter().filter(|file| file.module.is_empty());
            let names = root.flat_map(|file| paths(&file.code, &file.module)).filter(|path| path.is_use);
            names.map(|path| (path.name.clone(), path)).collect()
        };
        Self { rules: names(rules), hands: names(hands) }
    }

    /// How high the thing stands that `path` names, or what is wrong with the path.
    fn rank(&self, side: Side, path: &Path) -> Result<Option<usize>, String> {
        let Some((side, rest)) = side.leads_to(path) else { return Ok(None) };
        let Some(first) = rest.first() else { return Err("names a whole crate instead of a module".into()) };
        if let Some(rank) = side.rank(first) {
            return Ok(Some(rank));
        }
        let names = if side == Side::Rules { &self.rules } else { &self.hands };
        match names.get(first) {
            // In a root file, a path without `crate` starts at the root's own modules.
            Some(from) => match side.rank(&from.segments[0]) {
                Some(rank) => Ok(Some(rank)),
                None if from.segments == path.segments => Err(format!("{first} leads to itself")),
                None => self.rank(side, from),
            },
            None => Err(format!("{first} has no layer; give it one in tests/architecture.rs")),
        }
    }
}

/// Every use of a higher layer by a lower one.
fn layering(side: Side, files: &[File], roots: &Roots) -> Vec<String> {
    let mut wrong = Vec::new();
    for file in files {
        // The root lists its modules and re-exports from all layers.
        let Some(module) = file.module.first() else { continue };
        let Some(own) = side.rank(module) else {
            wrong.push(format!("{}: {module} has no layer; give it one in tests/architecture.rs", file.path));
            continue;
        };
        for path in paths(&file.code, &file.module) {
            let place = format!("{}:{}: {}", file.path, path.line, path.segments.join("::"));
            match roots.rank(side, &path) {
                Err(why) => wrong.push(format!("{place}: {why}")),
                Ok(Some(other)) if other > own => wrong.push(format!(
                    "{place}: {} is below {} and must not use it",
                    LAYERS[own].name, LAYERS[other].name
                )),
                Ok(_) => {}
            }
        }
    }
    wrong
}

#[test]
fn each_layer_uses_only_those_below() {
    let (rules, hands) = (read_tree("core/src"), read_tree("src"));
    let roots = Roots::of(&rules, &hands);
    none(layering(Side::Rules, &rules, &roots));
    none(layering(Side::Hands, &hands, &roots));
}

#[test]
fn a_use_of_a_higher_layer_is_noticed() {
    let core_root = File::new("core/src/lib.rs", "pub mod session; pub use session::state::Session;");
    let root =
        File::new("src/lib.rs", "pub mod socket; pub use socket::Core; pub use spanwire_core::pattern;");
    let roots = Roots::of(&[core_root], &[root]);
    let wrong = |side, path, text| layering(side, &[File::new(path, text)], &roots).len();

    let tcp = "src/transport/tcp.rs";
    for bad in [
        "use crate::socket::Core;",
        "use crate::{rt, socket};",
        "use crate::Core;",
        "fn f() { crate::session::driver::run() }",
        "use super::super::socket;",
        "use spanwire_core::session::state::State;",
        "use spanwire_core::Session;",
        "use crate::pattern::Push;",
        "use crate::nowhere::Thing;",
        "use spanwire_core as rules;",
    ] {
        assert_eq!(wrong(Side::Hands, tcp, bad), 1, "{bad}");
    }
    for good in [
        "use crate::rt::spawn; use super::stream; use crate::transport::Stream;",
        "use spanwire_core::framing::sp; use spanwire_core::message::Message;",
        "// use crate::socket::Core;\nconst S: &str = \"use crate::socket;\";",
        "#[cfg(test)] mod tests { use crate::socket::Core; }",
        "use std::io; use socket::local; fn f(crate_: u8) {}",
    ] {
        assert_eq!(wrong(Side::Hands, tcp, good), 0, "{good}");
    }
    assert_eq!(wrong(Side::Rules, "core/src/framing/sp.rs", "use crate::session::outbox;"), 1);
    assert_eq!(wrong(Side::Rules, "core/src/session/state.rs", "use crate::framing::sp;"), 0);
    assert_eq!(wrong(Side::Rules, "core/src/misc.rs", ""), 1, "a module without a layer");
}

/// Every way out of the rules into the world.
fn world_in_rules(files: &[File]) -> Vec<String> {
    let mut wrong = Vec::new();
    for file in files {
        for path in paths(&file.code, &file.module) {
            if matches!(path.segments[0].as_str(), "std" | "tokio") {
                wrong.push(format!("{}:{}: {}", file.path, path.line, path.segments.join("::")));
            }
        }
        wrong.extend(unsafe_lines(file).map(|line| format!("{}:{line}: unsafe", file.path)));
    }
    wrong
}

#[test]
fn rules_touch_nothing() {
    none(world_in_rules(&read_tree("core/src")));
}

#[test]
fn a_rule_that_touches_the_world_is_noticed() {
    let wrong = |text| world_in_rules(&[File::new("core/src/time.rs", text)]).len();
    for bad in [
        "use std::time::Instant;",
        "use {core::fmt, std::io};",
        "fn f() { ::std::process::exit(1) }",
        "extern crate std;",
        "use tokio::spawn;",
        "fn f() { unsafe { g() } }",
        "#[cfg(test)] mod tests { unsafe fn g() {} }",
    ] {
        assert_eq!(wrong(bad), 1, "{bad}");
    }
    for good in
        ["use core::time::Duration;", "#[cfg(test)] mod tests { use std::vec; }", "//! std::io, unsafe\n"]
    {
        assert_eq!(wrong(good), 0, "{good}");
    }
}

/// Why the unsafe code among `files` is not in one file named after its system call.
fn stray_unsafe(files: &[File]) -> Vec<String> {
    let with: Vec<_> = files.iter().filter(|file| unsafe_lines(file).next().is_some()).collect();
    let mut wrong: Vec<_> =
        with.iter().skip(1).map(|file| format!("{}: a second file with unsafe", file.path)).collect();
    for file in with {
        let name = file.module.last().map_or("", String::as_str);
        if !file.all.windows(2).any(|pair| pair[0].text == name && pair[1].text == "(") {
            wrong.push(format!("{}: has unsafe, but is not named after a call in it", file.path));
        }
    }
    wrong
}

fn unsafe_lines(file: &File) -> impl Iterator<Item = usize> {
    file.all.iter().filter(|token| token.text == "unsafe").map(|token| token.line)
}

#[test]
fn unsafe_has_one_file() {
    let files = read_tree("src");
    none(stray_unsafe(&files));
    // A library that is more than its first line says so itself, so that the compiler keeps it too.
    let denies = |file: &File| {
        file.all.windows(3).any(|t| t.iter().map(|t| &*t.text).eq(["deny", "(", "unsafe_code"]))
    };
    assert!(files.len() == 1 || files.iter().any(denies), "src/lib.rs does not say #![deny(unsafe_code)]");
}

#[test]
fn stray_unsafe_is_noticed() {
    let good = || File::new("src/transport/recvmsg.rs", "fn f() { unsafe { libc::recvmsg(1) } }");
    assert!(stray_unsafe(&[good()]).is_empty());
    assert_eq!(
        stray_unsafe(&[File::new("src/transport/udp.rs", "fn f() { unsafe { libc::recvmsg(1) } }")]).len(),
        1
    );
    let second = File::new("src/transport/sendmsg.rs", "fn f() { unsafe { libc::sendmsg(1) } }");
    assert_eq!(stray_unsafe(&[good(), second]).len(), 1);
}

/// Every place outside `src/rt` that spawns, sleeps or looks for a runtime.
fn spawns(files: &[File]) -> Vec<String> {
    let outside =
        files.iter().filter(|file| file.module.first().is_none_or(|module| !module.starts_with("rt")));
    let mut wrong = Vec::new();
    for file in outside {
        for path in paths(&file.code, &file.module) {
            let two = |pair: &[String]| ONLY_IN_RT.contains(&(pair[0].as_str(), pair[1].as_str()));
            if path.segments.windows(2).any(two) {
                wrong.push(format!("{}:{}: {}", file.path, path.line, path.segments.join("::")));
            }
        }
    }
    wrong
}

const ONLY_IN_RT: &[(&str, &str)] = &[
    ("tokio", "spawn"),
    ("tokio", "time"),
    ("tokio", "runtime"),
    ("task", "spawn"),
    ("task", "spawn_blocking"),
    ("task", "spawn_local"),
    ("task", "JoinSet"),
    ("thread", "spawn"),
    ("thread", "scope"),
    ("thread", "Builder"),
    ("thread", "sleep"),
];

#[test]
fn only_rt_spawns_and_sleeps() {
    none(spawns(&read_tree("src")));
}

#[test]
fn a_spawn_outside_rt_is_noticed() {
    let found = |path, text| spawns(&[File::new(path, text)]).len();
    for bad in [
        "fn f() { tokio::spawn(g()); }",
        "use std::thread; fn f() { thread::spawn(g); }",
        "use tokio::{io, time};",
        "use tokio::time::sleep;",
        "fn f() { tokio::task::spawn_blocking(g); }",
        "fn f() { tokio::runtime::Handle::current(); }",
    ] {
        assert_eq!(found("src/session/driver.rs", bad), 1, "{bad}");
        assert_eq!(found("src/rt.rs", bad), 0, "{bad}");
        assert_eq!(found("src/rt/thread.rs", bad), 0, "{bad}");
    }
    assert_eq!(found("src/session/driver.rs", "#[cfg(test)] mod tests { use tokio::spawn; }"), 0);
    assert_eq!(
        found("src/session/driver.rs", "use crate::rt::spawn; use std::time::Duration; use std::thread;"),
        0
    );
}

/// The lines of every call in `tokens` that waits for time to pass.
fn naps(tokens: &[Token]) -> impl Iterator<Item = usize> {
    let calls = tokens.windows(2).filter(|pair| NAPS.contains(&pair[0].text.as_str()) && pair[1].text == "(");
    calls.map(|pair| pair[0].line)
}

const NAPS: &[&str] = &["sleep", "sleep_ms", "sleep_until"];

#[test]
fn no_test_sleeps() {
    let mut wrong = Vec::new();
    for folder in ["tests", "core/tests", "cli/tests", "bench/tests", "fuzz"] {
        for file in read_tree(folder) {
            wrong.extend(naps(&file.all).map(|line| format!("{}:{line}", file.path)));
        }
    }
    for folder in ["src", "core/src", "cli/src", "bench/src", "xtask/src"] {
        for file in read_tree(folder) {
            wrong.extend(naps(&file.tests).map(|line| format!("{}:{line}", file.path)));
        }
    }
    none(wrong);
}

#[test]
fn a_sleep_in_a_test_is_noticed() {
    let text = "fn f() { sleep(1) }\n#[cfg(test)]\nmod tests { fn f() { thread::sleep(2); sleep_until(3) } }";
    let file = File::new("src/rt.rs", text);
    assert_eq!(naps(&file.tests).collect::<Vec<_>>(), [3, 3]);
    assert_eq!(naps(&file.all).count(), 3);
}

/// The faults of the list without a test of that name in `files`.
fn untested_faults(files: &[File]) -> Vec<String> {
    let tests: Vec<_> = files.iter().flat_map(|file| source::test_functions(&file.all)).collect();
    let missing = faults::FAULTS.iter().filter(|(_, test)| !tests.iter().any(|name| name == test));
    missing.map(|(fault, test)| format!("{fault}: no test called {test}")).collect()
}

#[test]
fn every_fault_has_its_test() {
    let mut files = read_tree("tests");
    let places = ["tests/faults.rs", "tests/faults/", "tests/links/"];
    files.retain(|file| places.iter().any(|place| file.path.starts_with(place)));
    if files.is_empty() && !faults::REQUIRED {
        return;
    }
    none(untested_faults(&files));
}

#[test]
fn a_fault_without_a_test_is_noticed() {
    let all: String = faults::FAULTS.iter().map(|(_, test)| format!("#[test]\nfn {test}() {{}}\n")).collect();
    let file = |text: &str| vec![File::new("tests/faults.rs", text)];
    assert!(untested_faults(&file(&all)).is_empty());
    assert_eq!(untested_faults(&file(&all.replacen("#[test]", "", 1))).len(), 1, "a function is no test");
    assert_eq!(untested_faults(&file(&all.replacen("#[test]", "#[test] #[ignore]", 1))).len(), 1);
    assert_eq!(untested_faults(&file(&all.replacen("#[test]\nfn", "#[tokio::test]\nasync fn", 1))), [""; 0]);
    let mut names: Vec<_> = faults::FAULTS.iter().map(|(_, test)| test).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), faults::FAULTS.len(), "two faults share a test");
}

#[track_caller]
fn none(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

const CORE_CRATE: &str = "spanwire_core";
