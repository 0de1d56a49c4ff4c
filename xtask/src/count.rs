//! How many tests ran, and how many should have: read out of what the runners print.
//!
//! Four kinds of lines count: those of libtest (`running 3 tests`, `test result: …`), those of
//! cargo-nextest (`Starting 3 tests`, `Summary …`), those of Node (`# tests 3`, `# pass 3`), and the lines
//! of our own matrices, which know how many cells they have:
//!
//! ```text
//! spanwire-matrix: NAME ran=N expected=M skipped-for-missing-peer=K
//! ```

use std::ops::AddAssign;

/// The outcome of a suite, or of a part of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    /// How many should have run.
    pub(crate) expected: u64,
    /// Those of `expected` that could not run because a foreign peer is missing.
    pub(crate) without_peer: u64,
    /// What is wrong, a sentence each. A suite with a problem has failed.
    pub(crate) problems: Vec<String>,
    /// What was not done although nothing is wrong, a sentence each. Said loudly at the end.
    pub(crate) skipped: Vec<String>,
}

impl Tally {
    /// One check that went well.
    pub(crate) fn pass() -> Self {
        Self { passed: 1, expected: 1, ..Self::default() }
    }

    /// One check that did not.
    pub(crate) fn fail(why: impl Into<String>) -> Self {
        Self { failed: 1, expected: 1, problems: vec![why.into()], ..Self::default() }
    }

    /// Nothing was run, for a good reason.
    pub(crate) fn skip(why: impl Into<String>) -> Self {
        Self { skipped: vec![why.into()], ..Self::default() }
    }

    /// One check that could not run for want of a program.
    pub(crate) fn without_peer(why: impl Into<String>) -> Self {
        Self { expected: 1, without_peer: 1, skipped: vec![why.into()], ..Self::default() }
    }

    /// One check, from its outcome.
    pub(crate) fn check(outcome: Result<(), String>) -> Self {
        match outcome {
            Ok(()) => Self::pass(),
            Err(why) => Self::fail(why),
        }
    }

    /// Passed or failed.
    pub(crate) fn ran(&self) -> u64 {
        self.passed + self.failed
    }

    /// Nothing failed, nothing was forgotten. `require_peers`: nor was a peer missing.
    pub(crate) fn ok(&self, require_peers: bool) -> bool {
        self.failed == 0
            && self.problems.is_empty()
            && self.ran() + self.without_peer == self.expected
            && !(require_peers && self.without_peer > 0)
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.expected += other.expected;
        self.without_peer += other.without_peer;
        self.problems.extend(other.problems);
        self.skipped.extend(other.skipped);
    }
}

/// Counts what a test runner printed. Tests that were marked as ignored count as expected and not
/// run: a test that never runs proves nothing.
pub(crate) fn tests(lines: &[String]) -> Tally {
    let by_nextest = lines.iter().any(|line| nextest_start(line).is_some());
    let mut tally = if by_nextest { nextest(lines) } else { libtest(lines) };
    for row in lines.iter().filter_map(|line| MatrixLine::parse(line)) {
        match row {
            Err(why) => tally.problems.push(why),
            Ok(row) => {
                tally.expected += row.without_peer;
                tally.without_peer += row.without_peer;
                tally.problems.extend(row.problem());
            }
        }
    }
    tally
}

fn libtest(lines: &[String]) -> Tally {
    let mut tally = Tally::default();
    for line in lines {
        if let Some(rest) = line.strip_prefix("running ") {
            tally.expected += number_before(rest, &["test", "tests"]);
        } else if let Some((_, result)) = line.split_once("test result: ") {
            tally.passed += number_before(result, &["passed;"]);
            tally.failed += number_before(result, &["failed;"]);
        } else if let Some(name) = line.strip_prefix("test ").and_then(|l| l.strip_suffix(" ... FAILED")) {
            tally.problems.push(format!("{name} failed"));
        } else if let Some((name, _)) = line.strip_prefix("test ").and_then(|l| l.split_once(" ... ignored"))
        {
            tally.problems.push(format!("{name} is marked as ignored"));
        }
    }
    tally
}

