//! A runtime that is dropped under live sockets ends; no task of ours keeps it.

use spanwire::{DialOptions, PullSocket, PushSocket, Start};
use std::sync::mpsc;
use std::time::Duration;

/// Regression: a dialer whose timers had ended with the runtime tried again and again without ever
/// giving its worker back, and the drop of the runtime waited for it for ever.
#[test]
fn a_runtime_with_dialers_can_be_dropped_at_any_moment() {
    for round in 0..200 {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let (push, pull) = (PushSocket::new(), PullSocket::new());
            let listener = push.listen("tcp://127.0.0.1:0").await.unwrap();
            pull.dial(listener.url()).await.unwrap();
            let hopeless = DialOptions {
                start: Start::Background,
                reconnect_min: Duration::from_nanos(round),
                reconnect_max: Duration::from_micros(round),
                ..DialOptions::default()
            };
            for _ in 0..4 {
                push.dial_with("tcp://127.0.0.1:1", hopeless.clone()).await.unwrap();
            }
            push.send("on its way").await.unwrap();
            assert_eq!(pull.recv().await.unwrap(), "on its way".into());
        });
        let (done, is_done) = mpsc::channel();
        std::thread::spawn(move || {
            drop(runtime);
            done.send(()).unwrap();
        });
        is_done.recv_timeout(Duration::from_secs(20)).expect("the runtime ends");
    }
}
