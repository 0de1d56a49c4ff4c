//! `spanwire completions` and `spanwire man`: what shells and `man` want to know, made from the
//! command line's own description.

use crate::args;
use crate::failure::Failure;
use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Print the completions for a shell
///
/// For bash: spanwire completions bash > ~/.local/share/bash-completion/completions/spanwire
#[derive(clap::Args, Debug)]
#[command(after_help = args::EXIT_STATUS)]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Print the manual page, or write those of all commands into a folder
///
/// To read it at once: spanwire man | man -l -
#[derive(clap::Args, Debug)]
#[command(after_help = args::EXIT_STATUS)]
pub(crate) struct ManArgs {
    /// Where to write spanwire.1, spanwire-demo.1 and the others; made if it is not there
    dir: Option<PathBuf>,
}

pub(crate) fn completions(args: &CompletionsArgs) -> Result<(), Failure> {
    // Into memory first: clap_complete panics when nobody reads any more.
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut args::Args::command(), "spanwire", &mut text);
    io::stdout().write_all(&text)?;
    Ok(())
}

pub(crate) fn man(args: &ManArgs) -> Result<(), Failure> {
    let command = args::Args::command().disable_help_subcommand(true);
    match &args.dir {
        None => {
            let mut page = Vec::new();
            Man::new(command).render(&mut page)?;
            io::stdout().write_all(&page)?;
        }
        Some(dir) => pages(command, dir)
            .map_err(|error| Failure::new(format!("cannot write into {}: {error}", dir.display())))
            .map_err(|failure| failure.advise("name a folder in which this user may make files"))?,
    }
    Ok(())
}

fn pages(command: clap::Command, dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    clap_mangen::generate_to(command, dir)
}
