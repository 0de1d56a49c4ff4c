//! How nanocat reads a command line.
//!
//! * `--name value`, `--name=value`; names may be abbreviated while one flag fits.
//! * `-n value`, `-nvalue`; one-letter flags cluster, as in `-vqDx`.
//! * `-` and `--` mean nothing; every other argument that is no flag is an error.
//! * Effects happen in the order of the command line; help ends it.

use super::options::FLAGS;
use crate::cat::format::Dialect;
use crate::cat::settings::Settings;
use crate::failure::Failure;
use crate::flags::{Flag, NoFlag, by_letter, by_name};
use std::time::Duration;

/// Reads a command line into `settings`; returns the flags that it used.
pub(crate) fn parse(args: Vec<Vec<u8>>, settings: &mut Settings) -> Result<Vec<&'static Flag>, Failure> {
    debug_assert_eq!(settings.dialect, Dialect::Nanocat);
    let mut used = Vec::new();
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        if settings.ask.is_some() {
            break;
        }
        match arg.as_slice() {
            b"-" | b"--" => {}
            [b'-', b'-', long @ ..] => {
                let (flag, attached) = find_long(&arg, long)?;
                used.push(flag);
                apply(flag, attached, &mut args, settings)?;
            }
            [b'-', cluster @ ..] => read_cluster(cluster, &mut args, settings, &mut used)?,
            _ => {
                let arg = String::from_utf8_lossy(&arg);
                return Err(Failure::usage(format!("{arg:?} is no flag: values belong to a flag")));
            }
        }
    }
    Ok(used)
}

fn apply(
    flag: &'static Flag,
    attached: Option<&[u8]>,
    rest: &mut impl Iterator<Item = Vec<u8>>,
    settings: &mut Settings,
) -> Result<(), Failure> {
    let value = match (flag.value, attached) {
        (None, None) => Vec::new(),
        (None, Some(_)) => {
            return Err(Failure::usage(format!("{} takes no value: leave it out", flag.title())));
        }
        (Some(_), Some(attached)) => attached.to_vec(),
        (Some(what), None) => rest
            .next()
            .ok_or_else(|| Failure::usage(format!("{} needs a value: its <{what}>", flag.title())))?,
    };
    (flag.set)(settings, &value)
}

/// The flag of `--name`, and the value after `=`.
fn find_long<'a>(arg: &[u8], long: &'a [u8]) -> Result<(&'static Flag, Option<&'a [u8]>), Failure> {
    let (name, value) = match long.iter().position(|byte| *byte == b'=') {
        Some(end) => (&long[..end], Some(&long[end + 1..])),
        None => (long, None),
    };
    let found = if name.is_empty() { Err(NoFlag::Unknown) } else { by_name(FLAGS, name) };
    let arg = String::from_utf8_lossy(arg);
    let flag = found.map_err(|none| {
        Failure::usage(match none {
            NoFlag::Unknown => format!("{arg} is no flag: --help lists them"),
            NoFlag::Ambiguous(names) => {
                format!("{arg} can mean --{}: write more of it", names.join(", --"))
            }
        })
    })?;
    Ok((flag, value))
}

/// One-letter flags; the first that takes a value takes the rest of the argument, or the next one.
fn read_cluster(
    mut cluster: &[u8],
    rest: &mut impl Iterator<Item = Vec<u8>>,
    settings: &mut Settings,
    used: &mut Vec<&'static Flag>,
) -> Result<(), Failure> {
    while let [letter, after @ ..] = cluster {
        let Some(flag) = by_letter(FLAGS, *letter) else {
            let letter = letter.escape_ascii();
            return Err(Failure::usage(format!("-{letter} is no flag: --help lists them")));
        };
        used.push(flag);
        let takes_rest = flag.value.is_some();
        apply(flag, Some(after).filter(|after| takes_rest && !after.is_empty()), rest, settings)?;
        if takes_rest || settings.ask.is_some() {
            break;
        }
        cluster = after;
    }
    Ok(())
}

