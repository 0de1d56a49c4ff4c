//! The table and the JSON file. Figures are medians over the rounds, with the lowest and the highest;
//! ratios are between medians.

use crate::measure::Measure;
use crate::options::Options;
use crate::pin;
use crate::plan::{Cell, Subject, Word, Work};
use crate::run::Outcome;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::path::Path;

/// Says where and how this runs.
pub(crate) fn head(options: &Options) {
    let machine = machine();
    println!(
        "{}, {} CPUs, {}; load {}",
        machine["cpu"].as_str().unwrap_or("unknown CPU"),
        machine["cpus"],
        machine["kernel"].as_str().unwrap_or("unknown kernel"),
        machine["load"].as_str().unwrap_or("unknown"),
    );
    match pin::cpus() {
        Some((client, server)) => {
            println!("split: client on CPU {client}, server on CPU {server}; same: both on CPU {client}")
        }
        None => println!("split left out: there are no two CPUs to pin to"),
    }
    println!(
        "{} rounds of {} ms, subjects in turn; median [lowest..highest]",
        options.rounds,
        options.duration.as_millis()
    );
}

/// Prints one cell.
pub(crate) fn cell(cell: &Cell, outcomes: &[Outcome]) {
    println!();
    match cell.work {
        Work::RoundTrip => println!(
            "{:<24}{:>26}{:>26}{:>8}{:>8}{:>10}{:>10}{:>10}",
            cell.to_string(),
            "p50 us",
            "mean us",
            "p99",
            "p99.9",
            "switches",
            "p50/lim",
            "mean/lim"
        ),
        Work::OneWay => println!(
            "{:<24}{:>26}{:>26}{:>10}{:>10}",
            cell.to_string(),
            "M msg/s",
            "GB/s",
            "switches",
            "/limit"
        ),
    }
    let limit = outcomes.iter().find(|outcome| outcome.subject == Subject::Limit);
    for outcome in outcomes {
        let name = format!("  {}", outcome.subject.word());
        if let Some(reason) = &outcome.void {
            println!("{name:<24}{reason}");
            continue;
        }
        let of = |figure: Figure| Spread::of(&outcome.rounds, figure);
        let ratio = |figure: Figure| match limit {
            Some(limit) if limit.subject != outcome.subject && limit.void.is_none() => {
                format!("{:.2}", of(figure).median / Spread::of(&limit.rounds, figure).median)
            }
            _ => "-".to_owned(),
        };
        match cell.work {
            Work::RoundTrip => println!(
                "{name:<24}{:>26}{:>26}{:>8}{:>8}{:>10.3}{:>10}{:>10}",
                of(p50_us).text(),
                of(mean_us).text(),
                short(of(p99_us).median),
                short(of(p999_us).median),
                of(switches).median,
                ratio(p50_us),
                ratio(mean_us)
            ),
            Work::OneWay => {
                let gigabytes = |measure: &Measure| millions(measure) * cell.body_bytes as f64 / 1e3;
                // Inproc hands bodies over by reference: no byte moves.
                let bytes = match cell.is_between_processes() {
                    true => Spread::of(&outcome.rounds, gigabytes).text(),
                    false => "-".to_owned(),
                };
                println!(
                    "{name:<24}{:>26}{:>26}{:>10.5}{:>10}",
                    of(millions).text(),
                    bytes,
                    of(switches).median,
                    ratio(millions)
                );
            }
        }
    }
}

/// One number of a round.
type Figure = fn(&Measure) -> f64;

fn p50_us(measure: &Measure) -> f64 {
    measure.p50_nanos as f64 / 1e3
}

fn p99_us(measure: &Measure) -> f64 {
    measure.p99_nanos as f64 / 1e3
}

fn p999_us(measure: &Measure) -> f64 {
    measure.p999_nanos as f64 / 1e3
}

fn mean_us(measure: &Measure) -> f64 {
    measure.mean_nanos() / 1e3
}

fn millions(measure: &Measure) -> f64 {
    measure.per_second() / 1e6
}

fn switches(measure: &Measure) -> f64 {
    measure.switches as f64 / measure.count.max(1) as f64
}

/// One number over all rounds.
#[derive(Clone, Copy, Debug)]
struct Spread {
    lowest: f64,
    median: f64,
    highest: f64,
}