/// It repeats what a failed test printed, the lines of libtest among that, indented.
fn nextest(lines: &[String]) -> Tally {
    let mut tally = Tally::default();
    for line in lines {
        if let Some(rest) = nextest_start(line) {
            let (run, skipped) = rest.split_once('(').unwrap_or((rest, ""));
            tally.expected += number_before(run, &["test", "tests"]);
            tally.expected += number_before(skipped, &["test", "tests"]);
        } else if let Some((_, rest)) =
            line.trim_start().strip_prefix("Summary [").and_then(|l| l.split_once(" run: "))
        {
            tally.passed += number_before(rest, &["passed"]);
            tally.failed += number_before(rest, &["failed"]) + number_before(rest, &["timed"]);
        } else if let Some((_, name)) =
            line.trim_start().strip_prefix("FAIL [").and_then(|l| l.split_once(") "))
        {
            tally.problems.push(format!("{name} failed"));
        }
    }
    // Named when they fail, and again at the end.
    tally.problems.sort();
    tally.problems.dedup();
    tally
}

/// What stands behind `Starting` in the line with which nextest begins.
fn nextest_start(line: &str) -> Option<&str> {
    line.trim_start().strip_prefix("Starting ").filter(|rest| rest.contains(" across "))
}

/// Counts the cells of matrices instead of the tests that drive them.
pub(crate) fn matrix(lines: &[String]) -> Tally {
    let driven = tests(lines);
    let mut tally = Tally { problems: driven.problems.clone(), ..Tally::default() };
    let mut matrices = 0;
    for row in lines.iter().filter_map(|line| MatrixLine::parse(line).and_then(Result::ok)) {
        matrices += 1;
        tally.expected += row.expected;
        tally.without_peer += row.without_peer;
        tally.passed += row.ran;
    }
    if matrices == 0 {
        tally.problems.push("it printed no matrix line, so nobody knows what ran".to_owned());
    }
    let tests = driven.expected - driven.without_peer;
    if driven.ran() != tests {
        tally.problems.push(format!("{} of its {tests} tests ended", driven.ran()));
    }
    // A test that fails may stand for many cells; how many, only its own output tells.
    tally.failed = driven.failed;
    tally.passed = tally.passed.saturating_sub(driven.failed);
    tally
}

/// Counts what `node --test` printed in the format TAP: its totals are comments at the end. Tests that
/// were cancelled, skipped or left for later did not run.
pub(crate) fn node(lines: &[String]) -> Tally {
    let total = |what: &str| {
        let mut numbers =
            lines.iter().filter_map(|line| line.strip_prefix("# ")?.strip_prefix(what)?.trim().parse().ok());
        numbers.next_back().unwrap_or(0)
    };
    let failures =
        lines.iter().filter_map(|line| line.trim_start().strip_prefix("not ok ")?.split_once(" - "));
    Tally {
        passed: total("pass "),
        failed: total("fail "),
        expected: total("tests "),
        problems: failures.map(|(_, name)| format!("{name} failed")).collect(),
        ..Tally::default()
    }
}

struct MatrixLine {
    name: String,
    ran: u64,
    expected: u64,
    without_peer: u64,
}

impl MatrixLine {
    /// `None` when `line` is something else. The mark may stand anywhere in the line, since
    /// libtest leaves `test name ... ` in front of what a lone test prints.
    fn parse(line: &str) -> Option<Result<Self, String>> {
        let (_, rest) = line.split_once("spanwire-matrix: ")?;
        let value = |key: &str| {
            let mut words = rest.split_whitespace();
            words
                .find_map(|word| word.strip_prefix(key)?.strip_prefix('=')?.parse().ok())
                .ok_or_else(|| format!("no {key} in the matrix line {line:?}"))
        };
        let row = |(ran, expected, without_peer)| {
            let name = rest.split(" ran=").next().unwrap_or_default().to_owned();
            Self { name, ran, expected, without_peer }
        };
        let numbers =
            || Ok::<_, String>((value("ran")?, value("expected")?, value("skipped-for-missing-peer")?));
        Some(numbers().map(row))
    }

    fn problem(&self) -> Option<String> {
        let Self { name, ran, expected, without_peer } = self;
        let complete = ran + without_peer == *expected;
        (!complete).then(|| format!("{name} ran {ran} of {expected}, {without_peer} for want of a peer"))
    }
}

