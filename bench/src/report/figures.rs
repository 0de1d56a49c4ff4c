//! Which numbers a work is judged by, and how they come out of what the ends told.

use super::number::Spread;
use super::results::{Better, CellResult, Head, Kind, Row};
use crate::run::{Outcome, Round};
use crate::subject;
use spanwire_bench_ends::{Cell, LARGE_BYTES, Measure, Mux, Word, Work};

/// One number of a round.
struct Figure {
    name: &'static str,
    better: Better,
    main: bool,
    of: fn(&Cell, &Round) -> f64,
}

/// A figure that is compared.
fn main(name: &'static str, better: Better, of: fn(&Cell, &Round) -> f64) -> Figure {
    Figure { name, better, main: true, of }
}

/// A figure that stands beside it.
fn beside(name: &'static str, of: fn(&Cell, &Round) -> f64) -> Figure {
    Figure { name, better: Better::Lower, main: false, of }
}

/// What a work is judged by; the first is the one that charts show.
fn figures(cell: &Cell) -> Vec<Figure> {
    use Better::{Higher, Lower};
    match cell.work {
        Work::RoundTrip => vec![
            main("p50 us", Lower, |_, round| us(counting(round).p50_nanos)),
            main("mean us", Lower, |_, round| counting(round).mean_nanos() / 1e3),
            beside("p99 us", |_, round| us(counting(round).p99_nanos)),
            beside("p99.9 us", |_, round| us(counting(round).p999_nanos)),
            beside("switches", switches),
        ],
        Work::OneWay => {
            let mut figures = vec![main("M msg/s", Higher, millions)];
            // Inproc hands bodies over by reference: no byte moves.
            if cell.is_between_processes() {
                figures.push(beside("GB/s", |cell, round| millions(cell, round) * kilobytes(cell)));
            }
            figures.extend([beside("switches", switches), beside("lost %", lost_percent)]);
            figures
        }
        Work::Publish => vec![
            main("M deliveries/s", Higher, millions),
            beside("lost %", lost_percent),
            beside("switches", |cell, round| switches(cell, round) / f64::from(cell.many)),
        ],
        Work::Stall => vec![
            main("of unstalled", Higher, |cell, round| millions(cell, round) / baseline_millions(round)),
            beside("M deliveries/s", millions),
            beside("unstalled", |_, round| baseline_millions(round)),
            beside("lost %", lost_percent),
        ],
        Work::Flight => vec![
            main("k req/s", Higher, |cell, round| millions(cell, round) * 1e3),
            main("p99 us", Lower, |_, round| us(counting(round).p99_nanos)),
            beside("p50 us", |_, round| us(counting(round).p50_nanos)),
            beside("p99.9 us", |_, round| us(counting(round).p999_nanos)),
            beside("switches", switches),
        ],
        Work::Pushers => vec![
            main("M msg/s", Higher, millions),
            beside("of one", |cell, round| millions(cell, round) / baseline_millions(round)),
            beside("CPU ns each", |_, round| cpu_each(counting(round))),
            beside("of one's", |_, round| {
                cpu_each(counting(round)) / round.baseline.as_ref().map_or(f64::NAN, cpu_each)
            }),
            beside("most/least", |_, round| counting(round).most as f64 / counting(round).least as f64),
        ],
        Work::Threads => vec![
            main("M msg/s", Higher, millions),
            beside("of one", |cell, round| millions(cell, round) / baseline_millions(round)),
            beside("switches", switches),
        ],
        Work::Idle => vec![
            main("KiB each", Lower, |_, round| kibibytes_each(counting(round))),
            beside("CPU ms/s", |_, round| {
                counting(round).cpu_nanos as f64 * 1e3 / counting(round).nanos as f64
            }),
        ],
        Work::Load => vec![
            main("p99.9 us", Lower, |_, round| us(counting(round).p999_nanos)),
            main("p50 us", Lower, |_, round| us(counting(round).p50_nanos)),
            beside("p99 us", |_, round| us(counting(round).p99_nanos)),
            beside("k req/s", |cell, round| millions(cell, round) * 1e3),
            beside("unloaded", |_, round| of_baseline(round, |baseline| us(baseline.p999_nanos))),
        ],
        Work::Connect => vec![main("k conn/s", Higher, |cell, round| millions(cell, round) * 1e3)],
        Work::Mixed => vec![
            main("p99 us", Lower, |_, round| us(counting(round).p99_nanos)),
            main("p50 us", Lower, |_, round| us(counting(round).p50_nanos)),
            beside("p99.9 us", |_, round| us(counting(round).p999_nanos)),
            beside("p99 alone", |_, round| of_baseline(round, |baseline| us(baseline.p99_nanos))),
            beside("bulk GB/s", |_, round| {
                let bytes = counting(round).other as f64 * spanwire_bench_ends::BULK_BYTES as f64;
                bytes / counting(round).nanos as f64
            }),
        ],
        Work::Mux(work) => mux_figures(work, cell),
        Work::Outrun => vec![
            main("peak MiB", Lower, |_, round| {
                mebibytes(counting(round).peak_bytes + other(round).peak_bytes)
            }),
            beside("allowed", |_, round| {
                let bounds = [counting(round).bound_bytes, other(round).bound_bytes];
                if bounds.contains(&0) { f64::NAN } else { mebibytes(bounds.iter().sum()) }
            }),
            beside("sender", |_, round| mebibytes(other(round).peak_bytes)),
            beside("receiver", |_, round| mebibytes(counting(round).peak_bytes)),
            beside("taken", |_, round| other(round).count as f64),
        ],
    }
}

