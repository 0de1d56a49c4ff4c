//! A report as the text that Prometheus reads.

use super::series::{Detail, Kind, Labels, SERIES, Value};
use super::{Report, Series};
use crate::histogram::Histogram;
use alloc::string::String;
use core::fmt::{self, Display, Write};
use core::time::Duration;

/// What to say in the header `Content-Type` of an HTTP response with this text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Histograms have a bound at each power of two nanoseconds from about a microsecond to about a minute,
/// then at every second one up to 52 days. Such bounds are bounds of our buckets, so no count is a guess.
const FINE: core::ops::RangeInclusive<u32> = 10..=36;
const COARSE: core::ops::RangeInclusive<u32> = 38..=52;

/// Those of single peers, of which there may be many, at every second power from about a microsecond to a
/// minute.
const OF_PEERS: core::ops::RangeInclusive<u32> = 10..=36;

fn bounds(detail: Detail) -> impl Iterator<Item = u32> {
    let (fine, coarse) = match detail {
        Detail::Sockets => (FINE.step_by(1), COARSE.step_by(2)),
        // None of the coarse ones.
        Detail::Peers => (OF_PEERS.step_by(2), core::ops::RangeInclusive::new(1, 0).step_by(2)),
    };
    fine.chain(coarse)
}

/// The report in the text format of Prometheus, version 0.0.4. Which series there are, say [`SERIES`].
///
/// ```
/// use spanwire_core::framing::sp::Protocol;
/// use spanwire_core::snapshot::Snapshot;
/// use spanwire_core::watch::{Detail, Report, prometheus};
///
/// let mut jobs = Snapshot::new(Protocol::Push);
/// jobs.name = "jobs".into();
/// jobs.ledger.sent_messages = 3;
/// let mut report = Report::default();
/// report.sockets.push(jobs);
/// let text = prometheus(&report, Detail::Sockets);
/// assert!(text.contains("spanwire_sent_messages_total{socket=\"jobs\",protocol=\"push\"} 3\n"));
/// ```
pub fn prometheus(report: &Report, detail: Detail) -> String {
    let mut out = String::with_capacity(4_096 * (1 + report.sockets.len() + report.muxes.len()));
    for series in SERIES.iter().filter(|series| series.detail <= detail) {
        let name = series.full_name();
        let mut headed = false;
        series.read(report, |labels, value| {
            if !headed {
                head(&mut out, series, &name);
                headed = true;
            }
            match value {
                Value::Count(count) => line(&mut out, &name, "", labels, None, &count),
                Value::Span(span) => line(&mut out, &name, "", labels, None, &Seconds(span)),
                Value::Spans(spans) => histogram(&mut out, &name, labels, series.detail, spans),
            }
        });
    }
    out
}

fn head(out: &mut String, series: &Series, name: &dyn Display) {
    let kind = match series.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    };
    // Our own sentences have nothing in them that would have to be escaped.
    let _ = writeln!(out, "# HELP {name} {}\n# TYPE {name} {kind}", series.help);
}

fn histogram(out: &mut String, name: &dyn Display, labels: Labels<'_>, detail: Detail, spans: &Histogram) {
    for power in bounds(detail) {
        // A value equal to the bound counts as below it, and ours are below the power.
        let bound = Seconds(Duration::from_nanos((1 << power) - 1));
        line(out, name, "_bucket", labels, Some(&bound), &spans.below_power(power));
    }
    line(out, name, "_bucket", labels, Some(&"+Inf"), &spans.count());
    line(out, name, "_sum", labels, None, &Seconds(spans.sum()));
    line(out, name, "_count", labels, None, &spans.count());
}

fn line(
    out: &mut String,
    name: &dyn Display,
    part: &str,
    labels: Labels<'_>,
    bound: Option<&dyn Display>,
    value: &dyn Display,
) {
    let _ = write!(out, "{name}{part}");
    let mut before = '{';
    for (key, value) in labels.all() {
        let _ = write!(out, "{before}{key}=\"{}\"", Escaped(value));
        before = ',';
    }
    if let Some(bound) = bound {
        let _ = write!(out, ",le=\"{bound}\"");
    }
    let _ = writeln!(out, "}} {value}");
}

/// The value of a label: `\`, `"` and line ends are escaped.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for char in self.0.chars() {
            match char {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                char => f.write_char(char)?,
            }
        }
        Ok(())
    }
}

/// A span in seconds, with no digit lost and none too many.
struct Seconds(Duration);

