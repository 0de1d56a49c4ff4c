//! How nngcat reads a command line.
//!
//! * `--name value`, `--name=value`, `--name:value`; names may be abbreviated while one flag fits.
//! * `-n value`, `-nvalue`. One-letter flags do not cluster: `-vq` is no flag.
//! * Effects happen in the order of the command line; help and version end it.
//! * The first argument that is no flag ends it too. What follows is ignored, as in nngcat, where
//!   `--` is no separator but an ambiguous abbreviation.

use super::format::Dialect;
use super::options::FLAGS;
use super::settings::Settings;
use crate::failure::Failure;
use crate::flags::{Flag, NoFlag, by_letter, by_name};
use std::time::Duration;

/// Reads a command line: what it sets, and the flags that did.
pub(crate) fn parse(args: Vec<Vec<u8>>) -> Result<(Settings, Vec<&'static Flag>), Failure> {
    let mut settings = Settings::new(Dialect::Nngcat);
    let mut used = Vec::new();
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        let (flag, attached) = match arg.as_slice() {
            [b'-', b'-', long @ ..] => find_long(&arg, long)?,
            [b'-', letter, attached @ ..] => find_short(&arg, *letter, attached)?,
            _ => break,
        };
        let value = match (flag.value, attached) {
            (None, _) => Vec::new(),
            (Some(_), Some(attached)) => attached.to_vec(),
            (Some(what), None) => args.next().ok_or_else(|| {
                Failure::usage(format!("{} needs a value: its <{what}>", String::from_utf8_lossy(&arg)))
            })?,
        };
        (flag.set)(&mut settings, &value).map_err(|failure| blame(failure, flag))?;
        used.push(flag);
        if settings.ask.is_some() {
            break;
        }
    }
    Ok((settings, used))
}

/// The flag of `--name`, and the value after `=` or `:`.
fn find_long<'a>(arg: &[u8], long: &'a [u8]) -> Result<(&'static Flag, Option<&'a [u8]>), Failure> {
    let end = long.iter().position(|byte| matches!(byte, b'=' | b':'));
    let (name, value) = match end {
        Some(end) => (&long[..end], Some(&long[end + 1..])),
        None => (long, None),
    };
    let flag = by_name(FLAGS, name).map_err(|none| explain(arg, none))?;
    match (flag.value, value) {
        (None, Some(_)) => {
            Err(Failure::usage(format!("--{} takes no value: leave out what follows it", flag.names[0])))
        }
        _ => Ok((flag, value)),
    }
}

/// The flag of `-n`, and the value that follows without a space.
fn find_short<'a>(
    arg: &[u8],
    letter: u8,
    attached: &'a [u8],
) -> Result<(&'static Flag, Option<&'a [u8]>), Failure> {
    let flag = by_letter(FLAGS, letter).ok_or_else(|| explain(arg, NoFlag::Unknown))?;
    match (flag.value, attached) {
        (_, []) => Ok((flag, None)),
        (Some(_), _) => Ok((flag, Some(attached))),
        (None, _) => {
            let arg = String::from_utf8_lossy(arg);
            Err(Failure::usage(format!("{arg} is no flag: one-letter flags are given one by one")))
        }
    }
}

fn explain(arg: &[u8], none: NoFlag) -> Failure {
    let arg = String::from_utf8_lossy(arg);
    Failure::usage(match none {
        NoFlag::Unknown => format!("{arg} is no flag: --help lists them"),
        NoFlag::Ambiguous(names) => {
            format!("{arg} can mean --{}: write more of it", names.join(", --"))
        }
    })
}

/// Puts the name of the flag in front of what is wrong with its value.
fn blame(failure: Failure, flag: &Flag) -> Failure {
    match failure {
        Failure::Usage(text) if text.starts_with(VALUE) => {
            Failure::Usage(format!("{}: {text}", flag.title()))
        }
        Failure::File(text) => Failure::File(format!("{}: {text}", flag.title())),
        other => other,
    }
}

/// The longest time that can be given, in seconds: a day, as in nngcat.
pub(crate) const DAY: i32 = 86_400;

const VALUE: &str = "the value";

