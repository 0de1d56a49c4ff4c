//! What is told to the facade `metrics`.

#![cfg(feature = "metrics")]

#[path = "support/counting.rs"]
mod counting;

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};
use spanwire::watch::{Bridge, Detail, PeerSnapshot, Report, Snapshot};
use spanwire::{DetachReason, Dropped, Latency, Protocol};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Keeps what it is told.
#[derive(Default)]
struct Keeper {
    described: Mutex<BTreeSet<String>>,
    values: Arc<Mutex<BTreeMap<String, f64>>>,
    registered: Mutex<u64>,
}

struct Slot(String, Arc<Mutex<BTreeMap<String, f64>>>);

impl Slot {
    fn with(&self, change: impl FnOnce(&mut f64)) {
        change(self.1.lock().unwrap().entry(self.0.clone()).or_default());
    }
}

impl CounterFn for Slot {
    fn increment(&self, _: u64) {
        panic!("counters are absolute");
    }
    fn absolute(&self, value: u64) {
        self.with(|slot| *slot = value as f64);
    }
}

impl GaugeFn for Slot {
    fn increment(&self, _: f64) {
        panic!("gauges are set");
    }
    fn decrement(&self, _: f64) {
        panic!("gauges are set");
    }
    fn set(&self, value: f64) {
        self.with(|slot| *slot = value);
    }
}

impl HistogramFn for Slot {
    fn record(&self, value: f64) {
        self.with(|slot| *slot += value);
    }
}

impl Keeper {
    fn slot(&self, key: &Key) -> Arc<Slot> {
        let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        *self.registered.lock().unwrap() += 1;
        Arc::new(Slot(format!("{} {}", key.name(), labels.join(" ")), self.values.clone()))
    }

    fn value(&self, key: &str) -> Option<f64> {
        self.values.lock().unwrap().get(key).copied()
    }
}

impl Recorder for Keeper {
    fn describe_counter(&self, key: KeyName, _: Option<Unit>, help: SharedString) {
        assert!(!help.is_empty() && self.described.lock().unwrap().insert(key.as_str().into()));
    }
    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, help: SharedString) {
        self.describe_counter(key, unit, help);
    }
    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, help: SharedString) {
        assert_eq!(unit, Some(Unit::Seconds));
        self.describe_counter(key, unit, help);
    }
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.slot(key))
    }
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.slot(key))
    }
    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.slot(key))
    }
}

fn report() -> Report {
    let mut jobs = Snapshot::new(Protocol::Push);
    jobs.name = "jobs".into();
    jobs.ledger.sent_messages = 3;
    jobs.ledger.count_dropped(Dropped::PipeLost);
    jobs.queues.peers = 2;
    jobs.latencies.record(Latency::Room, Duration::from_millis(10));
    let mut peer = PeerSnapshot::default();
    peer.remote = "there".into();
    peer.latencies.record(Latency::Reply, Duration::from_millis(10));
    jobs.lives.record(DetachReason::PeerClosed, Duration::from_secs(10));
    jobs.peers.push(peer);
    let mut report = Report::default();
    report.sockets.push(jobs);
    report
}

#[test]
fn counters_are_absolute_gauges_fall_and_only_what_is_new_is_recorded() {
    let keeper = Keeper::default();
    metrics::with_local_recorder(&keeper, || {
        let mut bridge = Bridge::new(Detail::Sockets);
        let mut all = report();
        bridge.publish(&all);
        let at = |name: &str, more: &str| {
            keeper.value(&format!("spanwire_{name} socket=jobs protocol=push{more}"))
        };
        assert_eq!(at("sent_messages_total", ""), Some(3.0));
        assert_eq!(at("dropped_messages_total", " reason=PipeLost"), Some(1.0));
        assert_eq!(at("peers", ""), Some(2.0));
        let first = at("latency_seconds", " what=Room").unwrap();
        assert!((first / 0.010 - 1.0).abs() < 1.0 / 16.0, "{first}");
        let life = at("detached_after_seconds", " reason=PeerClosed").unwrap();
        assert!((life / 10.0 - 1.0).abs() < 1.0 / 16.0, "{life}");
        bridge.publish(&all);
        assert_eq!(at("latency_seconds", " what=Room"), Some(first), "nothing new");
        all.sockets[0].latencies.record(Latency::Room, Duration::from_millis(10));
        all.sockets[0].ledger.sent_messages = 5;
        bridge.publish(&all);
        assert_eq!(at("latency_seconds", " what=Room"), Some(2.0 * first));
        assert_eq!(at("sent_messages_total", ""), Some(5.0));
        bridge.publish(&Report::default());
        assert_eq!((at("peers", ""), at("sent_messages_total", "")), (Some(0.0), Some(5.0)));
        // Another socket gets the name.
        bridge.publish(&report());
        assert_eq!(at("latency_seconds", " what=Room"), Some(3.0 * first));
        for series in keeper.values.lock().unwrap().keys() {
            assert!(keeper.described.lock().unwrap().contains(series.split(' ').next().unwrap()), "{series}");
        }
        assert!(!keeper.described.lock().unwrap().contains("spanwire_peer_sent_messages_total"));
    });
}

#[test]
fn what_is_told_again_costs_no_memory_and_no_registration() {
    let keeper = Keeper::default();
    metrics::with_local_recorder(&keeper, || {
        let mut bridge = Bridge::new(Detail::Peers);
        let all = report();
        bridge.publish(&all);
        let registered = *keeper.registered.lock().unwrap();
        assert!(registered > 20, "{registered}");
        let before = counting::HERE.get();
        bridge.publish(&all);
        // The keeper itself copies a key for each value; a peer's number is put into words.
        let cost = counting::HERE.get() - before;
        assert!(cost <= registered + 2 * 8, "{cost} for {registered}");
        assert_eq!(*keeper.registered.lock().unwrap(), registered);
    });
}

#[test]
fn without_a_recorder_nothing_happens() {
    Bridge::new(Detail::Peers).publish(&report());
    assert!(counting::EVERYWHERE.load(Relaxed) > 0);
}
