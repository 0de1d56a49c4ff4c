//! One command: its output is shown as it comes and kept for counting, and its time is limited.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

/// How a command ended.
pub(crate) struct Ended {
    /// It exited with status 0, in time.
    pub(crate) ok: bool,
    /// What it printed on both streams, in the order in which it arrived.
    pub(crate) lines: Vec<String>,
    /// In words, when not ok.
    pub(crate) why: String,
}

/// Runs `command` until it ends or `deadline` is over; then it and all its children are killed.
pub(crate) fn shown(command: &mut Command, deadline: Instant) -> Ended {
    println!("$ {}", words(command));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(why) => return Ended { ok: false, lines: Vec::new(), why: format!("cannot start it: {why}") },
    };
    let (tx, lines) = mpsc::channel();
    read_lines(child.stdout.take(), tx.clone());
    read_lines(child.stderr.take(), tx);

    let mut kept = Vec::new();
    let mut exited_at: Option<Instant> = None;
    loop {
        match lines.recv_timeout(LOOK_EVERY) {
            Ok(line) => {
                // Whoever reads us may have gone away; the count at the end still matters to the caller.
                let _ = writeln!(std::io::stdout(), "{line}");
                kept.push(line);
                if Instant::now() < deadline {
                    continue;
                }
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {}
        }
        if Instant::now() >= deadline {
            kill_tree(&mut child);
            let mut why = KILLED.to_owned();
            if !drain(&lines, &mut kept) {
                why += ", but something that it started lives on";
            }
            return Ended { ok: false, lines: kept, why };
        }
        if exited_at.is_none() && matches!(child.try_wait(), Ok(Some(_))) {
            exited_at = Some(Instant::now());
        }
        // The pipe outlives the command when something that it started still holds it.
        if exited_at.is_some_and(|at| at.elapsed() > DRAIN) {
            let why = "it ended, but left a process behind that holds its output".to_owned();
            return Ended { ok: false, lines: kept, why };
        }
    }
    match child.wait() {
        Ok(status) => Ended { ok: status.success(), lines: kept, why: status.to_string() },
        Err(why) => Ended { ok: false, lines: kept, why: why.to_string() },
    }
}

/// A command as one would type it, with the variables that were set for it.
pub(crate) fn words(command: &Command) -> String {
    let env = command.get_envs().filter_map(|(name, value)| {
        Some(format!("{}={:?}", name.to_string_lossy(), value?.to_string_lossy()))
    });
    let program = std::path::Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
    let args = command.get_args().map(|arg| arg.to_string_lossy().into_owned());
    env.chain([name]).chain(args).collect::<Vec<_>>().join(" ")
}

fn read_lines(from: Option<impl Read + Send + 'static>, to: Sender<String>) {
    let Some(from) = from else { return };
    thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while matches!(from.read_until(b'\n', &mut line), Ok(n) if n > 0) {
            let text = String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned();
            if to.send(text).is_err() {
                return;
            }
            line.clear();
        }
    });
}

/// Keeps what is still in the pipes. True when they closed: all who could write are gone.
fn drain(lines: &Receiver<String>, kept: &mut Vec<String>) -> bool {
    loop {
        match lines.recv_timeout(DRAIN) {
            Ok(line) => kept.push(line),
            Err(why) => return why == RecvTimeoutError::Disconnected,
        }
    }
}

/// Kills a command with everything below it. A process group would do the same, but it would
/// also keep the interrupt key of the terminal from the children.
fn kill_tree(child: &mut Child) {
    let mut doomed = vec![child.id()];
    let mut at = 0;
    while at < doomed.len() {
        doomed.extend(children_of(doomed[at]));
        at += 1;
    }
    let pids: Vec<String> = doomed.iter().skip(1).map(u32::to_string).collect();
    if !pids.is_empty() {
        let _ = Command::new("kill").arg("-KILL").args(&pids).stderr(Stdio::null()).status();
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// Linux only; elsewhere nothing is found and only the command itself is killed.
fn children_of(parent: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    numbers.filter(|pid| parent_of(*pid) == Some(parent)).collect()
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in brackets may hold anything; state and parent follow the last bracket.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

const KILLED: &str = "it ran longer than its suite may, and was killed";

/// How often a silent command is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How long the output of a command that has ended may stay open.
const DRAIN: Duration = Duration::from_secs(5);

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> Ended {
        shown(Command::new("sh").args(["-c", script]), Instant::now() + limit)
    }

    #[test]
    fn both_streams_are_kept_and_the_status_is_told() {
        let ended = shell("echo out; echo err >&2; exit 3", Duration::from_secs(60));
        assert!(!ended.ok);
        assert!(ended.why.contains('3'), "{}", ended.why);
        let mut lines = ended.lines;
        lines.sort();
        assert_eq!(lines, ["err", "out"]);
        assert!(shell("true", Duration::from_secs(60)).ok);
    }

    #[test]
    fn a_command_that_hangs_is_killed_with_its_children() {
        let started = Instant::now();
        // The grandchild would hold the second stream for ever.
        let ended = shell("cat /dev/zero >/dev/null & echo started; wait", Duration::from_millis(500));
        assert!(!ended.ok);
        assert_eq!(ended.lines, ["started"]);
        assert_eq!(ended.why, KILLED, "and nothing lives on");
        assert!(started.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_program_that_is_not_there_is_an_answer() {
        let ended = shown(&mut Command::new("no-such-program-anywhere"), Instant::now());
        assert!(ended.why.contains("cannot start"), "{}", ended.why);
    }
}
