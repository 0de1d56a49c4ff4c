//! Running a table of rows, a few at a time, and saying how much of it ran.

use super::program::{Outcome, Status, Tool};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Runs `check` on every row that only needs installed programs, and prints the line that the test
/// runner counts. Panics with all complaints, if there are any.
pub(crate) fn run<Row: Sync>(
    name: &str,
    rows: &[Row],
    tools: impl Fn(&Row) -> Vec<Tool>,
    check: impl Fn(&Row) -> Vec<String> + Sync,
) {
    let (able, unable): (Vec<_>, Vec<_>) =
        rows.iter().partition(|row| tools(row).iter().all(|tool| tool.installed().is_some()));
    if !unable.is_empty() {
        say_missing(unable.len());
    }
    // Tables run one after another: a busy machine makes timeouts pass too early.
    static ONE_TABLE: Mutex<()> = Mutex::new(());
    let turn = ONE_TABLE.lock().unwrap_or_else(PoisonError::into_inner);
    let next = AtomicUsize::new(0);
    let complaints = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(row) = able.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let found = check(row);
                    complaints.lock().expect("nobody panics with it").extend(found);
                }
            });
        }
    });
    drop(turn);
    println!(
        "spanwire-matrix: {name} ran={} expected={} skipped-for-missing-peer={}",
        able.len(),
        rows.len(),
        unable.len()
    );
    let complaints = complaints.into_inner().expect("nobody panics with it");
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
}

/// Rows mostly wait: for a timeout of theirs, for a delay.
const AT_ONCE: usize = 4;

/// Says loudly that a program is missing; fails if it is required.
pub(crate) fn say_missing(rows: usize) {
    for tool in [Tool::Nngcat, Tool::Nanocat] {
        if tool.installed().is_none() {
            let text = format!(
                "{} is not installed (Debian: nng-utils, nanomsg-utils): {rows} checks NOT done",
                tool.name()
            );
            println!("!!! {text}");
            eprintln!("!!! {text}");
            let required = std::env::var_os("SPANWIRE_REQUIRE_PEERS").is_some_and(|value| value == "1");
            assert!(!required, "{text}, and SPANWIRE_REQUIRE_PEERS=1 requires it");
        }
    }
}

/// How our outcome differs from theirs, a sentence for each way.
pub(crate) fn differences(what: &str, ours: &Outcome, theirs: &Outcome) -> Vec<String> {
    let mut found = Vec::new();
    if ours.status != theirs.status {
        found.push(format!(
            "{what}: status {:?}, theirs {:?} (we said {:?}, they said {:?})",
            ours.status,
            theirs.status,
            shown(&ours.stderr),
            shown(&theirs.stderr)
        ));
    }
    if ours.stdout != theirs.stdout {
        found.push(format!("{what}: printed {:?}, theirs {:?}", shown(&ours.stdout), shown(&theirs.stdout)));
    }
    // What is said on standard error is our own; that something is said is not.
    if ours.status != Status::Running && ours.stderr.is_empty() != theirs.stderr.is_empty() {
        found.push(format!("{what}: said {:?}, they {:?}", shown(&ours.stderr), shown(&theirs.stderr)));
    }
    found
}

/// The beginning of some output.
pub(crate) fn shown(bytes: &[u8]) -> String {
    const ENOUGH: usize = 120;
    let text = bytes[..bytes.len().min(ENOUGH)].escape_ascii().to_string();
    if bytes.len() > ENOUGH { format!("{text}… ({} bytes)", bytes.len()) } else { text }
}
