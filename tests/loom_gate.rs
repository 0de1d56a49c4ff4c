//! The close state of a socket in every interleaving. Runs with `--cfg spanwire_loom` only.

#![cfg(spanwire_loom)]

use loom::future::block_on;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use spanwire::session::gate::Gate;
use std::future::poll_fn;
use std::sync::Arc;

/// A gate, and how many are really inside.
#[derive(Default)]
struct Socket {
    gate: Arc<Gate>,
    inside: AtomicUsize,
}

impl Socket {
    /// Goes in and out again; whether it was let in.
    fn visit(&self) -> bool {
        let Some(pass) = self.gate.enter() else { return false };
        self.inside.fetch_add(1, Ordering::Relaxed);
        self.inside.fetch_sub(1, Ordering::Relaxed);
        drop(pass);
        true
    }

    /// Shuts the gate, waits until all are out, and looks whether they are; whether it was the
    /// first to shut it.
    fn close(&self) -> bool {
        let first = self.gate.shut();
        block_on(poll_fn(|cx| self.gate.poll_empty(cx)));
        assert_eq!(self.inside.load(Ordering::Relaxed), 0, "somebody is still inside");
        assert!(self.gate.enter().is_none(), "nobody enters any more");
        first
    }
}

/// Every interleaving with up to three preemptions, or what `LOOM_MAX_PREEMPTIONS` says.
fn model(check: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = model.preemption_bound.or(Some(3));
    model.check(check);
}

#[test]
fn a_closer_waits_for_everybody_inside() {
    model(|| {
        let socket = Arc::new(Socket::default());
        let visitors: Vec<_> = (0..2)
            .map(|_| {
                let socket = socket.clone();
                thread::spawn(move || socket.visit())
            })
            .collect();
        assert!(socket.close());
        assert!(!socket.visit());
        for visitor in visitors {
            visitor.join().unwrap();
        }
    });
}

#[test]
fn every_closer_is_woken_and_one_was_the_first() {
    model(|| {
        let socket = Arc::new(Socket::default());
        let pass = socket.gate.enter().unwrap();
        let closers: Vec<_> = (0..2)
            .map(|_| {
                let socket = socket.clone();
                thread::spawn(move || socket.close())
            })
            .collect();
        drop(pass);
        let firsts = closers.into_iter().filter_map(|closer| closer.join().unwrap().then_some(())).count();
        assert_eq!(firsts, 1);
    });
}

#[test]
fn a_task_that_never_ran_leaves_after_all_that_it_held() {
    model(|| {
        let socket = Arc::new(Socket::default());
        struct Held(Arc<Socket>);
        impl Drop for Held {
            fn drop(&mut self) {
                self.0.inside.fetch_sub(1, Ordering::Relaxed);
            }
        }
        socket.inside.fetch_add(1, Ordering::Relaxed);
        let held = Held(socket.clone());
        let task = socket.gate.enter().unwrap().hold(async move {
            let _held = held;
            std::future::pending::<()>().await;
        });
        let aborter = thread::spawn(move || drop(task));
        socket.close();
        aborter.join().unwrap();
    });
}
