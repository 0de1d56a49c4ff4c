//! The command line.

use crate::plan::{Mode, Selection};
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::time::Duration;

pub(crate) const HELP: &str = "\
Measures Spanwire beside the same work done with raw sockets, in the same run.

usage: spanwire-bench [OPTION]...   measure and print a table
       spanwire-bench smoke         move a few messages through every workload; no timing

  --only WORDS    run a part: comma-separated words, for example push,tcp,64
                    work       req push
                    transport  tcp ipc inproc
                    body       64, 1k, 64k, 1m, or any size
                    mode       split (different cores), same (one core), free (not pinned),
                               runtime (inproc: two tasks of one runtime)
                    subject    async blocking async-many blocking-many async-threads
                  words of one kind widen the choice, words of different kinds narrow it
  --rounds N      how often each subject runs, in turn with the others (default 5)
  --millis N      how long one run lasts (default 200)
  --quick         3 rounds of 100 ms
  --json FILE     also write every figure to FILE
  --syscalls      count system calls per message with strace instead of measuring time
  --instructions  count instructions per message with valgrind instead of measuring time
  --list          print the chosen workloads
  --help          print this
";

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    Help,
    List,
    Measure,
    Smoke,
    Syscalls,
    Instructions,
}

/// What the command line asked for.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) task: Task,
    pub(crate) selection: Selection,
    pub(crate) rounds: usize,
    pub(crate) duration: Duration,
    pub(crate) json: Option<PathBuf>,
}

/// Reads the command line.
pub(crate) fn parse(arguments: &[String]) -> Result<Options> {
    let mut options = Options {
        task: Task::Measure,
        selection: Selection::default(),
        rounds: 5,
        duration: Duration::from_millis(200),
        json: None,
    };
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let (name, attached) = match argument.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (argument.as_str(), None),
        };
        let mut value = || {
            attached
                .or_else(|| rest.next().map(String::as_str))
                .with_context(|| format!("{name} needs a value"))
        };
        match name {
            "--only" => options.selection.add(value()?)?,
            "--rounds" => options.rounds = number(name, value()?)?,
            "--millis" => options.duration = Duration::from_millis(number(name, value()?)? as u64),
            "--json" => options.json = Some(value()?.into()),
            "--quick" => (options.rounds, options.duration) = (3, Duration::from_millis(100)),
            "--syscalls" => options.task = Task::Syscalls,
            "--instructions" => options.task = Task::Instructions,
            "--list" => options.task = Task::List,
            "--help" | "-h" => options.task = Task::Help,
            "smoke" => options.task = Task::Smoke,
            _ => bail!("unknown argument {argument:?}; --help lists them"),
        }
    }
    if matches!(options.task, Task::Syscalls | Task::Instructions) {
        // Counts do not depend on the core; one of the two would only repeat the other.
        options.selection.default_modes(&[Mode::Split]);
    }
    Ok(options)
}

fn number(name: &str, text: &str) -> Result<usize> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => bail!("{name} needs a number above 0, not {text:?}"),
    }
}