/// A whole number of 0 to `max`. No sign, no space, no other base.
///
/// Numbers beyond 32 bits wrap around as they do in nngcat, which notices only the half of them
/// that come out negative; the exit status of a script must not depend on which program it runs.
pub(crate) fn whole(text: &[u8], max: i32) -> Result<i32, Failure> {
    if text.is_empty() {
        return Err(Failure::usage(format!("{VALUE} is empty: a number is needed")));
    }
    let shown = String::from_utf8_lossy(text);
    text.iter().try_fold(0_i32, |sum, byte| {
        if !byte.is_ascii_digit() {
            return Err(Failure::usage(format!("{VALUE} {shown:?} is not a whole number")));
        }
        let sum = sum.wrapping_mul(10).wrapping_add(i32::from(byte - b'0'));
        if (0..=max).contains(&sum) {
            return Ok(sum);
        }
        Err(Failure::usage(format!("{VALUE} {shown} is too large: {max} is the most")))
    })
}

/// Whole seconds, at most `max`.
pub(crate) fn seconds(text: &[u8], max: i32) -> Result<Duration, Failure> {
    Ok(Duration::from_secs(whole(text, max)?.unsigned_abs().into()))
}

/// A port; 0 lets the system choose.
pub(crate) fn port(text: &[u8]) -> Result<u16, Failure> {
    let port = whole(text, i32::from(u16::MAX))?;
    Ok(u16::try_from(port).expect("it is at most u16::MAX"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cat::settings::Ask;

    fn read(line: &[&str]) -> Result<Settings, Failure> {
        let args = line.iter().map(|arg| arg.as_bytes().to_vec()).collect();
        parse(args).map(|(settings, _)| settings)
    }

    fn data(line: &[&str]) -> Vec<u8> {
        read(line).unwrap().data.unwrap().to_vec()
    }

    #[test]
    fn a_value_comes_after_a_space_an_equals_sign_or_a_colon() {
        assert_eq!(data(&["--data", "x"]), b"x");
        assert_eq!(data(&["--data=x=y"]), b"x=y");
        assert_eq!(data(&["--data:x"]), b"x");
        assert_eq!(data(&["--da:=x"]), b"=x");
        assert_eq!(data(&["--data="]), b"");
        assert_eq!(data(&["--data", "--pub"]), b"--pub");
    }

    #[test]
    fn a_short_flag_takes_all_that_follows_as_its_value() {
        assert_eq!(data(&["-D", "x"]), b"x");
        assert_eq!(data(&["-Dx"]), b"x");
        assert_eq!(data(&["-D=x"]), b"=x");
        assert_eq!(data(&["-D:x"]), b":x");
    }

    #[test]
    fn short_flags_do_not_cluster() {
        assert!(read(&["-vq"]).is_err());
        assert!(read(&["-v", "-q"]).is_ok());
    }

    #[test]
    fn the_first_argument_that_is_no_flag_ends_the_command_line() {
        assert!(read(&["-v", "here", "--bogus"]).unwrap().verbose);
        assert!(read(&["-v", "-", "--bogus"]).is_ok());
        assert!(read(&["-v", "", "--bogus"]).is_ok());
        assert!(read(&["--"]).is_err());
    }

    #[test]
    fn help_and_version_end_it_where_they_stand() {
        assert_eq!(read(&["--vers", "--bogus"]).unwrap().ask, Some(Ask::Version));
        assert_eq!(read(&["-h", "--bogus"]).unwrap().ask, Some(Ask::Help));
        assert!(read(&["--bogus", "--version"]).is_err());
        assert!(read(&["--pub", "--sub", "--version"]).is_err());
    }

    #[test]
    fn an_abbreviation_ignores_whether_flags_take_a_value() {
        let Err(Failure::Usage(text)) = read(&["--i=1"]) else { panic!("passes") };
        assert!(text.contains("--interval, --insecure"), "{text}");
        assert!(read(&["--int=1"]).is_ok());
        let Err(Failure::Usage(text)) = read(&["--pub=1"]) else { panic!("passes") };
        assert!(text.contains("takes no value"), "{text}");
    }

    #[test]
    fn numbers_have_no_sign_no_space_and_a_limit() {
        for good in ["0", "010", "86400"] {
            assert!(whole(good.as_bytes(), DAY).is_ok(), "{good}");
        }
        for bad in ["", "-1", "+1", "1.5", " 1", "1x", "0x10", "86401", "99999x"] {
            assert!(whole(bad.as_bytes(), DAY).is_err(), "{bad}");
        }
        assert_eq!(whole(b"4294967297", i32::MAX), Ok(1));
        assert!(whole(b"2147483648", i32::MAX).is_err());
        assert_eq!(port(b"65535"), Ok(65_535));
        assert!(port(b"65536").is_err());
    }

    #[test]
    fn a_bad_value_is_blamed_on_its_flag() {
        let Err(Failure::Usage(text)) = read(&["-C", "x"]) else { panic!("passes") };
        assert_eq!(text, "--count (-C): the value \"x\" is not a whole number");
    }
}
