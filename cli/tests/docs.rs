//! Completions and man pages are there for every command.

use std::process::Command;

fn spanwire(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_spanwire")).args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

const COMMANDS: [&str; 11] =
    ["demo", "cat", "nanocat", "device", "mux", "perf", "top", "metrics", "cert", "completions", "man"];

#[test]
fn every_shell_has_completions_for_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = spanwire(&["completions", shell]);
        for command in COMMANDS {
            assert!(script.contains(command), "{command} in {shell}");
        }
        // Flags of a command that reads them itself, and of one that does not.
        assert!(script.contains("subscribe") && script.contains("reflect"), "{shell}");
    }
}

#[test]
fn every_command_has_a_man_page() {
    let one = spanwire(&["man"]);
    assert!(one.contains(".TH spanwire 1"), "{one}");
    let dir = std::env::temp_dir().join(format!("spanwire-man-{}", std::process::id()));
    assert_eq!(spanwire(&["man", dir.to_str().unwrap()]), "");
    let page = |name: &str| std::fs::read_to_string(dir.join(format!("{name}.1"))).unwrap();
    assert!(page("spanwire").contains("Exit status"));
    for command in COMMANDS {
        let page = page(&format!("spanwire-{command}"));
        assert!(page.contains(&format!(".TH spanwire-{command} 1")), "{page}");
        assert!(page.contains(".SH DESCRIPTION") && page.contains("Exit status"), "{page}");
    }
    for role in ["local-lat", "remote-lat", "local-thr", "remote-thr", "pair"] {
        assert!(page(&format!("spanwire-perf-{role}")).contains("SYNOPSIS"));
    }
    for role in ["forward", "serve", "echo"] {
        assert!(page(&format!("spanwire-mux-{role}")).contains("SYNOPSIS"));
    }
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn help_names_every_command() {
    let help = spanwire(&["--help"]);
    for command in COMMANDS {
        assert!(help.lines().any(|line| line.trim_start().starts_with(command)), "{command}:\n{help}");
    }
    assert!(help.contains("Exit status: 0"), "{help}");
}
