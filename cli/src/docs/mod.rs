//! `spanwire completions` and `spanwire man`: what shells and `man` want to know, made from the
//! command line's own description.

use crate::complaint::Complaint;
use crate::flags::Flag;
use crate::{args, cat, nanocat};
use clap::{Arg, ArgAction, Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Print the completions for a shell
///
/// For bash: spanwire completions bash > ~/.local/share/bash-completion/completions/spanwire
#[derive(clap::Args, Debug)]
#[group(skip)]
#[command(after_help = args::EXIT_STATUS)]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Print the manual page, or write those of all commands into a folder
///
/// To read it at once: spanwire man | man -l -
#[derive(clap::Args, Debug)]
#[group(skip)]
#[command(after_help = args::EXIT_STATUS)]
pub(crate) struct ManArgs {
    /// Where to write spanwire.1, spanwire-demo.1 and the others; made if it is not there
    dir: Option<PathBuf>,
}

pub(crate) fn completions(args: &CompletionsArgs) -> Result<(), Complaint> {
    // Into memory first: clap_complete panics when nobody reads any more.
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut command(), "spanwire", &mut text);
    io::stdout().write_all(&text)?;
    Ok(())
}

pub(crate) fn man(args: &ManArgs) -> Result<(), Complaint> {
    let command = command().disable_help_subcommand(true);
    match &args.dir {
        None => {
            let mut page = Vec::new();
            Man::new(command).render(&mut page)?;
            io::stdout().write_all(&page)?;
        }
        Some(dir) => pages(command, dir)
            .map_err(|error| Complaint::new(format!("cannot write into {}: {error}", dir.display())))
            .map_err(|complaint| complaint.advise("name a folder in which this user may make files"))?,
    }
    Ok(())
}

fn pages(command: Command, dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    clap_mangen::generate_to(command, dir)
}

/// The whole command line, with the flags of those commands that read theirs themselves.
fn command() -> Command {
    let cat = |command| foreign("cat", command, cat::options::FLAGS, NNGCAT);
    let nanocat = |command| foreign("nanocat", command, nanocat::options::FLAGS, NANOCAT);
    args::Args::command().mut_subcommand("cat", cat).mut_subcommand("nanocat", nanocat)
}

/// `command` with the flags of this table, for description only.
fn foreign(name: &'static str, command: Command, flags: &[Flag], status: &'static str) -> Command {
    let about = command.get_about().cloned().unwrap_or_default();
    let mut described =
        Command::new(name).about(about).after_help(status).disable_help_flag(true).disable_version_flag(true);
    for flag in flags {
        let [name, others @ ..] = flag.names else { continue };
        // Man pages leave aliases out.
        let also = others.iter().map(|name| format!(" (or --{name})")).collect::<String>();
        let help = format!("{}{also}", flag.doc);
        let arg = Arg::new(*name).long(*name).short(flag.short).help(help).help_heading(flag.group);
        let arg = arg.visible_aliases(others.iter().copied());
        described = described.arg(match flag.value {
            Some(value) => arg.value_name(value).action(ArgAction::Append),
            None => arg.action(ArgAction::Count),
        });
    }
    described
}

const NNGCAT: &str =
    "Long flags may be abbreviated. Exit status: 0 it worked, 1 it failed, as with nngcat(1).";
const NANOCAT: &str = "Long flags may be abbreviated. Exit status: 0 it worked, 1 the command line makes no sense, \
    2 a file cannot be read, 3 a socket failed, as with nanocat(1).";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        args::Args::command().debug_assert();
        command().debug_assert();
    }

    #[test]
    fn every_flag_of_cat_is_described() {
        let mut page = Vec::new();
        let cat = command().find_subcommand("cat").unwrap().clone();
        Man::new(cat).render(&mut page).unwrap();
        let page = String::from_utf8(page).unwrap().replace("\\-", "-");
        for name in cat::options::FLAGS.iter().flat_map(|flag| flag.names) {
            assert!(page.contains(&format!("--{name}")), "{name}");
        }
    }
}
