//! The table of `cargo xtask test`: one row for each suite.
//!
//! A row says what it is, how long it may take, whether it may be absent, and how it runs and counts.
//! All suites share one target directory and ask for the same packages and features wherever they can
//! (`--workspace --all-features`), so that nothing is compiled twice; only loom, whose flag changes
//! every crate, has a directory of its own.
//!
//! What tests find in their environment:
//!
//! | variable | meaning |
//! | --- | --- |
//! | `SPANWIRE_REQUIRE_PEERS` | `1`: a missing peer is a failure |
//! | `SPANWIRE_PYTHON` | a Python that can import pynng; unset when there is none |
//! | `SPANWIRE_NNG` | the shared library of NNG 1.12; unset when there is none |
//! | `SPANWIRE_SOAK_SECONDS` | how long `tests/soak/` goes on |

use crate::bench;
use crate::checks;
use crate::count::{self, Tally};
use crate::exposed;
use crate::house::{House, Target};
use crate::peers;
use crate::run;
use std::process::Command;
use std::time::Instant;

/// One row.
pub(crate) struct Suite {
    /// What `--only` calls it.
    pub(crate) name: &'static str,
    /// What it shows, in a line.
    pub(crate) what: &'static str,
    /// Its absence is a failure. False only while what it runs is still being written.
    pub(crate) required: bool,
    /// After this time it is killed and has failed.
    pub(crate) minutes: u64,
    /// Runs it. `None`: there is nothing to run yet.
    pub(crate) run: fn(&Job) -> Option<Tally>,
}

/// Every suite, in the order in which they run: what fails fast comes first.
pub(crate) const ALL: &[&Suite] = &[
    &PEERS,
    &FORMAT,
    &CLIPPY,
    &FEATURES,
    &CORE,
    &MSRV,
    &TESTS,
    &DOCTESTS,
    &EXAMPLES,
    &INTEROP,
    &CLI,
    &JAVASCRIPT,
    &BROWSER,
    &FUZZ,
    &SOAK,
    &LOOM,
    &BENCH,
    &COUNTS,
    &RUSTDOC,
    &DENY,
];

/// The foreign programs and libraries, installed first when that is allowed.
pub(crate) const PEERS: Suite = Suite {
    name: "peers",
    what: "the foreign programs and libraries are installed",
    required: true,
    minutes: 10,
    run: |job| Some(peers::install(job.house)),
};

const FORMAT: Suite = Suite {
    name: "format",
    what: "cargo fmt has nothing to change",
    required: true,
    minutes: 2,
    run: |job| {
        let mut tally = job.exit(job.house.cargo(&["fmt", "--all", "--check"]));
        if job.house.root.join(FUZZ_MANIFEST).exists() {
            tally += job.exit(job.house.cargo(&["fmt", "--manifest-path", FUZZ_MANIFEST, "--check"]));
        }
        if job.house.root.join(bench::MANIFEST).exists() {
            tally += job.exit(job.house.cargo(&["fmt", "--manifest-path", bench::MANIFEST, "--check"]));
        }
        Some(tally)
    },
};

const CLIPPY: Suite = Suite {
    name: "clippy",
    what: "clippy has nothing to say about any target, warnings denied",
    required: true,
    minutes: 10,
    run: |job| {
        let all = ["clippy", "--workspace", "--all-targets", "--all-features", "--", "-Dwarnings"];
        let mut tally = job.exit(job.house.cargo(&all));
        if job.house.root.join(FUZZ_MANIFEST).exists() {
            let fuzz = ["clippy", "--manifest-path", FUZZ_MANIFEST, "--all-targets", "--", "-Dwarnings"];
            tally += job.exit(shared_target(job.house, job.house.cargo(&fuzz)));
        }
        Some(tally)
    },
};

const FEATURES: Suite = Suite {
    name: "features",
    what: "both libraries compile with no feature, the default ones, each alone, and all",
    required: true,
    minutes: 10,
    run: |job| {
        let mut tally = Tally::default();
        for package in ["spanwire", "spanwire-core"] {
            for features in checks::feature_sets(&job.house.features(package)) {
                let mut command = job.house.cargo(&["clippy", "-p", package, "--lib"]);
                tally += job.exit(command.args(features).args(["--", "-Dwarnings"]));
            }
        }
        Some(tally)
    },
};

