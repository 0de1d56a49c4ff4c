//! Counts what ran beside what should have, and says so in a line that `cargo xtask test` reads.

use std::cell::RefCell;

/// The cases of one matrix.
pub(crate) struct Tally {
    name: String,
    expected: usize,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    ran: usize,
    without_peer: usize,
    failures: Vec<String>,
}

impl Tally {
    /// A matrix that has so many cases by its definition.
    pub(crate) fn new(name: impl Into<String>, expected: usize) -> Self {
        Self { name: name.into(), expected, state: RefCell::default() }
    }

    /// A case ran.
    pub(crate) fn ran(&self, case: &str, outcome: crate::Outcome) {
        let mut state = self.state.borrow_mut();
        state.ran += 1;
        if let Err(error) = outcome {
            eprintln!("{case}: {error}");
            state.failures.push(format!("{case}: {error}"));
        }
    }

    /// So many cases could not run, since a foreign library is not installed.
    pub(crate) fn skipped(&self, cases: usize) {
        self.state.borrow_mut().without_peer += cases;
    }

    /// Prints the line; fails if something failed or is missing.
    pub(crate) fn end(self) {
        let Self { name, expected, state } = self;
        let State { ran, without_peer, failures } = state.into_inner();
        println!(
            "spanwire-matrix: interop {name} ran={ran} expected={expected} skipped-for-missing-peer={without_peer}"
        );
        assert!(failures.is_empty(), "{} of {ran} failed:\n{}", failures.len(), failures.join("\n"));
        assert_eq!(ran + without_peer, expected, "some cases of {name} did not run");
        let required = std::env::var_os("SPANWIRE_REQUIRE_PEERS").is_some_and(|value| value == "1");
        assert!(without_peer == 0 || !required, "{without_peer} cases of {name} want a peer that is missing");
    }
}
