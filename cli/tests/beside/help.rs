//! Every flag that an installed program's help mentions is known to us.

use super::program::{Status, Tool, Whose};
use super::rows::say_missing;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// The words of `text` that look like long or short flags.
fn flags(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| c.is_whitespace() || "{}[]()|,;<>=.\"".contains(c));
    let plain = |word: &&str| {
        let name = word.trim_start_matches('-');
        let dashes = word.len() - name.len();
        let alike = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        let long = dashes == 2 && name.len() > 1;
        let short = dashes == 1 && name.len() == 1;
        alike && (long || short)
    };
    words.filter(plain).map(str::to_owned).collect()
}

fn help_of(tool: Tool, whose: Whose) -> String {
    let outcome = tool.start(whose, &["--help".to_owned()]).end(Instant::now() + Duration::from_secs(10));
    assert_ne!(outcome.status, Status::Running);
    String::from_utf8(outcome.stdout).expect("help is text")
}

/// The flags in their help that are not in ours, and that we do not accept either.
fn unknown(tool: Tool) -> Vec<String> {
    let (theirs, ours) = (flags(&help_of(tool, Whose::Theirs)), flags(&help_of(tool, Whose::Ours)));
    assert!(theirs.len() > 20, "the help of {} cannot be read: {theirs:?}", tool.name());
    theirs.difference(&ours).cloned().collect()
}

fn check(tool: Tool) {
    if tool.installed().is_none() {
        say_missing(1);
        println!("spanwire-matrix: {}-help ran=0 expected=1 skipped-for-missing-peer=1", tool.name());
        return;
    }
    println!("spanwire-matrix: {}-help ran=1 expected=1 skipped-for-missing-peer=0", tool.name());
    let unknown = unknown(tool);
    assert!(unknown.is_empty(), "{} has flags that we do not know: {unknown:?}", tool.name());
}

#[test]
fn every_flag_in_the_help_of_nngcat_is_known() {
    check(Tool::Nngcat);
}

#[test]
fn every_flag_in_the_help_of_nanocat_is_known() {
    check(Tool::Nanocat);
}

#[test]
fn flags_are_found_in_a_help_text() {
    let text = "x {--push|--bind-ipc} [-vqhAQ] [-i SEC]\n --verbose,-v  One-shot\n --file -F <f>, - or --";
    let found: Vec<_> = flags(text).into_iter().collect();
    assert_eq!(found, ["--bind-ipc", "--file", "--push", "--verbose", "-F", "-i", "-v"]);
}