const CORE: Suite = Suite {
    name: "core",
    what: "the core stands without std, and needs only buffers and hash tables",
    required: true,
    minutes: 3,
    run: |job| Some(checks::core(job)),
};

const MSRV: Suite = Suite {
    name: "msrv",
    what: "one oldest compiler, in every package and every dependency",
    required: true,
    minutes: 6,
    run: |job| Some(checks::msrv(job)),
};

const TESTS: Suite = Suite {
    name: "tests",
    what: "unit, property, conformance, fault and behaviour tests",
    required: true,
    minutes: 12,
    run: |job| {
        let house = job.house;
        let nextest = house.has_cargo_command("nextest");
        let runner: &[&str] = if nextest { &["nextest", "run"] } else { &["test"] };
        let mut command = house.cargo(runner);
        command.args(["--workspace", "--all-features", "--no-fail-fast", "--lib", "--bins"]);
        for (package, test) in house.targets(Target::Test) {
            if !has_a_row(&package, &test) {
                command.args(["--test", &test]);
            }
        }
        Some(job.tests(&mut command))
    },
};

const DOCTESTS: Suite = Suite {
    name: "doctests",
    what: "the examples in the documentation compile and run",
    required: true,
    minutes: 6,
    run: |job| Some(job.tests(&mut workspace_test(job.house, &["--doc"]))),
};

const EXAMPLES: Suite = Suite {
    name: "examples",
    what: "every program in examples/ ends by itself with status 0, and shows its sockets or pools where it can",
    required: true,
    minutes: 6,
    run: |job| {
        let examples = job.house.targets(Target::Example);
        if examples.is_empty() {
            return None;
        }
        let build = ["build", "--workspace", "--all-features", "--examples"];
        let mut tally = job.exit(job.house.cargo(&build));
        for (_, example) in examples {
            let program = job.house.target.join("debug/examples").join(&example);
            tally += job.exit(job.house.program(&program, &[]));
            if exposed::is_offered(job.house, &example) {
                tally +=
                    Tally::check(exposed::look(job.house.program(program, &exposed::ARGS), job.deadline));
            }
        }
        Some(tally)
    },
};

/// The matrix of patterns, transports, foreign libraries, roles and directions.
pub(crate) const INTEROP: Suite = Suite {
    name: "interop",
    what: "every pattern with every foreign library, both roles, both directions",
    required: true,
    minutes: 10,
    run: |job| {
        let there = job.house.has_test("interop");
        let test = ["--no-fail-fast", "--test", "interop", "--", "--nocapture"];
        there.then(|| job.matrix(&mut workspace_test(job.house, &test)))
    },
};

/// Our command beside the foreign ones.
pub(crate) const CLI: Suite = Suite {
    name: "cli",
    what: "the command does what nngcat and nanocat do, and its own things",
    required: true,
    minutes: 10,
    run: |job| {
        let mut command = workspace_test(job.house, &["--no-fail-fast"]);
        let mut there = false;
        for (package, test) in job.house.targets(Target::Test) {
            if package == CLI_PACKAGE {
                there = true;
                command.args(["--test", &test]);
            }
        }
        command.args(["--", "--nocapture"]);
        there.then(|| job.tests(&mut command))
    },
};

/// Node runs the unit tests and nothing else does anything with it, so its absence is that of a peer.
const JAVASCRIPT: Suite = Suite {
    name: "javascript",
    what: "the JavaScript client: its rules, its sockets over a fake WebSocket, its types",
    required: true,
    minutes: 4,
    run: |job| {
        let folder = job.house.root.join(JAVASCRIPT_CLIENT);
        if !folder.exists() {
            return None;
        }
        let mut tally = Tally::default();
        if peers::on_path("node") {
            let mut node = job.house.program("node", &["--test", "--test-reporter=tap"]);
            tally += job.counted(node.current_dir(&folder), count::node);
        } else {
            tally += Tally::without_peer("node is missing: the JavaScript client was not tested");
        }
        if peers::on_path("tsc") {
            let mut tsc = job.house.program("tsc", &["--project", "tsconfig.json"]);
            tally += job.exit(tsc.current_dir(&folder));
        } else {
            tally +=
                Tally::without_peer("tsc is missing: the types of the JavaScript client were not checked");
        }
        Some(tally)
    },
};