impl Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut nanos, mut digits) = (self.0.subsec_nanos(), 9);
        while digits > 0 && nanos % 10 == 0 {
            nanos /= 10;
            digits -= 1;
        }
        match digits {
            0 => write!(f, "{}", self.0.as_secs()),
            _ => write!(f, "{}.{nanos:0digits$}", self.0.as_secs()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Dropped, Latency};
    use crate::framing::sp::Protocol;
    use crate::snapshot::{PeerSnapshot, Snapshot};
    use alloc::format;
    use alloc::string::ToString;

    fn report() -> Report {
        let mut socket = Snapshot::new(Protocol::Req);
        socket.name = "a \"quoted\\\nname".into();
        socket.ledger.count_dropped(Dropped::PipeLost);
        socket.latencies.record(Latency::Reply, Duration::from_nanos(1_023));
        socket.latencies.record(Latency::Reply, Duration::from_nanos(1_024));
        socket.latencies.record(Latency::Reply, Duration::from_secs(1 << 40));
        let mut peer = PeerSnapshot { pipe: 7, remote: "[::1]:5".into(), ..PeerSnapshot::default() };
        peer.latencies.record(Latency::Reply, Duration::from_millis(1));
        socket.peers.push(peer);
        let mut report = Report::default();
        report.sockets.push(socket);
        report
    }

    #[test]
    fn labels_are_escaped() {
        let text = prometheus(&report(), Detail::Sockets);
        let labels = r#"{socket="a \"quoted\\\nname",protocol="req""#;
        assert!(
            text.contains(&format!("spanwire_dropped_messages_total{labels},reason=\"PipeLost\"}} 1\n")),
            "{text}"
        );
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            assert!(line.contains(labels), "{line}");
        }
    }

    #[test]
    fn every_series_is_headed_once_in_front_of_its_lines() {
        let mut twice = report();
        twice.sockets.extend(report().sockets);
        let text = prometheus(&twice, Detail::Peers);
        for series in SERIES {
            let name = series.full_name().to_string();
            let heads = text.matches(&format!("# TYPE {name} ")).count();
            let lines = text.lines().filter(|line| line.split(['{', ' ']).next() == Some(&name)).count();
            let some = lines > 0 || text.contains(&format!("{name}_bucket"));
            assert_eq!(heads, usize::from(some), "{name}");
        }
    }

    #[test]
    fn buckets_rise_and_end_with_all() {
        let text = prometheus(&report(), Detail::Sockets);
        let of = |bound: &str| {
            let part = format!("le=\"{bound}\"}} ");
            text.lines().find_map(|line| line.split_once(&part)).map(|(_, count)| count.to_string())
        };
        assert_eq!(of("0.000001023").as_deref(), Some("1"), "{text}");
        assert_eq!(of("0.000002047").as_deref(), Some("2"));
        assert_eq!(of("4503599.627370495").as_deref(), Some("2"));
        assert_eq!(of("+Inf").as_deref(), Some("3"));
        assert!(text.contains("spanwire_latency_seconds_count{"), "{text}");
    }

    #[test]
    fn peers_are_told_only_when_asked_for() {
        assert!(!prometheus(&report(), Detail::Sockets).contains("spanwire_peer_"));
        let text = prometheus(&report(), Detail::Peers);
        assert!(text.contains("peer=\"[::1]:5\",pipe=\"7\"} 0\n"), "{text}");
        let of_peer = "pipe=\"7\",what=\"Reply\",le=";
        let mut bounds = text.lines().filter_map(|line| line.split_once(of_peer).map(|(_, rest)| rest));
        assert_eq!(bounds.next(), Some("\"0.000001023\"} 0"), "{text}");
        assert_eq!(bounds.clone().count(), 14, "{text}");
        assert_eq!(bounds.next_back(), Some("\"+Inf\"} 1"));
    }

    #[test]
    fn multiplexed_connections_have_series_of_their_own() {
        use crate::mux::snapshot::{MuxChannelSnapshot, MuxConnectionSnapshot, MuxRole, MuxSnapshot};
        let mut tunnel = MuxSnapshot::new(MuxRole::Pool);
        tunnel.name = "tunnel".into();
        let mut connection =
            MuxConnectionSnapshot { number: 3, url: "tcp://a:1".into(), ..Default::default() };
        connection.stats.channels = 2;
        let mut slow = MuxChannelSnapshot { number: 5, id: "slow \"one\"".into(), ..Default::default() };
        (slow.stats.stalled_by_peer, slow.stats.recv_waiting) = (7, 4);
        connection.channels.push(slow);
        tunnel.connections =
            alloc::vec![connection.clone(), MuxConnectionSnapshot { number: 4, ..connection }];
        let mut report = Report::default();
        report.muxes.push(tunnel);
        let few = prometheus(&report, Detail::Sockets);
        assert!(few.contains("spanwire_mux_channels{mux=\"tunnel\",role=\"pool\"} 4\n"), "{few}");
        assert!(!few.contains("connection=\""), "{few}");
        let all = prometheus(&report, Detail::Peers);
        let labels = r#"{mux="tunnel",role="pool",connection="4",id="slow \"one\"",channel="5""#;
        assert!(all.contains(&format!("spanwire_mux_channel_stalls_total{labels}}} 7\n")), "{all}");
        let queue = format!("spanwire_mux_channel_queue_messages{labels},queue=\"incoming\"}} 4\n");
        assert!(all.contains(&queue), "{all}");
        assert!(!all.contains("round_trip_seconds{"), "none was measured: {all}");
    }

    #[test]
    fn seconds_keep_their_digits() {
        let told = |nanos| Seconds(Duration::from_nanos(nanos)).to_string();
        assert_eq!(told(0), "0");
        assert_eq!(told(1), "0.000000001");
        assert_eq!(told(1_500_000_000), "1.5");
        assert_eq!(told(60_000_000_000), "60");
        assert_eq!(told(1_000_000_010), "1.00000001");
    }

    #[test]
    fn nothing_to_tell_is_no_text() {
        assert_eq!(prometheus(&Report::default(), Detail::Peers), "");
    }
}
