//! The chores of Spanwire, as `cargo xtask COMMAND`.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `suites` | the table: one row for each suite of `cargo xtask test` |
//! | `chores` | the other commands: fuzz, soak, mutants |
//! | `bench` | the benchmark, and building the libraries that it compares with |
//! | `peers` | the foreign programs and libraries that we are tested against |
//! | `checks` | what no other program checks: the oldest compiler, the core without std |
//! | `report` | running rows, the table at the end |
//! | `count` | how many tests ran, out of what a test runner printed |
//! | `run` | one command: output shown and kept, with a limit on its time |
//! | `house` | where things are: cargo's metadata |

mod bench;
mod checks;
mod chores;
mod count;
mod exposed;
mod house;
mod peers;
mod report;
mod run;
mod suites;

use house::House;
use std::process::ExitCode;

const HELP: &str = "\
cargo xtask COMMAND

  test [--require-peers] [--only SUITE,..] [--list]
                  install the peers when that is allowed, run every suite, print ran/expected
  interop         the suites that talk to foreign peers, and nothing else
  loom            the hand-off and the close state under every interleaving
  fuzz [--seconds N] [TARGET..]
                  each fuzz target for N seconds (60); needs a nightly compiler and a C++ compiler
  soak [--minutes N]
                  sockets under load and faults for N minutes (60)
  bench [WORD,..] [--peers] [ARG..]
                  measure beside raw sockets, and beside other libraries; writes into bench/runs/;
                  --help has the rest
  mutants [ARG..] cargo mutants over the pure rules, with its arguments

  --no-install    with any of these: install nothing, say what is missing
";

fn main() -> ExitCode {
    match dispatch(std::env::args().skip(1).collect()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("xtask: {why}");
            ExitCode::from(2)
        }
    }
}

/// Whether all went well, or why the command could not be understood or started.
fn dispatch(mut args: Vec<String>) -> Result<bool, String> {
    let wants_help = |args: &[String]| args.iter().any(|arg| arg == "--help" || arg == "-h");
    // The benchmark has a help of its own.
    if args.is_empty() || (args[0] != "bench" && wants_help(&args)) {
        print!("{HELP}");
        return Ok(true);
    }
    let command = args.remove(0);
    let may_install = !take_flag(&mut args, "--no-install");
    let house = |require_peers| House::open(may_install, require_peers);
    match command.as_str() {
        "test" => {
            let require_peers = take_flag(&mut args, "--require-peers");
            let list = take_flag(&mut args, "--list");
            let only = take_value(&mut args, "--only")?;
            nothing_left(&args)?;
            let rows = suites::select(only.as_deref())?;
            if list {
                report::list(&rows);
                return Ok(true);
            }
            Ok(report::run(&house(require_peers)?, &rows))
        }
        "interop" => {
            let require_peers = take_flag(&mut args, "--require-peers");
            nothing_left(&args)?;
            let rows = [&suites::PEERS, &suites::INTEROP, &suites::CLI];
            Ok(report::run(&house(require_peers)?, &rows))
        }
        "loom" => {
            nothing_left(&args)?;
            Ok(report::run(&house(false)?, &[&suites::LOOM]))
        }
        "fuzz" => {
            let seconds = number(take_value(&mut args, "--seconds")?, 60)?;
            chores::fuzz(&house(false)?, seconds, &args)
        }
        "soak" => {
            let minutes = number(take_value(&mut args, "--minutes")?, 60)?;
            nothing_left(&args)?;
            Ok(chores::soak(&house(false)?, minutes))
        }
        "bench" => {
            let with_peers = take_flag(&mut args, "--peers");
            Ok(bench::bench(&house(false)?, &args, with_peers))
        }
        "mutants" => chores::mutants(&house(false)?, &args),
        other => Err(format!("there is no command {other:?}; see cargo xtask --help")),
    }
}

fn take_flag(args: &mut Vec<String>, flag: &str) -> bool {
    let before = args.len();
    args.retain(|arg| arg != flag);
    args.len() != before
}

/// The value of `--flag VALUE` or `--flag=VALUE`, taken out of `args`.
fn take_value(args: &mut Vec<String>, flag: &str) -> Result<Option<String>, String> {
    let Some(at) = args.iter().position(|arg| arg.split('=').next() == Some(flag)) else { return Ok(None) };
    let arg = args.remove(at);
    match arg.split_once('=') {
        Some((_, value)) => Ok(Some(value.to_owned())),
        None if at < args.len() => Ok(Some(args.remove(at))),
        None => Err(format!("{flag} wants a value")),
    }
}

fn number(value: Option<String>, default: u64) -> Result<u64, String> {
    let Some(value) = value else { return Ok(default) };
    value.parse().map_err(|_| format!("{value:?} is not a whole number"))
}

fn nothing_left(args: &[String]) -> Result<(), String> {
    match args.first() {
        None => Ok(()),
        Some(arg) => Err(format!("what is {arg:?}? see cargo xtask --help")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn values_come_in_both_forms_and_are_taken_out() {
        for line in ["a --only x,y b", "a --only=x,y b"] {
            let mut args = args(line);
            assert_eq!(take_value(&mut args, "--only").unwrap().as_deref(), Some("x,y"));
            assert_eq!(args, ["a", "b"]);
        }
        assert!(take_value(&mut args("--only"), "--only").is_err());
        assert_eq!(take_value(&mut args("--onlyx 1"), "--only"), Ok(None));
    }

    #[test]
    fn a_word_nobody_knows_is_refused() {
        assert!(dispatch(args("tset")).is_err());
        assert!(dispatch(args("test --everything")).is_err());
        assert!(dispatch(args("test --only nonsense")).is_err());
        assert!(dispatch(args("soak --minutes many")).is_err());
    }
}
