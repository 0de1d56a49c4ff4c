//! What came of a run. Figures are medians over the rounds, with the lowest and the highest; ratios are
//! between medians.
//!
//! ```text
//!  run ─▶ figures ─▶ results ─┬─▶ table     the terminal
//!  trace ───────────▶         ├─▶ JSON      results.json, and back again
//!                             ├─▶ chart     an SVG for each work and transport
//!                             └─▶ markdown  for bench/README.md
//! ```

mod chart;
mod date;
mod figures;
mod machine;
mod markdown;
mod number;
mod results;
mod table;

pub(crate) use date::today;
pub(crate) use figures::cell;
pub(crate) use number::short;
pub(crate) use results::{Cost, Results};
pub(crate) use table::{head, print};

use crate::options::Options;
use anyhow::{Context, Result};
use std::path::Path;

/// Writes what was asked for: one JSON file, or a folder with JSON and charts.
pub(crate) fn write(options: &Options, results: &Results) -> Result<()> {
    if let Some(path) = &options.json {
        write_file(path, &results.to_json()?)?;
    }
    if let Some(folder) = &options.out {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        write_file(&folder.join(RESULTS), &results.to_json()?)?;
        for (name, svg) in chart::all(results) {
            write_file(&folder.join(name), &svg)?;
        }
    }
    Ok(())
}

/// Prints what a former run has written into `folder`, as Markdown.
pub(crate) fn print_markdown(folder: &Path) -> Result<()> {
    let path = folder.join(RESULTS);
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let results = Results::from_json(&text).with_context(|| path.display().to_string())?;
    print!("{}", markdown::page(&results));
    Ok(())
}

fn write_file(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

const RESULTS: &str = "results.json";
