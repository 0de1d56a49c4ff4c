//! Every target over what its corpus keeps, and over a bounded number of mutations of that, on a
//! stable compiler.

use spanwire_core::pattern::sequences::Kind;
use std::fs;
use std::path::{Path, PathBuf};

macro_rules! targets {
    ($($target:ident,)*) => {
        $(#[test]
        fn $target() {
            replay(stringify!($target), spanwire_fuzz::$target);
        })*

        #[test]
        fn every_target_is_replayed() {
            let mut programs: Vec<_> =
                files("fuzz_targets").iter().map(|path| path.file_stem().unwrap().to_owned()).collect();
            let mut targets = [$(stringify!($target)),*];
            programs.sort();
            targets.sort();
            assert_eq!(programs, targets);
        }
    };
}

targets! { addr, handshake, inbox_ipc, inbox_tcp, link, lives, mux_frames, mux_lives, mux_pool, mux_tagged, outbox_ops, payloads, report, tls, ws_frames, ws_upgrade, }

#[test]
fn every_form_of_every_pattern_is_replayed() {
    for target in ["lives", "payloads"] {
        let kept = files(&format!("corpus/{target}"));
        for n in 0..Kind::ALL.len() {
            let is_of = |path: &PathBuf| {
                fs::read(path).is_ok_and(|input| usize::from(input[0]) % Kind::ALL.len() == n)
            };
            assert!(kept.iter().any(is_of), "corpus/{target} has nothing for {:?}", Kind::ALL[n]);
        }
    }
}

fn replay(target: &str, check: fn(&[u8])) {
    let kept = files(&format!("corpus/{target}"));
    assert!(!kept.is_empty(), "corpus/{target} is empty");
    let inputs: Vec<_> = kept.iter().map(|path| fs::read(path).expect("a readable file")).collect();
    for (path, input) in kept.iter().zip(&inputs) {
        named(path.display(), input, check);
    }
    // The same ones each time, so that a failure comes back.
    let mut random = Random(0x5eed);
    for turn in 0..MUTATIONS {
        let input = &inputs[random.below(inputs.len())];
        let other = &inputs[random.below(inputs.len())];
        named(format_args!("mutation {turn}"), &mutate(input, other, &mut random), check);
    }
}

/// Says which input it was, and what it was, if it is one too many.
fn named(name: impl std::fmt::Display, input: &[u8], check: fn(&[u8])) {
    if let Err(panic) = std::panic::catch_unwind(|| check(input)) {
        eprintln!("{name}: {:?}", input.escape_ascii().to_string());
        std::panic::resume_unwind(panic);
    }
}

/// A few bytes changed, left out, repeated, or taken from another input.
fn mutate(input: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = input[..input.len().min(LONGEST)].to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        let some = random.below(8).min(bytes.len() - at);
        match random.below(5) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 if at < bytes.len() => bytes[at] = random.below(256) as u8,
            2 => drop(bytes.drain(at..at + some)),
            3 => bytes.extend_from_within(at..at + some),
            _ => {
                let from = random.below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend(&other[from..other.len().min(from + LONGEST)]);
            }
        }
    }
    bytes
}

/// What a folder of this package holds, sorted. Empty when it is not there.
fn files(folder: &str) -> Vec<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = fs::read_dir(path).into_iter().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    files.sort();
    files
}

/// Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

const MUTATIONS: usize = 5_000;
const LONGEST: usize = 4_096;