/// Those of multiplexers.
fn mux_figures(work: Mux, cell: &Cell) -> Vec<Figure> {
    use Better::{Higher, Lower};
    match work {
        Mux::Echo if cell.many == 1 => vec![
            main("p50 us", Lower, |_, round| us(counting(round).p50_nanos)),
            main("mean us", Lower, |_, round| counting(round).mean_nanos() / 1e3),
            beside("p99 us", |_, round| us(counting(round).p99_nanos)),
            beside("p99.9 us", |_, round| us(counting(round).p999_nanos)),
            beside("switches", switches),
        ],
        Mux::Echo | Mux::Links => vec![
            main("k msg/s", Higher, |cell, round| millions(cell, round) * 1e3),
            beside("p50 us", |_, round| us(counting(round).p50_nanos)),
            beside("p99 us", |_, round| us(counting(round).p99_nanos)),
            beside("p99.9 us", |_, round| us(counting(round).p999_nanos)),
            beside("switches", switches),
        ],
        Mux::Send | Mux::Recv => vec![
            main("M msg/s", Higher, millions),
            beside("GB/s", |cell, round| millions(cell, round) * kilobytes(cell)),
            beside("switches", switches),
        ],
        Mux::Mixed => vec![
            main("p99 us", Lower, |_, round| us(other(round).p99_nanos)),
            main("p50 us", Lower, |_, round| us(other(round).p50_nanos)),
            beside("p99.9 us", |_, round| us(other(round).p999_nanos)),
            main("bulk GB/s", Higher, |_, round| counting(round).per_second() * LARGE_BYTES as f64 / 1e9),
            beside("echoes", |_, round| other(round).other as f64),
        ],
        Mux::Idle => vec![
            main("KiB each", Lower, |_, round| {
                kibibytes_each(counting(round)) + kibibytes_each(other(round))
            }),
            beside("server", |_, round| kibibytes_each(counting(round))),
            beside("client", |_, round| kibibytes_each(other(round))),
            beside("CPU ms/s", |_, round| {
                let nanos = counting(round).cpu_nanos + other(round).cpu_nanos;
                nanos as f64 * 1e3 / counting(round).nanos as f64
            }),
        ],
    }
}

fn counting(round: &Round) -> &Measure {
    &round.told.counting
}

fn other(round: &Round) -> &Measure {
    &round.told.other
}

fn us(nanos: u64) -> f64 {
    nanos as f64 / 1e3
}

fn kibibytes_each(measure: &Measure) -> f64 {
    measure.rss_bytes as f64 / 1024.0 / measure.count as f64
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn kilobytes(cell: &Cell) -> f64 {
    cell.body_bytes as f64 / 1e3
}

fn millions(_: &Cell, round: &Round) -> f64 {
    counting(round).per_second() / 1e6
}

fn of_baseline(round: &Round, of: fn(&Measure) -> f64) -> f64 {
    round.baseline.as_ref().map_or(f64::NAN, of)
}

fn baseline_millions(round: &Round) -> f64 {
    of_baseline(round, |baseline| baseline.per_second() / 1e6)
}

/// Of both ends, for each message or round trip.
fn switches(_: &Cell, round: &Round) -> f64 {
    round.told.switches() as f64 / counting(round).count.max(1) as f64
}

fn cpu_each(measure: &Measure) -> f64 {
    measure.cpu_nanos as f64 / measure.count as f64
}

/// Of what should have come, how much did not.
fn lost_percent(cell: &Cell, round: &Round) -> f64 {
    let received = counting(round).count as f64;
    let sent = match cell.work {
        Work::Publish | Work::Stall => other(round).count as f64 * f64::from(cell.many),
        _ => received + round.told.lost() as f64,
    };
    (sent - received) * 100.0 / sent
}

/// The numbers of a cell.
pub(crate) fn cell(cell: &Cell, outcomes: &[Outcome]) -> CellResult {
    let figures = figures(cell);
    let spread = |outcome: &Outcome, of: fn(&Cell, &Round) -> f64| -> Spread {
        Spread::of(outcome.rounds.iter().map(|round| of(cell, round)).collect())
    };
    let row = |outcome: &Outcome| Row {
        subject: outcome.subject.word().to_owned(),
        kind: match outcome.subject.kind() {
            subject::Kind::Limit => Kind::Limit,
            subject::Kind::Ours => Kind::Ours,
            subject::Kind::Peer => Kind::Peer,
        },
        void: outcome.void.clone(),
        spreads: figures.iter().map(|figure| spread(outcome, figure.of)).collect(),
    };
    let head =
        |figure: &Figure| Head { name: figure.name.to_owned(), better: figure.better, main: figure.main };
    CellResult {
        work: cell.work.word().to_owned(),
        transport: cell.transport.word().to_owned(),
        body_bytes: cell.body_bytes,
        mode: cell.mode.word().to_owned(),
        many: cell.many,
        title: cell.to_string(),
        heads: figures.iter().map(head).collect(),
        rows: outcomes.iter().map(row).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pair::Told;
    use spanwire_bench_ends::{Mode, Transport};

    #[test]
    fn every_work_has_a_main_figure_and_it_comes_first() {
        for (_, work) in Work::WORDS {
            let (transport, mode) = (Transport::Tcp, Mode::Split);
            let cell = Cell { work: *work, transport, body_bytes: 64, mode, many: 1 };
            assert!(figures(&cell)[0].main);
        }
    }

    #[test]
    fn loss_is_what_did_not_come_of_all_deliveries() {
        let (transport, mode) = (Transport::Tcp, Mode::Split);
        let cell = Cell { work: Work::Publish, transport, body_bytes: 64, mode, many: 8 };
        let told = Told { counting: Measure::moved(600), other: Measure::moved(100) };
        assert_eq!(lost_percent(&cell, &Round { told, baseline: None }), 25.0);
    }
}