impl Spread {
    fn of(rounds: &[Measure], figure: impl Fn(&Measure) -> f64) -> Self {
        let mut values: Vec<f64> = rounds.iter().map(figure).collect();
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        let (low, high) = (values.len().saturating_sub(1) / 2, values.len() / 2);
        Self {
            lowest: at(0),
            median: (at(low) + at(high)) / 2.0,
            highest: at(values.len().saturating_sub(1)),
        }
    }

    fn text(&self) -> String {
        format!("{} [{}..{}]", short(self.median), short(self.lowest), short(self.highest))
    }

    fn json(&self) -> Value {
        json!({ "lowest": self.lowest, "median": self.median, "highest": self.highest })
    }
}

/// Three significant digits or so.
fn short(number: f64) -> String {
    match number {
        number if number >= 100.0 => format!("{number:.0}"),
        number if number >= 10.0 => format!("{number:.1}"),
        number if number >= 1.0 => format!("{number:.2}"),
        number => format!("{number:.4}"),
    }
}

/// Writes every figure of every round.
pub(crate) fn write_json(path: &Path, options: &Options, results: &[(Cell, Vec<Outcome>)]) -> Result<()> {
    let cells: Vec<Value> = results.iter().map(|(cell, outcomes)| cell_json(cell, outcomes)).collect();
    let document = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "machine": machine(),
        "pinned_to": pin::cpus(),
        "rounds": options.rounds,
        "round_millis": options.duration.as_millis() as u64,
        "cells": cells,
    });
    let text = serde_json::to_string_pretty(&document)?;
    std::fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))
}

fn cell_json(cell: &Cell, outcomes: &[Outcome]) -> Value {
    let limit = outcomes.iter().find(|outcome| outcome.subject == Subject::Limit);
    let figures: &[(&str, Figure)] = match cell.work {
        Work::RoundTrip => &[
            ("p50_us", p50_us),
            ("mean_us", mean_us),
            ("p99_us", p99_us),
            ("p999_us", p999_us),
            ("switches_per_round_trip", switches),
        ],
        Work::OneWay => &[("million_messages_per_second", millions), ("switches_per_message", switches)],
    };
    let subjects = outcomes.iter().map(|outcome| {
        let mut value = json!({
            "subject": outcome.subject.word(),
            "void": outcome.void,
            "rounds": outcome.rounds.iter().map(round_json).collect::<Vec<_>>(),
        });
        for (name, figure) in figures {
            let spread = Spread::of(&outcome.rounds, figure);
            value[*name] = spread.json();
            if let Some(limit) = limit {
                let ratio = spread.median / Spread::of(&limit.rounds, figure).median;
                value[format!("{name}_to_limit")] = json!(ratio);
            }
        }
        value
    });
    json!({
        "work": cell.work.word(),
        "transport": cell.transport.word(),
        "body_bytes": cell.body_bytes,
        "mode": cell.mode.word(),
        "subjects": subjects.collect::<Vec<_>>(),
    })
}

fn round_json(measure: &Measure) -> Value {
    json!({
        "count": measure.count,
        "timed": measure.timed,
        "nanos": measure.nanos,
        "p50_nanos": measure.p50_nanos,
        "p99_nanos": measure.p99_nanos,
        "p999_nanos": measure.p999_nanos,
        "switches": measure.switches,
    })
}

/// What can be read of the machine without asking anybody; null where it cannot.
fn machine() -> Value {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let cpu = read("/proc/cpuinfo").and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    });
    let kernel =
        read("/proc/sys/kernel/osrelease").map(|text| format!("{} {}", std::env::consts::OS, text.trim()));
    let load = read("/proc/loadavg").and_then(|text| Some(text.split_whitespace().next()?.to_owned()));
    let cpus = std::thread::available_parallelism().map(usize::from).ok();
    json!({ "cpu": cpu, "cpus": cpus, "kernel": kernel, "load": load })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        let rounds: Vec<Measure> = [4, 1, 3, 2].map(|count| Measure { count, ..Measure::default() }).to_vec();
        let spread = Spread::of(&rounds, |measure| measure.count as f64);
        assert_eq!((spread.lowest, spread.median, spread.highest), (1.0, 2.5, 4.0));
    }
}
