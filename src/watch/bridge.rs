//! [`Bridge`]: what sockets and multiplexed connections count, for the facade `metrics`.

use metrics::{Counter, Gauge, Histogram as Recorded, Key, KeyName, Label, Level, Metadata, SharedString};
use spanwire_core::Histogram;
use spanwire_core::watch::{Detail, Kind, Labels, Report, SERIES, Series, Unit, Value};
use std::collections::HashMap;
use std::fmt::Write;

/// Brings reports to the recorder of the facade `metrics` that the program has installed.
///
/// The series are those of the Prometheus text, by the same names and with the same labels, which
/// [`SERIES`](super::SERIES) lists. Counters are set to their absolute values; what a histogram got since the
/// last time is recorded with a value from the middle of its bucket, which is off by a sixteenth at most.
///
/// Make it after the recorder was installed, and [`publish`](Self::publish) as often as somebody reads: no
/// message waits for that. A series is made when it first has a value, and kept; after that publishing
/// allocates for reports only.
///
/// ```
/// use spanwire::watch::{self, Bridge};
///
/// let mut bridge = Bridge::new(watch::Detail::Sockets);
/// bridge.publish(&watch::report()); // every few seconds
/// ```
#[derive(Debug)]
pub struct Bridge {
    detail: Detail,
    /// By series and labels.
    made: HashMap<String, Made>,
    /// The key of what is looked for, kept for its memory.
    key: String,
    /// How often something was published.
    turn: u64,
}

struct Made {
    what: What,
    /// When it last had a value.
    turn: u64,
}

enum What {
    Counter(Counter),
    Gauge(Gauge),
    /// With what was recorded so far.
    Histogram(Recorded, Histogram),
}

impl Bridge {
    /// One that publishes so much. Describes all series to the recorder.
    pub fn new(detail: Detail) -> Self {
        metrics::with_recorder(|recorder| {
            for series in SERIES.iter().filter(|series| series.detail <= detail) {
                let name = KeyName::from(series.full_name().to_string());
                let (unit, help) = (unit(series), SharedString::const_str(series.help));
                match series.kind {
                    Kind::Counter => recorder.describe_counter(name, unit, help),
                    Kind::Gauge => recorder.describe_gauge(name, unit, help),
                    Kind::Histogram => recorder.describe_histogram(name, unit, help),
                }
            }
        });
        Self { detail, made: HashMap::new(), key: String::new(), turn: 0 }
    }

    /// Tells the recorder what a report says. Series whose socket or peer is gone keep their last value, except
    /// gauges, which fall to zero.
    pub fn publish(&mut self, report: &Report) {
        self.turn += 1;
        let detail = self.detail;
        for series in SERIES.iter().filter(|series| series.detail <= detail) {
            series.read(report, |labels, value| self.tell(series, labels, value));
        }
        let turn = self.turn;
        self.made.retain(|_, made| {
            let here = made.turn == turn;
            if let (What::Gauge(gauge), false) = (&made.what, here) {
                gauge.set(0.0);
            }
            here
        });
    }

    fn tell(&mut self, series: &'static Series, labels: Labels<'_>, value: Value<'_>) {
        self.key.clear();
        let _ = write!(self.key, "{}", series.full_name());
        for (key, value) in labels.all() {
            // No label of ours has this character.
            let _ = write!(self.key, "\0{key}\0{value}");
        }
        if !self.made.contains_key(&self.key) {
            self.made.insert(self.key.clone(), Made { what: What::new(series, labels), turn: 0 });
        }
        if let Some(made) = self.made.get_mut(&self.key) {
            made.turn = self.turn;
            made.what.set(value);
        }
    }
}

impl What {
    fn new(series: &Series, labels: Labels<'_>) -> Self {
        let own: Vec<_> = labels.all().map(|(key, value)| Label::new(key, value.to_owned())).collect();
        let key = Key::from_parts(series.full_name().to_string(), own);
        metrics::with_recorder(|recorder| match series.kind {
            Kind::Counter => Self::Counter(recorder.register_counter(&key, &METADATA)),
            Kind::Gauge => Self::Gauge(recorder.register_gauge(&key, &METADATA)),
            Kind::Histogram => {
                Self::Histogram(recorder.register_histogram(&key, &METADATA), Histogram::new())
            }
        })
    }

    fn set(&mut self, value: Value<'_>) {
        match (self, value) {
            (Self::Counter(counter), Value::Count(count)) => counter.absolute(count),
            // The facade counts in whole numbers: seconds it must be, then.
            (Self::Counter(counter), Value::Span(span)) => counter.absolute(span.as_secs()),
            (Self::Gauge(gauge), Value::Count(count)) => gauge.set(count as f64),
            (Self::Gauge(gauge), Value::Span(span)) => gauge.set(span.as_secs_f64()),
            (Self::Histogram(recorded, before), Value::Spans(now)) => {
                if now.count() < before.count() {
                    // Another socket has the name now.
                    *before = Histogram::new();
                }
                for (bucket, count) in now.since(before).filled() {
                    let count = usize::try_from(count).unwrap_or(usize::MAX);
                    recorded.record_many(Histogram::middle(bucket).as_secs_f64(), count);
                }
                before.clone_from(now);
            }
            (Self::Counter(_) | Self::Gauge(_), Value::Spans(_))
            | (Self::Histogram(..), Value::Count(_) | Value::Span(_)) => {
                unreachable!("only a histogram has spans to count")
            }
        }
    }
}

impl std::fmt::Debug for Made {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Made").field("turn", &self.turn).finish_non_exhaustive()
    }
}

static METADATA: Metadata<'static> = Metadata::new("spanwire", Level::INFO, Some(module_path!()));

fn unit(series: &Series) -> Option<metrics::Unit> {
    Some(match series.unit {
        Unit::Bytes => metrics::Unit::Bytes,
        Unit::Seconds => metrics::Unit::Seconds,
        Unit::Messages | Unit::Count => metrics::Unit::Count,
    })
}
