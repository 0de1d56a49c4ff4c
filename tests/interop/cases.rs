//! Cases, each with the libraries it wants: how a list of them is run.

use crate::Outcome;
use crate::foreign::{Foreign, Library, NoPeer};
use crate::tally::Tally;
use futures_util::FutureExt;
use std::pin::Pin;

/// A case at work.
pub(crate) type Running = Pin<Box<dyn Future<Output = Outcome>>>;

/// One case.
pub(crate) struct Case {
    name: String,
    wants: Vec<Library>,
    run: Running,
}

impl Case {
    pub(crate) fn new(
        name: impl Into<String>,
        wants: impl Into<Vec<Library>>,
        run: impl Future<Output = Outcome> + 'static,
    ) -> Self {
        Self { name: name.into(), wants: wants.into(), run: run.boxed_local() }
    }
}

/// Runs them all, two at once, and counts them.
pub(crate) async fn run(name: &str, cases: Vec<Case>) {
    let tally = Tally::new(name, cases.len());
    let mut there = Vec::new();
    for library in Library::ALL.into_iter().filter(|one| cases.iter().any(|case| case.wants.contains(one))) {
        match Foreign::start(library).await {
            Ok(_) => there.push(library),
            Err(NoPeer::Missing(why)) => eprintln!("no {}: {why}", library.name()),
            Err(NoPeer::Broken(why)) => panic!("{why}"),
        }
    }
    let (able, unable): (Vec<_>, Vec<_>) =
        cases.into_iter().partition(|case| case.wants.iter().all(|library| there.contains(library)));
    tally.skipped(unable.len());
    run_all(&tally, able.into_iter().map(|case| (case.name, case.run)).collect()).await;
    Foreign::end_idle();
    tally.end();
}

/// Runs cases by their names, two at once.
pub(crate) async fn run_all(tally: &Tally, cases: Vec<(String, Running)>) {
    let waiting = std::cell::RefCell::new(cases.into_iter());
    let lane = async || {
        loop {
            let Some((name, running)) = waiting.borrow_mut().next() else { return };
            tally.ran(&name, running.await);
        }
    };
    tokio::join!(lane(), lane());
}
