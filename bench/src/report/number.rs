//! Numbers for people, and their spread over the rounds.

use serde::{Deserialize, Serialize};

/// One number over all rounds: lowest, median, highest.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "[Option<f64>; 3]", from = "[Option<f64>; 3]")]
pub(crate) struct Spread {
    pub(crate) lowest: f64,
    pub(crate) median: f64,
    pub(crate) highest: f64,
}

impl Spread {
    /// Of the same figure in every round.
    pub(crate) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        let (low, high) = (values.len().saturating_sub(1) / 2, values.len() / 2);
        Self {
            lowest: at(0),
            median: (at(low) + at(high)) / 2.0,
            highest: at(values.len().saturating_sub(1)),
        }
    }

    /// `12.3 [11.0..14.1]`.
    pub(crate) fn text(&self) -> String {
        format!("{} [{}..{}]", short(self.median), short(self.lowest), short(self.highest))
    }
}

// Four digits are more than the figures are good for, and keep the files small. JSON has no NaN.
impl From<Spread> for [Option<f64>; 3] {
    fn from(spread: Spread) -> Self {
        [spread.lowest, spread.median, spread.highest].map(|number| number.is_finite().then(|| four(number)))
    }
}

impl From<[Option<f64>; 3]> for Spread {
    fn from([lowest, median, highest]: [Option<f64>; 3]) -> Self {
        let number = |number: Option<f64>| number.unwrap_or(f64::NAN);
        Self { lowest: number(lowest), median: number(median), highest: number(highest) }
    }
}

fn four(number: f64) -> f64 {
    format!("{number:.3e}").parse().unwrap_or(number)
}

/// Three significant digits or so.
pub(crate) fn short(number: f64) -> String {
    match number {
        number if number.is_nan() => "-".to_owned(),
        number if number.is_infinite() => "inf".to_owned(),
        0.0 => "0".to_owned(),
        number if number >= 100.0 => format!("{number:.0}"),
        number if number >= 10.0 => format!("{number:.1}"),
        number if number >= 1.0 => format!("{number:.2}"),
        number if number >= 0.1 => format!("{number:.3}"),
        number => format!("{number:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        let spread = Spread::of(vec![4.0, 1.0, 3.0, 2.0]);
        assert_eq!((spread.lowest, spread.median, spread.highest), (1.0, 2.5, 4.0));
    }

    #[test]
    fn no_round_is_no_number() {
        let text = serde_json::to_string(&Spread::of(Vec::new())).unwrap();
        assert_eq!(text, "[null,null,null]");
        assert!(serde_json::from_str::<Spread>(&text).unwrap().median.is_nan());
    }

    #[test]
    fn spreads_are_kept_with_four_digits() {
        let text = serde_json::to_string(&Spread::of(vec![1.23456, 12345.6, 0.000123456])).unwrap();
        assert_eq!(text, "[0.0001235,1.235,12350.0]");
    }
}