/// The number in `… 12 word …`, 0 without one.
fn number_before(text: &str, words: &[&str]) -> u64 {
    let mut last = None;
    for part in text.split([' ', ',', '(', ')']).filter(|part| !part.is_empty()) {
        if words.contains(&part) {
            return last.unwrap_or(0);
        }
        last = part.parse().ok();
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(|line| line.split_once('|').map_or(line, |(_, line)| line).to_owned()).collect()
    }

    #[test]
    fn libtest_is_counted_over_several_binaries() {
        let tally = tests(&lines(
            "|running 2 tests
             |test a ... ok
             |test b ... FAILED
             |test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
             |running 1 test
             |test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
        ));
        assert_eq!((tally.passed, tally.failed, tally.expected), (2, 1, 3));
        assert_eq!(tally.problems, ["b failed"]);
        assert!(!tally.ok(false));
    }

    #[test]
    fn a_test_binary_that_dies_has_run_fewer_than_expected() {
        let tally = tests(&lines("running 4 tests\ntest a ... ok"));
        assert_eq!((tally.ran(), tally.expected), (0, 4));
        assert!(!tally.ok(false));
    }

    #[test]
    fn an_ignored_test_is_a_test_that_did_not_run() {
        let tally = tests(&lines(
            "running 2 tests\ntest a ... ok\ntest b ... ignored, too slow\ntest result: ok. 1 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out",
        ));
        assert_eq!((tally.ran(), tally.expected), (1, 2));
        assert!(!tally.ok(false));
    }

    #[test]
    fn nextest_is_counted() {
        let tally = tests(&lines(
            "|    Starting 20 tests across 3 binaries (2 tests skipped)
             |        PASS [   0.006s] (19/20) spanwire tests::a
             |        FAIL [   0.735s] (20/20) spanwire::first b
             |  stdout ───
             |    running 1 test
             |    test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 19 filtered out
             |     Summary [   0.051s] 20 tests run: 18 passed (1 slow), 1 failed, 1 timed out, 2 skipped
             |        FAIL [   0.735s] (20/20) spanwire::first b",
        ));
        assert_eq!((tally.passed, tally.failed, tally.expected), (18, 2, 22));
        assert_eq!(tally.problems, ["spanwire::first b failed"]);
        let tally = tests(&lines(
            "|    Starting 1 test across 1 binary
             |     Summary [   0.01s] 1 test run: 1 passed, 0 skipped",
        ));
        assert!(tally.ok(true));
        assert_eq!(tally.ran(), 1);
    }

    const ONE_PASSED: &str = "running 1 test\ntest result: ok. 1 passed; 0 failed; 0 ignored";

    #[test]
    fn a_matrix_is_counted_by_its_cells() {
        let text = "\ntest m ... spanwire-matrix: nng tcp ran=30 expected=30 skipped-for-missing-peer=0\nspanwire-matrix: pynng ran=0 expected=5 skipped-for-missing-peer=5";
        let tally = matrix(&lines(&format!("{ONE_PASSED}{text}")));
        assert_eq!((tally.ran(), tally.expected, tally.without_peer), (30, 35, 5));
        assert!(tally.ok(false));
        assert!(!tally.ok(true), "a missing peer is a failure where peers are required");
    }

    #[test]
    fn a_matrix_that_ran_less_than_it_has_fails() {
        let text = "\nspanwire-matrix: nng ran=29 expected=30 skipped-for-missing-peer=0";
        for counted in [matrix, tests] {
            let tally = counted(&lines(&format!("{ONE_PASSED}{text}")));
            assert_eq!(tally.problems, ["nng ran 29 of 30, 0 for want of a peer"]);
            assert!(!tally.ok(false));
        }
    }

    #[test]
    fn a_matrix_without_its_line_fails() {
        assert!(!matrix(&lines(ONE_PASSED)).ok(false));
        assert!(!matrix(&lines(&format!("{ONE_PASSED}\nspanwire-matrix: nng ran=many"))).ok(false));
    }

    #[test]
    fn node_is_counted_by_its_totals() {
        let text = "ok 1 - a\nnot ok 2 - b\n# tests 3\n# pass 1\n# fail 1\n# cancelled 1\n# skipped 0";
        let tally = node(&lines(text));
        assert_eq!((tally.passed, tally.failed, tally.expected), (1, 1, 3));
        assert_eq!(tally.problems, ["b failed"]);
        assert!(!tally.ok(false));
        assert!(node(&lines("# tests 2\n# pass 2\n# fail 0")).ok(true));
        assert!(!node(&lines("# tests 2\n# pass 1\n# fail 0\n# cancelled 1")).ok(false));
    }

    #[test]
    fn a_program_that_is_missing_is_a_missing_peer() {
        let tally = Tally::without_peer("no node");
        assert!(tally.ok(false) && !tally.ok(true));
        assert_eq!(tally.skipped, ["no node"]);
    }

    #[test]
    fn sums_keep_every_problem() {
        let mut sum = Tally::pass();
        sum += Tally::fail("one");
        sum += Tally::skip("two");
        assert_eq!((sum.ran(), sum.expected), (2, 2));
        assert_eq!((sum.problems.len(), sum.skipped.len()), (1, 1));
    }
}
