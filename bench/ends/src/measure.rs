//! What an end tells the parent after a job.

use anyhow::{Context, Result, bail};
use std::fmt;
use std::str::FromStr;

macro_rules! figures {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What one end has to say after a job. Figures that a work has not are 0, and are not told.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Measure {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Measure {
            /// Every figure with its name.
            pub fn figures(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name),)*]
            }

            fn figure(&mut self, name: &str) -> Option<&mut u64> {
                match name {
                    $(stringify!($name) => Some(&mut self.$name),)*
                    _ => None,
                }
            }
        }
    };
}

figures! {
    /// Messages received, or round trips done; a sender reports what it sent.
    count,
    /// Messages that the library counted as dropped, or that are known not to have come.
    lost,
    /// How many of `count` fell into the measured time.
    timed,
    /// The measured time.
    nanos,
    /// Of one message or round trip: the median.
    p50_nanos,
    /// Ninety-nine of a hundred are faster.
    p99_nanos,
    /// Nine hundred and ninety-nine of a thousand are faster.
    p999_nanos,
    /// How often this end's threads gave up their CPU, by waiting or by force.
    switches,
    /// CPU time of this end during the job, user and system.
    cpu_nanos,
    /// How much memory this end has more than before; `idle`.
    rss_bytes,
    /// How much it had more at most; `outrun`.
    peak_bytes,
    /// How much its options allow it to keep; `outrun`. 0: there is no bound.
    bound_bytes,
    /// How many messages came from the one of which the fewest came; `pushers`.
    least,
    /// How many came from the one of which the most came; `pushers`.
    most,
    /// Messages moved beside those that are counted; `mixed`.
    other,
}

impl Measure {
    /// The answer of an end that only moves messages.
    pub fn moved(count: u64) -> Self {
        Self { count, ..Self::default() }
    }

    /// Nanoseconds per message or round trip.
    pub fn mean_nanos(&self) -> f64 {
        self.nanos as f64 / self.timed.max(1) as f64
    }

    /// Messages a second.
    pub fn per_second(&self) -> f64 {
        self.timed as f64 * 1e9 / self.nanos.max(1) as f64
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "count={}", self.count)?;
        let told = |(name, value): &(&str, u64)| *name != "count" && *value != 0;
        self.figures().into_iter().filter(told).try_for_each(|(name, value)| write!(f, " {name}={value}"))
    }
}

impl FromStr for Measure {
    type Err = anyhow::Error;

    fn from_str(line: &str) -> Result<Self> {
        let mut measure = Self::default();
        for word in line.split_whitespace() {
            let (name, value) = word.split_once('=').context("a figure is NAME=VALUE")?;
            match measure.figure(name) {
                Some(figure) => *figure = value.parse().with_context(|| format!("{word} is no figure"))?,
                None => bail!("there is no figure called {name}"),
            }
        }
        Ok(measure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measure_reads_back() {
        let measure = Measure { count: 9, timed: 8, nanos: 7, switches: 3, most: 2, ..Measure::default() };
        assert_eq!(measure.to_string().parse::<Measure>().unwrap(), measure);
        assert_eq!(Measure::default().to_string(), "count=0");
        assert!("count=1 tuoc=2".parse::<Measure>().is_err());
    }
}
