//! Two processes that talk: theirs with theirs, ours with theirs, theirs with ours. Each must print
//! and return what theirs does with theirs.
//!
//! In the arguments `@` stands for the address, `FILE` for a file with the row's body.

use super::program::Tool::{self, Nanocat, Nngcat};
use super::program::Whose::{self, Ours, Theirs};
use super::program::{Outcome, Scratch, wait_for_listener};
use super::rows::{differences, run, say_missing};
use std::time::{Duration, Instant};

/// A conversation.
#[derive(Clone)]
struct Row {
    /// Who listens at `@`.
    listens: (Tool, String),
    /// Who dials it.
    dials: (Tool, String),
    body: Vec<u8>,
    ends: Ends,
    /// Whether the one that dials starts before anybody listens.
    dials_first: bool,
}

/// Who ends by itself.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Ends {
    Both,
    /// The one that listens; the other is killed after that.
    Listener,
    /// The one that dials; the other is killed after that.
    Dialer,
}

fn row(ends: Ends, listens: (Tool, &str), dials: (Tool, &str)) -> Row {
    Row {
        listens: (listens.0, listens.1.to_owned()),
        dials: (dials.0, dials.1.to_owned()),
        body: Vec::new(),
        ends,
        dials_first: false,
    }
}

/// Every byte, over and over.
fn body(length: usize) -> Vec<u8> {
    (0..=255).cycle().take(length).collect()
}

/// Every format of every length that its encodings treat differently.
fn formats() -> Vec<Row> {
    let mut rows = Vec::new();
    for length in [0, 1, 255, 256, 65_536] {
        for format in ["no", "raw", "ascii", "quoted", "hex", "msgpack"] {
            let pull = format!("--pull0 --listen @ --count 1 --format {format}");
            let both = row(Ends::Both, (Nngcat, &pull), (Nngcat, "--push0 --dial @ --file FILE"));
            rows.push(Row { body: body(length), ..both });
        }
    }
    for length in [0, 256, 65_536] {
        for format in ["no", "raw", "ascii", "quoted", "hex", "msgpack"] {
            let req = format!("--req --connect @ -D ask --format {format}");
            let both = row(Ends::Both, (Nngcat, "--rep --listen @ -C 1 -F FILE"), (Nanocat, &req));
            rows.push(Row { body: body(length), ..both });
        }
    }
    rows
}

/// Every pattern of nngcat.
fn nngcat() -> Vec<Row> {
    let both = |listens, dials| row(Ends::Both, (Nngcat, listens), (Nngcat, dials));
    vec![
        both("--rep --listen @ -D 42 -Q -C 1", "--req --dial @ -D ask -Q"),
        both("--rep --listen @ -D 42 -Q -C 1", "--req --dial @ -D ask -Q -C 1 -i 1"),
        both("--rep0 --bind @ -D 42 --hex -C 2", "--req0 --connect @ -D ask -A -C 2 -i 1"),
        both("--rep --listen @ -Q -C 1", "--req --dial @ -D ask -Q --recv-timeout 1"),
        both("--rep --listen @ -Q -C 2", "--req --dial @ -D ask -Q -i 1 -C 2"),
        both("--req --listen @ -D ask -Q", "--rep --dial @ -D 42 -Q -C 1"),
        both("-v --rep --listen @ -D 42 -Q -C 1", "-v --req --dial @ -D ask -Q"),
        both("--rep --listen @ -D EMPTY -Q -C 1", "--req --dial @ --data= -Q"),
        both("--pull --listen @ -Q -C 3", "--push --dial @ -D x -C 3"),
        both("--pull --listen @ -A -C 2", "--push --dial @ -D x -C 2 -i 1"),
        both("--pull --listen @ -Q --recv-timeout 1", "--push --dial @ -D x -C 2"),
        both("--pull --listen @ -Q -C 1", "--push --dial @ -D=x"),
        both("--pull --listen @ -Q -C 1", "--push --dial @ -D:x"),
        both("--pull --listen @ -Q -C 1", "--push --dial @ --data:=x"),
        both("--pull --listen @ -Q -C 1 -d 5", "--push --dial @ -D x -d 1"),
        both("--push --listen @ -D x", "--pull --dial @ -Q -C 1"),
        both("--sub --listen @ -Q -C 1", "--pub --dial @ -D news -d 1"),
        both("--sub --listen @ -Q -C 1 --subscribe ne", "--pub --dial @ -D news -d 1"),
        both("--sub --listen @ -Q -C 1 --subscribe x --subscribe n", "--pub --dial @ -D news -d 1"),
        both("--sub --listen @ -Q --subscribe x --recv-timeout 2", "--pub --dial @ -D news -d 1"),
        both("--pub --listen @ -D news -d 1", "--sub --dial @ -Q -C 1"),
        both("--pub --listen @ -D news -d 1 -i 1 -C 2", "--sub --dial @ -Q -C 2 --subscribe="),
        both("--surveyor --listen @ -D ask -Q -d 1", "--respondent --dial @ -D me -Q -C 1"),
        both("--surveyor --listen @ -D ask -Q -d 1 -i 2 -C 2", "--respondent --dial @ -D me -Q -C 2"),
        both("--surveyor --listen @ -D ask -Q -d 1", "--respondent --dial @ -Q -C 1"),
        both("--respondent --listen @ -D me -Q -C 1", "--surveyor --dial @ -D ask -Q -d 1"),
        both("--pair0 --listen @ -Q -C 1", "--pair0 --dial @ -D x -C 1 -i 1"),
        both("--pair0 --listen @ -D y -Q -C 1 -i 2", "--pair0 --dial @ -D x -Q -C 1 -i 2"),
        both("--pair1 --listen @ -Q -C 1", "--pair1 --dial @ -D x -C 1 -i 1"),
        both("--pair1 --listen @ -D y -Q -C 1 -i 2", "--pair1 --dial @ -D x -Q -C 1 -i 2"),
        both("--pair1 --listen @ -Q --recv-timeout 1", "--pair1 --dial @ -D x --recv-timeout 1"),
        both("--bus0 --listen @ -Q -C 1", "--bus --dial @ -D x -d 1 -C 1 -i 1"),
        both("--bus --listen @ -D y -d 1 -C 1 -i 1", "--bus --dial @ -Q -C 1"),
        both(
            "--bus --listen @ -D y -d 1 --recv-timeout 2 -Q",
            "--bus --dial @ -D x -d 1 --recv-timeout 2 -Q",
        ),
        row(Ends::Dialer, (Nngcat, "--rep --listen @ -D 42 -Q"), (Nngcat, "--req --dial @ -D ask -Q")),
        row(Ends::Listener, (Nngcat, "--pull --listen @ -Q -C 2"), (Nngcat, "--push --dial @ -D x -i 1")),
    ]
}

