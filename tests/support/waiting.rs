//! How tests wait, without naps and not for ever, and how they see that nothing is left behind.

use std::future::Future;
use std::time::{Duration, Instant};

/// Whatever has to happen happens within this, even on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// The output of `work`, which has to come soon.
pub(crate) async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(SOON, work).await {
        Ok(output) => output,
        Err(_) => panic!("this did not happen in time: {what}"),
    }
}

/// Waits until something holds for which there is nothing to wait on.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < SOON, "this did not become true in time: {what}");
        tokio::task::yield_now().await;
    }
}

/// Counts the tasks of this test's runtime, to see that none is left.
pub(crate) struct Bed {
    tasks: usize,
}

fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

impl Bed {
    pub(crate) fn new() -> Self {
        Self { tasks: tasks() }
    }

    /// Nothing of what was made since is left.
    pub(crate) async fn ends_clean(self) {
        until("no task is left", || tasks() <= self.tasks).await;
    }
}
