//! Running rows one after another, and the table at the end.

use crate::count::Tally;
use crate::house::House;
use crate::suites::{Job, Suite};
use std::time::{Duration, Instant};

/// Prints what there is to run.
pub(crate) fn list(rows: &[&Suite]) {
    for suite in rows {
        println!("{:<10} {}", suite.name, suite.what);
    }
}

/// Runs the rows and prints the table. True when none of them failed.
pub(crate) fn run(house: &House, rows: &[&Suite]) -> bool {
    let started = Instant::now();
    let mut lines = Vec::new();
    for suite in rows {
        println!("\n== {}: {}", suite.name, suite.what);
        let began = Instant::now();
        let job = Job { house, deadline: began + Duration::from_secs(suite.minutes * 60) };
        let tally = (suite.run)(&job);
        let line = Line::new(suite, tally, began.elapsed(), house.require_peers);
        println!(
            "-- {}: {}, {}, {}",
            line.name,
            line.ran_of_expected(),
            seconds(line.took),
            line.verdict.word()
        );
        lines.push(line);
    }
    print!("{}", table(&lines, started.elapsed()));
    lines.iter().all(|line| line.verdict != Verdict::Failed)
}

struct Line {
    name: &'static str,
    tally: Tally,
    took: Duration,
    verdict: Verdict,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Verdict {
    Passed,
    Failed,
    /// It could have run, but what it needs is not installed.
    Skipped,
    /// What it runs is not written yet.
    Absent,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "FAILED",
            Self::Skipped => "SKIPPED",
            Self::Absent => "ABSENT",
        }
    }
}

impl Line {
    fn new(suite: &Suite, tally: Option<Tally>, took: Duration, require_peers: bool) -> Self {
        let (tally, verdict) = match tally {
            None if suite.required => (Tally::fail("there is nothing to run"), Verdict::Failed),
            None => (Tally::default(), Verdict::Absent),
            Some(tally) if !tally.ok(require_peers) => (tally, Verdict::Failed),
            Some(tally) if tally.expected == 0 => (tally, Verdict::Skipped),
            Some(tally) => (tally, Verdict::Passed),
        };
        Self { name: suite.name, tally, took, verdict }
    }

    fn ran_of_expected(&self) -> String {
        format!("{}/{}", self.tally.ran(), self.tally.expected)
    }

    /// A suite that failed without a failed test counts as one.
    fn failures(&self) -> u64 {
        self.tally.failed.max(u64::from(self.verdict == Verdict::Failed))
    }
}

fn table(lines: &[Line], took: Duration) -> String {
    let mut out = format!("\n{:<10} {:>13} {:>10}  result\n", "suite", "ran/expected", "time");
    for line in lines {
        let (ran, time) = (line.ran_of_expected(), seconds(line.took));
        out += &format!("{:<10} {ran:>13} {time:>10}  {}\n", line.name, line.verdict.word());
        let mut say = |text: &str| out += &format!("{:<10}   {text}\n", "");
        line.tally.problems.iter().for_each(|problem| say(problem));
        line.tally.skipped.iter().for_each(|skipped| say(&format!("skipped: {skipped}")));
        if line.tally.without_peer > 0 {
            say(&format!("{} not run: a peer is missing", line.tally.without_peer));
        }
        if line.verdict == Verdict::Absent {
            say("there is nothing to run yet");
        }
    }
    out += &format!("{:<10} {:>13} {:>10}\n", "all", "", seconds(took));
    let passed: u64 = lines.iter().map(|line| line.tally.passed).sum();
    let failed: u64 = lines.iter().map(Line::failures).sum();
    out += &format!("\n{passed} passed, {failed} failed\n");
    out
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(required: bool, tally: Option<Tally>, require_peers: bool) -> Line {
        let suite = Suite { name: "some", what: "something", required, minutes: 1, run: |_| None };
        Line::new(&suite, tally, Duration::from_millis(1500), require_peers)
    }

    #[test]
    fn an_absent_suite_fails_only_where_it_is_required() {
        assert_eq!(line(false, None, false).verdict, Verdict::Absent);
        assert_eq!(line(true, None, false).verdict, Verdict::Failed);
    }

    #[test]
    fn a_shortfall_counts_as_one_failure() {
        let short = line(true, Some(Tally { passed: 3, expected: 4, ..Tally::default() }), false);
        assert_eq!(short.verdict, Verdict::Failed);
        let text = table(&[short], Duration::ZERO);
        assert!(text.ends_with("\n3 passed, 1 failed\n"), "{text}");
        assert!(text.contains("3/4"), "{text}");
    }

    #[test]
    fn a_missing_peer_is_said_and_fails_where_peers_are_required() {
        let tally = Tally { passed: 3, expected: 4, without_peer: 1, ..Tally::default() };
        let lenient = line(true, Some(tally.clone()), false);
        assert_eq!(lenient.verdict, Verdict::Passed);
        assert!(table(&[lenient], Duration::ZERO).contains("1 not run: a peer is missing"));
        assert_eq!(line(true, Some(tally), true).verdict, Verdict::Failed);
    }

    #[test]
    fn a_skipped_suite_says_why() {
        let skipped = line(true, Some(Tally::skip("no such tool")), true);
        assert_eq!(skipped.verdict, Verdict::Skipped);
        assert!(table(&[skipped], Duration::ZERO).contains("skipped: no such tool"));
    }
}