/// Limits of what is accepted: what is too large never arrives, and does not end the receiver.
fn limits() -> Vec<Row> {
    let large = |limit: &str, length| {
        let pull = format!("--pull --listen @ --raw --recv-timeout 1 {limit}");
        let both = row(Ends::Both, (Nngcat, &pull), (Nngcat, "-q --push --dial @ -F FILE"));
        Row { body: body(length), ..both }
    };
    vec![
        large("-Z 256", 256),
        large("-Z 255", 256),
        large("-Z 0", 3_000_000),
        large("", 3_000_000),
        large("--recv-maxsz 1048576", 1_048_577),
    ]
}

/// Every pattern of nanocat, and nanocat with nngcat.
fn nanocat() -> Vec<Row> {
    let serves = |listens, dials| row(Ends::Dialer, (Nanocat, listens), (Nanocat, dials));
    let served = |listens, dials| row(Ends::Listener, (Nanocat, listens), (Nanocat, dials));
    let both = |listens, dials| row(Ends::Both, listens, dials);
    vec![
        serves("--rep --bind @ -D 42 -Q", "--req --connect @ -D ask -Q"),
        serves("--rep --bind @ -D 42 -A", "--req --connect @ -D ask -A"),
        serves("--rep --bind @ -Q", "--req --connect @ -D ask -Q --recv-timeout 2"),
        serves("--respondent --bind @ -D me -Q", "--surveyor --connect @ -D ask -Q -d 0.5"),
        served("--surveyor --bind @ -D ask -Q -d 0.5", "--respondent --connect @ -D me -Q"),
        served("--bus --bind @ -Q --recv-timeout 1", "--bus --connect @ -D x -d 0.3"),
        served("--pair --bind @ -Q --recv-timeout 1", "--pair --connect @ -D x"),
        served("--sub --bind @ -Q --recv-timeout 1", "--pub --connect @ -D news -d 0.5 -i 5"),
        served("--sub --bind @ -Q --recv-timeout 1 --subscribe a", "--pub --connect @ -D news -d 0.5 -i 5"),
        served("--pull --bind @ -Q --recv-timeout 1", "--push --connect @ -D x -i 5"),
        both((Nngcat, "--pull --listen @ -Q -C 1"), (Nngcat, "--push --dial @ -D x")),
        both((Nanocat, "--req --bind @ -D ask -Q"), (Nngcat, "--rep --dial @ -D 42 -Q -C 1")),
        both((Nngcat, "--rep --listen @ -D 42 -Q -C 1"), (Nanocat, "--req --connect @ -D ask -Q")),
        row(
            Ends::Dialer,
            (Nanocat, "--pair --bind @ -D y -Q"),
            (Nngcat, "--pair0 --dial @ -D x -Q -i 1 -C 1"),
        ),
        row(Ends::Listener, (Nngcat, "--pull --listen @ -Q -C 1"), (Nanocat, "--push --connect @ -D x -i 5")),
    ]
}