/// The JavaScript client in Chromium, against our sockets.
const BROWSER: Suite = Suite {
    name: "browser",
    what: "a real browser: every pattern of the JavaScript client, and what goes wrong",
    required: true,
    minutes: 8,
    run: |job| {
        let there = job.house.has_test("browser");
        let test = ["--test", "browser", "--", "--nocapture"];
        there.then(|| job.matrix(&mut workspace_test(job.house, &test)))
    },
};

const FUZZ: Suite = Suite {
    name: "fuzz",
    what: "every fuzz target over its corpus and a bounded number of mutations, on stable",
    required: true,
    minutes: 5,
    run: |job| {
        let house = job.house;
        if !house.root.join(FUZZ_MANIFEST).exists() {
            return None;
        }
        let test =
            ["test", "--manifest-path", FUZZ_MANIFEST, "--no-fail-fast", "--tests", "--", "--nocapture"];
        let mut tally = job.tests(&mut shared_target(house, house.cargo(&test)));
        let targets = std::fs::read_dir(house.root.join("fuzz/fuzz_targets")).map_or(0, Iterator::count);
        if tally.ran() < targets as u64 {
            tally.problems.push(format!("{targets} targets, but only {} replays", tally.ran()));
        }
        Some(tally)
    },
};

const SOAK: Suite = Suite {
    name: "soak",
    what: "the short form of cargo xtask soak",
    required: true,
    minutes: 4,
    run: |job| {
        let there = job.house.has_test("soak");
        let mut command = workspace_test(job.house, &["--test", "soak", "--", "--nocapture"]);
        there.then(|| job.tests(command.env("SPANWIRE_SOAK_SECONDS", "20")))
    },
};

/// What `--cfg spanwire_loom` compiles: the shipped hand-off and close state.
pub(crate) const LOOM: Suite = Suite {
    name: "loom",
    what: "hand-off and close state under every interleaving",
    required: true,
    minutes: 10,
    run: |job| {
        let mut command = job.house.cargo(&["test", "--release", "-p", "spanwire", "--no-fail-fast"]);
        let mut there = false;
        for (_, test) in job.house.targets(Target::Test) {
            if test.starts_with(LOOM_PREFIX) {
                there = true;
                command.args(["--test", &test]);
            }
        }
        command
            .env("RUSTFLAGS", "--cfg spanwire_loom")
            .env("CARGO_TARGET_DIR", job.house.target.join("loom"));
        if std::env::var_os("LOOM_MAX_PREEMPTIONS").is_none() {
            command.env("LOOM_MAX_PREEMPTIONS", "3");
        }
        there.then(|| job.tests(&mut command))
    },
};

const BENCH: Suite = Suite {
    name: "bench",
    what: "the benchmark runs: every workload once, with a few messages",
    required: true,
    minutes: 8,
    run: |job| {
        let mut smoke = job.house.cargo(&["run", "--release", "-p", "spanwire-bench", "--", "smoke"]);
        // Never built for this: they take longer than all suites together.
        if let Some(program) = bench::peer_program(job.house) {
            smoke.arg("--peers").arg(program);
        }
        Some(job.exit(smoke))
    },
};

const COUNTS: Suite = Suite {
    name: "counts",
    what: "small messages take no more system calls and instructions than they may",
    required: true,
    minutes: 8,
    run: |job| {
        let bounds = ["run", "--release", "-p", "spanwire-bench", "--", "bounds"];
        Some(job.matrix(&mut job.house.cargo(&bounds)))
    },
};

const RUSTDOC: Suite = Suite {
    name: "rustdoc",
    what: "the documentation builds without a warning",
    required: true,
    minutes: 6,
    run: |job| {
        let mut command = job.house.cargo(&["doc", "--workspace", "--all-features", "--no-deps"]);
        Some(job.exit(command.env("RUSTDOCFLAGS", "-Dwarnings")))
    },
};

