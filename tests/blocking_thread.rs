//! The library's one background thread: when it starts, and that it ends.
#![cfg(target_os = "linux")]

use spanwire::blocking::{PullSocket, PushSocket, ReqSocket};
use std::fs;
use std::time::{Duration, Instant};

/// How many threads of the library this process has.
fn threads() -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
    let names = tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|name| name.trim_end() == "spanwire").count()
}

fn wait_for_threads(count: usize) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while threads() != count {
        assert!(Instant::now() < deadline, "{} threads instead of {count}", threads());
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

// One test, since threads are counted for the whole process.
#[test]
fn the_thread_of_the_library_ends_with_its_last_socket() {
    assert_eq!(threads(), 0);
    for _ in 0..3 {
        let pull = PullSocket::new();
        let listener = pull.listen("tcp://127.0.0.1:0").unwrap();
        let push = PushSocket::new();
        push.dial(listener.url()).unwrap();
        push.send("x").unwrap();
        pull.recv().unwrap();
        let others: Vec<_> = (0..10).map(|_| ReqSocket::new()).collect();
        wait_for_threads(1);
        push.close(Duration::from_secs(1));
        drop(others);
        assert_eq!(threads(), 1, "there is a socket left");
        // Half of them are closed, the others only dropped.
        drop((pull, listener, push));
        wait_for_threads(0);
    }
}