/// Dialing before anybody listens.
fn patient() -> Vec<Row> {
    let early = |row: Row| Row { dials_first: true, ..row };
    let rep = (Nngcat, "--rep --listen @ -D 42 -Q -C 1");
    vec![
        early(row(Ends::Both, rep, (Nngcat, "--async --req --dial @ -D ask -Q"))),
        early(row(Ends::Both, rep, (Nngcat, "--compat --req --dial @ -D ask -Q -v"))),
        early(row(Ends::Both, rep, (Nanocat, "--req --connect @ -D ask -Q"))),
        early(row(
            Ends::Both,
            (Nngcat, "--pull --listen @ -Q -C 1"),
            (Nngcat, "--async --push --dial @ -D x"),
        )),
    ]
}

fn words(args: &str, scratch: &Scratch) -> Vec<String> {
    let folder = scratch.path().to_str().expect("its name is ASCII");
    let word = |word: &str| match word {
        "EMPTY" => String::new(),
        "FILE" => format!("{folder}/body"),
        word => word.replace('@', &format!("ipc://{folder}/s")),
    };
    args.split_whitespace().map(word).collect()
}

/// Runs the row: what came of the one that listens, and of the one that dials.
fn talk(row: &Row, scratch: &Scratch, listener: Whose, dialer: Whose) -> [Outcome; 2] {
    let deadline = Instant::now() + Duration::from_secs(15);
    let socket = scratch.path().join("s");
    let listen = || row.listens.0.start(listener, &words(&row.listens.1, scratch));
    let dial = || row.dials.0.start(dialer, &words(&row.dials.1, scratch));
    let (listens, dials) = if row.dials_first {
        let dials = dial();
        (listen(), dials)
    } else {
        let listens = listen();
        wait_for_listener(&socket, deadline);
        (listens, dial())
    };
    let outcome = match row.ends {
        Ends::Both => {
            let listens = listens.end(deadline);
            [listens, dials.end(deadline)]
        }
        Ends::Listener => {
            let listens = listens.end(deadline);
            [listens, dials.kill()]
        }
        Ends::Dialer => {
            let dials = dials.end(deadline);
            [listens.kill(), dials]
        }
    };
    // Whoever was killed left it behind; the next two start with nothing, as these did.
    let _ = std::fs::remove_file(socket);
    outcome
}

fn check(row: &Row) -> Vec<String> {
    let scratch = Scratch::new();
    scratch.file("body", &row.body);
    let [listened, dialled] = talk(row, &scratch, Theirs, Theirs);
    let mut found = Vec::new();
    for (listener, dialer) in [(Ours, Theirs), (Theirs, Ours), (Ours, Ours)] {
        let [listens, dials] = talk(row, &scratch, listener, dialer);
        let name = |tool: Tool, args: &str, whose: Whose| format!("{} {args} ({whose:?})", tool.name());
        let listener = name(row.listens.0, &row.listens.1, listener);
        let dialer = name(row.dials.0, &row.dials.1, dialer);
        let length = row.body.len();
        let what = format!("{length} bytes, {listener} with {dialer}");
        found.extend(differences(&format!("{what}: listener"), &listens, &listened));
        found.extend(differences(&format!("{what}: dialer"), &dials, &dialled));
    }
    found
}

fn compare(name: &str, rows: &[Row]) {
    run(name, rows, |row| vec![row.listens.0, row.dials.0], check);
}

#[test]
fn every_format_prints_the_same() {
    compare("cat-formats", &formats());
}

#[test]
fn every_pattern_of_nngcat_does_the_same() {
    compare("nngcat-network", &nngcat());
}

#[test]
fn every_pattern_of_nanocat_does_the_same() {
    compare("nanocat-network", &nanocat());
}

/// Which answer comes first is nobody's decision.
#[test]
fn a_survey_prints_every_answer() {
    let missing = u8::from(Nngcat.installed().is_none());
    let ran = 1 - missing;
    println!("spanwire-matrix: nngcat-survey ran={ran} expected=1 skipped-for-missing-peer={missing}");
    if missing == 1 {
        return say_missing(1);
    }
    for surveyor in [Theirs, Ours] {
        let scratch = Scratch::new();
        let deadline = Instant::now() + Duration::from_secs(15);
        let ask = words("--surveyor --listen @ -D ask -Q -d 1", &scratch);
        let ask = Nngcat.start(surveyor, &ask);
        wait_for_listener(&scratch.path().join("s"), deadline);
        let answer = |whose, data: &str| {
            Nngcat.start(whose, &words(&format!("--respondent --dial @ -D {data} -Q -C 1"), &scratch))
        };
        let answers = [answer(Theirs, "a"), answer(Ours, "b"), answer(Ours, "c")];
        let ask = ask.end(deadline);
        let mut lines: Vec<_> = ask.stdout.split_inclusive(|byte| *byte == b'\n').collect();
        lines.sort_unstable();
        assert_eq!(lines.concat(), b"\"a\"\n\"b\"\n\"c\"\n");
        for answer in answers {
            assert_eq!(answer.end(deadline).stdout, b"\"ask\"\n");
        }
    }
}

#[test]
fn a_limit_on_what_is_accepted_holds() {
    compare("nngcat-limits", &limits());
}

#[test]
fn who_dials_in_the_background_may_come_first() {
    compare("cat-patience", &patient());
}
