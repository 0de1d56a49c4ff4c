//! [`Kept`]: notices that a runtime is dropped under those who still wait there.

use super::Home;
use tokio::sync::oneshot;

/// A task that tells a home that its runtime is going: whoever waits for a timer of it is told, instead of
/// asking a runtime that is no more. The task ends with this.
#[derive(Debug)]
pub(crate) struct Kept {
    _ends_with_this: oneshot::Sender<()>,
}

impl Kept {
    pub(crate) fn new(home: &Home) -> Self {
        let (end, ended) = oneshot::channel();
        let keeper = Keeper { home: home.clone(), done: false };
        home.spawn(async move {
            // An error: it is gone.
            let _: Result<(), _> = ended.await;
            keeper.finish();
        });
        Self { _ends_with_this: end }
    }
}

/// Marks the home as gone when the runtime drops the task that has this.
struct Keeper {
    home: Home,
    done: bool,
}

impl Keeper {
    fn finish(mut self) {
        self.done = true;
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        if !self.done {
            self.home.is_going();
        }
    }
}
