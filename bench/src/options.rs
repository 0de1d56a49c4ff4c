//! The command line.

use crate::plan::Selection;
use crate::report::today;
use anyhow::{Context, Result, bail};
use spanwire_bench_ends::Mode;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) const HELP: &str = "\
Measures Spanwire beside the same work done with raw sockets and other libraries, in the same run.

usage: spanwire-bench [WORDS] [OPTION]...   measure and print a table
       spanwire-bench smoke [--peers FILE]  move a few messages through every workload; no timing
       spanwire-bench bounds                count system calls and instructions of small messages, and
                                            fail where they are more than they may be

  WORDS           run a part: comma-separated words, for example push,tcp,64
                    work       req push pub stall flight pushers threads idle load connect mixed outrun
                               mux: mux-echo mux-send mux-recv mux-links mux-mixed mux-idle
                    transport  tcp ipc inproc tls ws wss quic
                    body       64, 1k, 64k, 1m, or any size
                    many       x64: subscribers, requests in flight, pushers, threads, connections,
                               logical or not;
                               50%: of capacity (load)
                    mode       split (different cores), same (one core), free (not pinned),
                               spin (different cores, looking instead of sleeping),
                               runtime (inproc: two tasks of one runtime)
                    subject    async blocking async-many blocking-many async-threads
                               nng nanomsg zmq rzmq zeromq zenoh nats yamux tokio-yamux h2 quinn
                  words of one kind widen the choice, words of different kinds narrow it
  --only WORDS    the same
  --peers FILE    the program with the other libraries; cargo xtask bench --peers builds it
  --rounds N      how often each subject runs, in turn with the others (default 5)
  --millis N      how long one run lasts (default 200)
  --quick         3 rounds of 100 ms
  --out FOLDER    write results.json and charts into FOLDER
  --runs FOLDER   the same, into a new folder there, named after the day and the words
  --json FILE     write every figure to FILE
  --costs         count system calls and instructions as well, at the end
  --syscalls      count system calls per message with strace instead of measuring time
  --instructions  count instructions per message with valgrind instead of measuring time
  --report FOLDER print what was written into FOLDER as Markdown, and measure nothing
  --list          print the chosen workloads
  --help          print this
";

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    Help,
    List,
    Measure,
    Smoke,
    Bounds,
    Syscalls,
    Instructions,
    Report(PathBuf),
}

/// What the command line asked for.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) task: Task,
    pub(crate) selection: Selection,
    pub(crate) rounds: usize,
    pub(crate) duration: Duration,
    pub(crate) json: Option<PathBuf>,
    pub(crate) out: Option<PathBuf>,
    pub(crate) peers: Option<PathBuf>,
    pub(crate) costs: bool,
}

/// Reads the command line.
pub(crate) fn parse(arguments: &[String]) -> Result<Options> {
    let mut options = Options {
        task: Task::Measure,
        selection: Selection::default(),
        rounds: 5,
        duration: Duration::from_millis(200),
        json: None,
        out: None,
        peers: None,
        costs: false,
    };
    let (mut runs, mut words) = (None, Vec::new());
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
            "--only" => add(value()?, &mut options, &mut words)?,
            "--rounds" => options.rounds = number(name, value()?)?,
            "--millis" => options.duration = Duration::from_millis(number(name, value()?)? as u64),
            "--json" => options.json = Some(value()?.into()),
            "--out" => options.out = Some(value()?.into()),
            "--runs" => runs = Some(PathBuf::from(value()?)),
            "--peers" => options.peers = Some(value()?.into()),
            "--costs" => options.costs = true,
            "--report" => options.task = Task::Report(value()?.into()),
            "--quick" => (options.rounds, options.duration) = (3, Duration::from_millis(100)),
            "--syscalls" => options.task = Task::Syscalls,
            "--instructions" => options.task = Task::Instructions,
            "--list" => options.task = Task::List,
            "--help" | "-h" => options.task = Task::Help,
            "smoke" => options.task = Task::Smoke,
            "bounds" => options.task = Task::Bounds,
            _ if argument.starts_with('-') => bail!("unknown argument {argument:?}; --help lists them"),
            _ => add(argument, &mut options, &mut words)?,
        }
    }
    if matches!(options.task, Task::Syscalls | Task::Instructions) {
        // Counts do not depend on the core; one of the two would only repeat the other.
        options.selection.default_modes(&[Mode::Split]);
    }
    if let Some(runs) = runs {
        // So that a look at a part does not take the place of a whole run.
        let name = [&[today()], words.as_slice()].concat().join("-");
        options.out = Some(runs.join(name));
    }
    Ok(options)
}

fn add(argument: &str, options: &mut Options, words: &mut Vec<String>) -> Result<()> {
    words.push(argument.replace(',', "-"));
    options.selection.add(argument)
}

fn number(name: &str, text: &str) -> Result<usize> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => bail!("{name} needs a number above 0, not {text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Options> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(&words)
    }

    #[test]
    fn words_need_no_option() {
        let options = parsed("push,tcp,64 split --rounds=2 --out x").unwrap();
        assert_eq!(options.selection.cells().len(), 1);
        assert_eq!((options.rounds, options.out), (2, Some("x".into())));
    }

    #[test]
    fn runs_of_a_part_have_a_folder_of_their_own() {
        let folder = |line: &str| parsed(line).unwrap().out.unwrap();
        assert_eq!(folder("--runs x"), PathBuf::from(format!("x/{}", today())));
        assert_eq!(folder("push,tcp --runs x 64"), PathBuf::from(format!("x/{}-push-tcp-64", today())));
    }

    #[test]
    fn what_nobody_knows_is_refused() {
        assert!(parsed("--fast").is_err());
        assert!(parsed("pull").is_err());
        assert!(parsed("--rounds 0").is_err());
    }
}
