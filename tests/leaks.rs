//! Sockets that are closed leave nothing behind: no descriptor, thread, task or file.
//!
//! One test, since it counts what the whole process has.

#[path = "support/bare.rs"]
mod bare;
mod support;

use bare::block_on;
use spanwire::{PullSocket, PushSocket, RepSocket, ReqSocket};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use support::within;
use tokio::runtime::{Builder, Runtime};

const SECOND: Duration = Duration::from_secs(1);
const ROUNDS: usize = 1_000;

/// What this process has.
#[derive(Debug, PartialEq, Eq)]
struct Holdings {
    descriptors: usize,
    threads: usize,
    tasks: usize,
    files: usize,
}

fn holdings(runtime: &Runtime, folder: &Path) -> Holdings {
    let count = |path: &Path| std::fs::read_dir(path).unwrap().count();
    Holdings {
        descriptors: count(Path::new("/proc/self/fd")),
        threads: count(Path::new("/proc/self/task")),
        tasks: runtime.metrics().num_alive_tasks(),
        files: count(folder),
    }
}

/// How sockets end.
#[derive(Copy, Clone)]
enum End {
    Close,
    Drop,
}

/// Opens two pairs of sockets, lets them talk, and ends them.
async fn round(url: &str, end: End) {
    let (push, pull) = (PushSocket::new(), PullSocket::new());
    push.dial(pull.listen(url).await.unwrap().url()).await.unwrap();
    push.send("job").await.unwrap();
    assert_eq!(&pull.recv().await.unwrap()[..], b"job");
    if let End::Close = end {
        push.close(SECOND).await;
        pull.close(SECOND).await;
    }

    let (req, rep) = (ReqSocket::new(), RepSocket::new());
    // The other side dials; the address is used for the second time, unless somebody listens on.
    let url =
        if let (End::Drop, false) = (end, url.ends_with(":0")) { format!("{url}-2") } else { url.into() };
    rep.dial(req.listen(&url).await.unwrap().url()).await.unwrap();
    let serve = async { rep.recv().await.unwrap().reply("reply").await.unwrap() };
    let (reply, ()) = tokio::join!(req.request("request"), serve);
    assert_eq!(&reply.unwrap()[..], b"reply");
    if let End::Close = end {
        req.close(SECOND).await;
        rep.close(SECOND).await;
    }
}

#[test]
fn a_thousand_rounds_leave_nothing_behind() {
    let folder = std::env::temp_dir().join(format!("spanwire-leaks-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let urls = |n: usize| {
        let path: PathBuf = folder.join(n.to_string());
        ["tcp://127.0.0.1:0".into(), format!("ipc://{}", path.display()), format!("inproc://leaks-{n}")]
    };
    // The first round may start what lives on, such as a thread of the runtime.
    runtime.block_on(within(round(&urls(0)[0], End::Close)));
    // Its last task may still be on its way out.
    let before = Holdings { tasks: 0, ..holdings(&runtime, &folder) };

    for n in 1..=ROUNDS {
        for url in urls(n) {
            let end = if n % 10 == 0 { End::Drop } else { End::Close };
            runtime.block_on(within(round(&url, end)));
        }
    }
    same_again(&before, &runtime, &folder);

    // Sockets made outside of any runtime live on the library's own thread, which ends with them.
    for n in 1..=20 {
        for url in urls(n) {
            block_on(round(&url, End::Close));
        }
    }
    same_again(&before, &runtime, &folder);
    drop(runtime);
    std::fs::remove_dir(&folder).unwrap();
}

/// Waits until the process has what it had, which takes dropped sockets and ending threads a moment.
#[track_caller]
fn same_again(before: &Holdings, runtime: &Runtime, folder: &Path) {
    let start = Instant::now();
    loop {
        let now = holdings(runtime, folder);
        if now == *before {
            return;
        }
        assert!(start.elapsed() < SECOND * 20, "before: {before:?}, and now: {now:?}");
        std::thread::yield_now();
    }
}
