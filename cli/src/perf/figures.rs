//! What was measured, for people and as JSON.

use crate::terminal::{grouped, span};
use serde_json::{Value, json};
use std::time::Duration;

/// What kind of run a figure comes from.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) url: String,
    pub(super) pattern: &'static str,
    pub(super) size: usize,
    pub(super) count: u64,
    pub(super) blocking: bool,
}

impl Setting {
    fn json(&self, kind: &str) -> Value {
        json!({
            "kind": kind,
            "url": self.url,
            "pattern": self.pattern,
            "size_bytes": self.size,
            "count": self.count,
            "blocking": self.blocking,
        })
    }
}

/// Round trips.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Latency {
    pub(super) total: Duration,
    pub(super) min: Duration,
    pub(super) p50: Duration,
    pub(super) p90: Duration,
    pub(super) p99: Duration,
    pub(super) p99_9: Duration,
    pub(super) max: Duration,
    pub(super) mean: Duration,
}

impl Latency {
    /// From every single round trip, of which there has to be one.
    pub(super) fn new(mut round_trips: Vec<Duration>, total: Duration) -> Self {
        round_trips.sort_unstable();
        // The smallest value that this part of all values does not exceed.
        let at = |part: f64| {
            let rank = (round_trips.len() as f64 * part).ceil() as usize;
            round_trips[rank.clamp(1, round_trips.len()) - 1]
        };
        let sum: Duration = round_trips.iter().sum();
        Self {
            total,
            min: at(0.0),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            max: at(1.0),
            mean: sum.div_f64(round_trips.len() as f64),
        }
    }

    pub(super) fn json(&self, setting: &Setting) -> Value {
        let nanos = |span: Duration| span.as_nanos() as u64;
        let mut value = setting.json("latency");
        value["seconds"] = json!(self.total.as_secs_f64());
        value["round_trip_ns"] = json!({
            "min": nanos(self.min),
            "p50": nanos(self.p50),
            "p90": nanos(self.p90),
            "p99": nanos(self.p99),
            "p99_9": nanos(self.p99_9),
            "max": nanos(self.max),
            "mean": nanos(self.mean),
        });
        value
    }

    /// In the words of nng's and ZeroMQ's programs, whose latency is half a round trip.
    pub(super) fn text(&self, setting: &Setting) -> String {
        let half = self.total.as_secs_f64() * 1e6 / (2.0 * setting.count as f64);
        let mut lines = vec![
            format!("total time: {:.3} [s]", self.total.as_secs_f64()),
            format!("message size: {} [B]", setting.size),
            format!("round trip count: {}", setting.count),
            format!("average latency: {half:.3} [us]"),
            "round trips:".to_owned(),
        ];
        for (name, value) in self.row() {
            lines.push(format!("  {name:<6}{:>10}", span(value)));
        }
        lines.join("\n")
    }

    /// Names and values, as people want to see them.
    pub(super) fn row(&self) -> [(&'static str, Duration); 7] {
        [
            ("min", self.min),
            ("p50", self.p50),
            ("p90", self.p90),
            ("p99", self.p99),
            ("p99.9", self.p99_9),
            ("max", self.max),
            ("mean", self.mean),
        ]
    }
}

/// Messages in one direction.
#[derive(Copy, Clone, Debug, PartialEq)]
pub(super) struct Throughput {
    pub(super) total: Duration,
    pub(super) messages_per_second: f64,
    pub(super) bytes_per_second: f64,
}

impl Throughput {
    pub(super) fn new(setting: &Setting, total: Duration) -> Self {
        // A run too short for the clock is still no infinity, which JSON does not have.
        let seconds = total.max(Duration::from_nanos(1)).as_secs_f64();
        let messages_per_second = setting.count as f64 / seconds;
        Self { total, messages_per_second, bytes_per_second: messages_per_second * setting.size as f64 }
    }

    pub(super) fn json(&self, setting: &Setting) -> Value {
        let mut value = setting.json("throughput");
        value["seconds"] = json!(self.total.as_secs_f64());
        value["messages_per_second"] = json!(self.messages_per_second);
        value["bytes_per_second"] = json!(self.bytes_per_second);
        value
    }

    /// In the words of nng's and ZeroMQ's programs. Megabits are ZeroMQ's, of a million bits.
    pub(super) fn text(&self, setting: &Setting) -> String {
        [
            format!("total time: {:.3} [s]", self.total.as_secs_f64()),
            format!("message size: {} [B]", setting.size),
            format!("message count: {}", setting.count),
            format!("throughput: {} [msg/s]", grouped(self.messages_per_second as u64)),
            format!("throughput: {:.3} [Mb/s]", self.bytes_per_second * 8.0 / 1e6),
        ]
        .join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(count: u64) -> Setting {
        Setting { url: "tcp://:1".into(), pattern: "req", size: 100, count, blocking: false }
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let trips = (1..=1000).rev().map(Duration::from_micros).collect();
        let latency = Latency::new(trips, Duration::from_secs(1));
        let micros = latency.row().map(|(_, value)| value.as_nanos() as f64 / 1e3);
        assert_eq!(micros, [1.0, 500.0, 900.0, 990.0, 999.0, 1000.0, 500.5]);
    }

    #[test]
    fn one_round_trip_is_all_of_them() {
        let latency = Latency::new(vec![Duration::from_micros(5)], Duration::from_micros(5));
        assert!(latency.row().iter().all(|(_, value)| *value == Duration::from_micros(5)));
        assert!(latency.text(&setting(1)).contains("average latency: 2.500 [us]"));
    }

    #[test]
    fn rates_are_per_second() {
        let rate = Throughput::new(&setting(1_000), Duration::from_millis(500));
        assert_eq!((rate.messages_per_second, rate.bytes_per_second), (2_000.0, 200_000.0));
        assert!(rate.text(&setting(1_000)).contains("throughput: 1.600 [Mb/s]"));
    }
}