const DENY: Suite = Suite {
    name: "deny",
    what: "licences, banned crates and sources of every dependency",
    required: true,
    minutes: 3,
    run: |job| {
        if !job.house.has_cargo_command("deny") {
            return Some(Tally::skip(
                "cargo-deny is not installed: licences, bans and sources were not checked",
            ));
        }
        // Never advisories: they come over the network, and change under a commit that does not.
        let check = ["deny", "--all-features", "check", "licenses", "bans", "sources"];
        Some(job.exit(job.house.cargo(&check)))
    },
};

/// The rows that `--only` names, all of them without it. Unknown names are refused.
pub(crate) fn select(only: Option<&str>) -> Result<Vec<&'static Suite>, String> {
    let Some(only) = only else { return Ok(ALL.to_vec()) };
    let find = |name: &str| {
        let found = ALL.iter().copied().find(|suite| suite.name == name);
        found.ok_or_else(|| format!("there is no suite {name:?}; see cargo xtask test --list"))
    };
    only.split(',').map(|name| find(name.trim())).collect()
}

/// A suite at work.
pub(crate) struct Job<'a> {
    pub(crate) house: &'a House,
    /// When it must have ended.
    pub(crate) deadline: Instant,
}

impl Job<'_> {
    /// One check: the command exits with status 0.
    pub(crate) fn exit(&self, mut command: impl AsMutCommand) -> Tally {
        let command = command.as_mut_command();
        let ended = run::shown(command, self.deadline);
        let outcome = || Err(format!("{}: {}", run::words(command), ended.why));
        Tally::check(if ended.ok { Ok(()) } else { outcome() })
    }

    /// As many checks as the command says it ran tests.
    pub(crate) fn tests(&self, command: &mut Command) -> Tally {
        self.counted(command, count::tests)
    }

    /// As many checks as the matrices in the command say they have cells.
    pub(crate) fn matrix(&self, command: &mut Command) -> Tally {
        self.counted(command, count::matrix)
    }

    fn counted(&self, command: &mut Command, count: fn(&[String]) -> Tally) -> Tally {
        let house = self.house;
        command.env("SPANWIRE_REQUIRE_PEERS", if house.require_peers { "1" } else { "0" });
        if let Some(python) = peers::python(house) {
            command.env("SPANWIRE_PYTHON", python);
        }
        if let Some(library) = peers::new_nng(house) {
            command.env("SPANWIRE_NNG", library);
        }
        let ended = run::shown(command, self.deadline);
        let mut tally = count(&ended.lines);
        if !ended.ok && tally.failed == 0 {
            tally.problems.push(ended.why);
        }
        if tally.expected == 0 {
            tally.problems.push("it ran no test at all".to_owned());
        }
        tally
    }
}

/// Both a command just made and one that is being made.
pub(crate) trait AsMutCommand {
    /// The command itself.
    fn as_mut_command(&mut self) -> &mut Command;
}

impl AsMutCommand for Command {
    fn as_mut_command(&mut self) -> &mut Command {
        self
    }
}

impl AsMutCommand for &mut Command {
    fn as_mut_command(&mut self) -> &mut Command {
        self
    }
}

/// Whether an integration test has a row of its own.
fn has_a_row(package: &str, test: &str) -> bool {
    package == CLI_PACKAGE || test.starts_with(LOOM_PREFIX) || ["interop", "browser", "soak"].contains(&test)
}

fn workspace_test(house: &House, args: &[&str]) -> Command {
    let mut command = house.cargo(&["test", "--workspace", "--all-features"]);
    command.args(args);
    command
}

/// The fuzz package is a workspace of its own; its crates are built where ours are.
fn shared_target(house: &House, mut command: Command) -> Command {
    command.env("CARGO_TARGET_DIR", &house.target);
    command
}

const CLI_PACKAGE: &str = "spanwire-cli";
const JAVASCRIPT_CLIENT: &str = "clients/js";
const LOOM_PREFIX: &str = "loom_";
const FUZZ_MANIFEST: &str = "fuzz/Cargo.toml";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suite_can_be_asked_for_by_its_name() {
        for suite in ALL {
            let found = select(Some(suite.name)).unwrap();
            assert_eq!(found.len(), 1);
            assert_eq!(found[0].what, suite.what, "two suites are called {}", suite.name);
        }
        assert_eq!(select(None).unwrap().len(), ALL.len());
    }
}
