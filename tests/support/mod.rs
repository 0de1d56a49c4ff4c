//! What tests share.

use std::future::Future;
use std::time::Duration;

/// Nothing in a test takes this long unless it hangs, not even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// `work`, which must not hang.
pub(crate) async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("it hangs")
}