/// Seconds that may be negative, which means for ever.
pub(crate) fn period(text: &[u8]) -> Result<Option<Duration>, Failure> {
    let seconds = float(text)?;
    Ok((seconds >= 0.0).then(|| duration(seconds)))
}

/// Seconds that may not.
pub(crate) fn pause(text: &[u8]) -> Result<Duration, Failure> {
    let seconds = float(text)?;
    if seconds >= 0.0 && seconds.is_finite() {
        return Ok(duration(seconds));
    }
    let text = String::from_utf8_lossy(text);
    Err(Failure::usage(format!("nobody can wait {text} seconds: --delay takes 0 or more")))
}

/// A decimal number, perhaps after spaces.
fn float(text: &[u8]) -> Result<f64, Failure> {
    let number = text.trim_ascii_start();
    let number = std::str::from_utf8(number).ok().and_then(|number| number.parse().ok());
    number.ok_or_else(|| {
        let text = String::from_utf8_lossy(text);
        Failure::usage(format!("{text:?} is not a number of seconds"))
    })
}

/// Cut to milliseconds, as in nanocat, and to a hundred years.
fn duration(seconds: f64) -> Duration {
    const LONGEST_MS: f64 = 100.0 * 366.0 * 86_400_000.0;
    Duration::from_millis((seconds * 1000.0).min(LONGEST_MS) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cat::settings::Ask;

    fn read(line: &[&str]) -> Result<Settings, Failure> {
        let mut settings = Settings::new(Dialect::Nanocat);
        parse(line.iter().map(|arg| arg.as_bytes().to_vec()).collect(), &mut settings)?;
        Ok(settings)
    }

    fn data(line: &[&str]) -> Vec<u8> {
        read(line).unwrap().data.unwrap().to_vec()
    }

    #[test]
    fn a_value_comes_after_a_space_or_an_equals_sign_but_no_colon() {
        assert_eq!(data(&["--data", "x"]), b"x");
        assert_eq!(data(&["--dat=x:y"]), b"x:y");
        assert_eq!(data(&["--data="]), b"");
        assert!(read(&["--data:x"]).is_err());
        assert!(read(&["--pub=1"]).is_err());
    }

    #[test]
    fn short_flags_cluster() {
        assert_eq!(data(&["-vqDx"]), b"x");
        assert_eq!(data(&["-vD", "x"]), b"x");
        assert_eq!(data(&["-D=x"]), b"=x");
        assert!(read(&["-vz"]).is_err());
        assert!(read(&["-vD"]).is_err());
        assert_eq!(read(&["-vhz"]).unwrap().ask, Some(Ask::Help));
    }

    #[test]
    fn dashes_alone_mean_nothing_and_words_are_errors() {
        assert_eq!(data(&["-", "-Dx", "--"]), b"x");
        assert!(read(&["-Dx", "word"]).is_err());
        assert!(read(&["-Dx", ""]).is_err());
    }

    #[test]
    fn the_last_format_counts() {
        let settings = read(&["--hex", "--raw", "--format=ascii"]).unwrap();
        assert_eq!(settings.format, Some(crate::cat::format::Format::Ascii));
    }

    #[test]
    fn seconds_have_fractions_and_negative_ones_never_end() {
        assert_eq!(period(b"0.0015").unwrap(), Some(Duration::from_millis(1)));
        assert_eq!(period(b" 1.").unwrap(), Some(Duration::from_secs(1)));
        assert_eq!(period(b"1e-1").unwrap(), Some(Duration::from_millis(100)));
        assert_eq!(period(b"-1").unwrap(), None);
        assert_eq!(period(b"nan").unwrap(), None);
        assert!(pause(b"-1").is_err());
        for bad in ["", "abc", "1x", "1 ", "1,5", "."] {
            assert!(period(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
