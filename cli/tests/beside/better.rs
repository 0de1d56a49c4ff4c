//! Where we differ from the real programs, on purpose. Nothing here needs them.

use super::program::Tool::{self, Nanocat, Nngcat};
use super::program::{Outcome, Process, Scratch, Status, Whose, wait_for_listener};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn start(tool: Tool, line: &str, scratch: &Scratch) -> Process {
    let address = format!("ipc://{}/s", scratch.path().display());
    let args: Vec<_> = line.split_whitespace().map(|word| word.replace('@', &address)).collect();
    tool.start(Whose::Ours, &args)
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

/// Runs the one that listens and the one that dials; both must end.
fn talk(listens: (Tool, &str), dials: (Tool, &str)) -> [Outcome; 2] {
    let scratch = Scratch::new();
    let listens = start(listens.0, listens.1, &scratch);
    assert!(wait_for_listener(&scratch.path().join("s"), soon()));
    let dials = start(dials.0, dials.1, &scratch).end(soon());
    [listens.end(soon()), dials]
}

/// nngcat fails here whenever an answer takes a millisecond.
#[test]
fn counted_exchanges_need_no_interval() {
    let [rep, req] =
        talk((Nngcat, "--rep --listen @ -D 42 -Q -C 3"), (Nngcat, "--req --dial @ -D x -Q -C 3"));
    assert_eq!((rep.status, req.status), (Status::Exit(0), Status::Exit(0)));
    assert_eq!(req.stdout, b"\"42\"\n\"42\"\n\"42\"\n");
    let [a, b] = talk((Nngcat, "--pair1 --listen @ -D a -Q -C 1"), (Nngcat, "--pair1 --dial @ -D b -Q -C 1"));
    assert_eq!((a.status, b.status), (Status::Exit(0), Status::Exit(0)));
    assert_eq!((&a.stdout[..], &b.stdout[..]), (&b"\"b\"\n"[..], &b"\"a\"\n"[..]));
}

/// nngcat waits for ever here, or fails, as the clock will have it.
#[test]
fn a_receive_timeout_holds_for_counted_exchanges() {
    let scratch = Scratch::new();
    let bus = start(Nngcat, "--bus --listen @ -D x -C 1 --recv-timeout 1", &scratch).end(soon());
    assert_eq!(bus.status, Status::Exit(0));
}

/// nanocat ends before its message has left.
#[test]
fn a_single_push_arrives() {
    let [pull, push] =
        talk((Nanocat, "--pull --bind @ -Q --recv-timeout 1"), (Nanocat, "--push --connect @ -D x"));
    assert_eq!(push.status, Status::Exit(0));
    assert_eq!((pull.status, &pull.stdout[..]), (Status::Exit(0), &b"\"x\"\n"[..]));
}

/// nanocat aborts on these.
#[test]
fn a_delay_that_makes_no_sense_is_an_error() {
    for delay in ["-1", "nan", "inf"] {
        let scratch = Scratch::new();
        let outcome = start(Nanocat, &format!("--pub --bind @ -D x -d {delay}"), &scratch).end(soon());
        assert_eq!(outcome.status, Status::Exit(1), "{delay}");
        assert!(!outcome.stderr.is_empty());
    }
}

/// nanocat aborts here too, although its manual has it.
#[test]
fn a_dash_is_standard_input() {
    for (tool, listens) in [(Nngcat, "cat --push --listen"), (Nanocat, "nanocat --push --bind")] {
        let scratch = Scratch::new();
        let body = scratch.file("body", b"from a pipe");
        let mut push = Command::new(env!("CARGO_BIN_EXE_spanwire"));
        push.args(listens.split(' ')).arg(format!("ipc://{}/s", scratch.path().display())).arg("-F-");
        push.stdin(Stdio::from(std::fs::File::open(body).expect("it was just written")));
        let push = Process::start(push);
        assert!(wait_for_listener(&scratch.path().join("s"), soon()));
        let pull = start(Nngcat, "--pull --dial @ -Q -C 1", &scratch).end(soon());
        assert_eq!(pull.stdout, b"\"from a pipe\"\n", "{tool:?}");
        assert_eq!(push.end(soon()).status, Status::Exit(0));
    }
}

/// nngcat connects and waits.
#[test]
fn dialing_another_protocol_is_an_error() {
    let scratch = Scratch::new();
    let publisher = start(Nngcat, "--pub --listen @ -D x -i 1", &scratch);
    assert!(wait_for_listener(&scratch.path().join("s"), soon()));
    let req = start(Nngcat, "--req --dial @ -D x", &scratch).end(soon());
    assert_eq!(req.status, Status::Exit(1));
    assert!(!req.stderr.is_empty());
    publisher.kill();
}

/// The flag is ours.
#[test]
fn a_raw_socket_shows_headers() {
    let [rep, req] = talk(
        (Nngcat, "--rep --raw-socket -v --listen @ -D 42 -Q -C 1"),
        (Nngcat, "--req --raw-s -v --dial @ -D x -Q"),
    );
    assert_eq!((rep.status, req.status), (Status::Exit(0), Status::Exit(0)));
    let [rep, req] = [rep, req].map(|outcome| String::from_utf8(outcome.stdout).expect("it is quoted"));
    let lines: Vec<_> = req.lines().collect();
    let ["42", id] = [lines[2].trim_matches('"'), lines[1].trim_start_matches("Header: ")] else {
        panic!("{req:?}")
    };
    let id = id.trim_matches('"');
    assert_eq!(id.len(), 4 * r"\x00".len(), "the id of the request: {req:?}");
    assert!(rep.contains(&format!("{id}\"\n\"x\"\n")), "its pipe, its id and its body: {rep:?}");
}

/// Linked to the name of the program it stands in for, it is that program.
#[test]
fn a_link_chooses_the_program() {
    let scratch = Scratch::new();
    let called = |name: &str, args: &[&str]| {
        let link = scratch.path().join(name);
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_spanwire"), &link).expect("the name is free");
        let mut command = Command::new(link);
        command.args(args).stdin(Stdio::null());
        Process::start(command).end(soon())
    };
    assert_eq!(called("nngcat", &["--vers"]).status, Status::Exit(0));
    assert_eq!(called("nanocat", &["--file", "/nowhere/at/all"]).status, Status::Exit(2));
    let address = format!("ipc://{}/s", scratch.path().display());
    assert_eq!(called("nn_pub", &["--bind", &address, "-Dx"]).status, Status::Exit(0));
    assert_eq!(called("nn_sub", &["--pub", "--bind", &address, "-Dx"]).status, Status::Exit(1));
}

/// A reader that has seen enough ends it, as it ends nngcat; the status is that of SIGPIPE.
#[test]
fn a_reader_that_leaves_ends_it_quietly() {
    let scratch = Scratch::new();
    let address = format!("ipc://{}/s", scratch.path().display());
    let mut pull = Command::new(env!("CARGO_BIN_EXE_spanwire"));
    pull.args(["cat", "--pull", "-Q", "--listen", &address]).stdin(Stdio::null());
    let mut pull = pull.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it is there");
    drop(pull.stdout.take());
    assert!(wait_for_listener(&scratch.path().join("s"), soon()));
    let push = start(Nngcat, "--push --dial @ -D x", &scratch).end(soon());
    assert_eq!(push.status, Status::Exit(0));
    let ended = pull.wait_with_output().expect("it is our child");
    assert_eq!((ended.status.code(), ended.stderr.as_slice()), (Some(141), &b""[..]));
}

/// Errors name the flag and what to do about it.
#[test]
fn an_error_says_what_to_do() {
    for (tool, line, named) in [
        (Nngcat, "--re", "--req"),
        (Nngcat, "--req --dial @", "--data"),
        (Nngcat, "--pair --listen @", "--pair1"),
        (Nngcat, "--pull --listen tls+tcp://127.0.0.1:1 -k", "--cert"),
        (Nngcat, "--pull --listen @ -C x", "--count"),
        (Nanocat, "--pull --bind @ -D x", "--data"),
        (Nanocat, "--pub --bind @ -D x -D y", "once"),
    ] {
        let scratch = Scratch::new();
        let outcome = start(tool, line, &scratch).end(soon());
        let said = String::from_utf8(outcome.stderr).expect("errors are text");
        assert!(said.contains(named), "{line}: {said}");
        assert!(outcome.stdout.is_empty());
    }
}
