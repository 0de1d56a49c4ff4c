//! `spanwire top`: the sockets and multiplexed connections of a program, live in a terminal, or once as plain text.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `figures` | rows from two reports: rates, queues, drops, latencies; sorting |
//! | `muxes` | rows of what carries channels |
//! | `plain` | rows as text, for pipes |
//! | `screen` | rows on a terminal, and the keys |

mod figures;
mod muxes;
mod plain;
mod screen;

use crate::complaint::Complaint;
use crate::secure::Secure;
use crate::stats::{PATIENCE, looking};
use crate::{args, secure};
use figures::{Look, Sort};
use ratatui::crossterm::event::{self, Event};
use screen::{Keys, Screen};
use spanwire::DialOptions;
use spanwire::watch::{Report, ViewError, Viewer};
use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

/// Watch the sockets of a running program
///
/// The program serves them at an address: `spanwire::watch::serve(URL)`, or `--stats URL` of a command
/// here. Shown is for each socket what goes out and comes in, what waits, what was dropped and why, and
/// how long replies, answers or waits for room took; for each pool or server of multiplexed connections the
/// same of all its connections, their round trips, and which readers are too slow for their senders.
///
/// Keys: q ends, s sorts by the next column, r the other way round, up and down choose a socket, Enter
/// shows its peers, transports and reasons, or its connections and channels.
#[derive(clap::Args, Debug)]
#[group(skip)]
#[command(after_help = args::EXIT_STATUS)]
pub(crate) struct Args {
    /// Where the program serves its sockets, as in ipc:///run/worker.stats
    url: String,
    /// Print one table and end; rates are those of one interval
    #[arg(long)]
    once: bool,
    /// With --once: print transports, and tables of the peers, connections and channels, too
    #[arg(long, requires = "once")]
    peers: bool,
    /// Seconds from one look to the next
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = interval)]
    interval: Duration,
    /// What comes first
    #[arg(long, value_enum, default_value_t)]
    sort: Sort,
    #[command(flatten)]
    tls: secure::Flags,
}

/// So often keys are looked for.
const KEYS: Duration = Duration::from_millis(50);

pub(crate) fn run(args: Args) -> Result<(), Complaint> {
    let secure = args.tls.read().map_err(Complaint::new)?;
    if args.once {
        return crate::block_on(once(&args, &secure));
    }
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err(Complaint::usage("a live table needs a terminal").advise("--once prints one table"));
    }
    let (tell, news) = mpsc::channel();
    let (url, interval) = (args.url.clone(), args.interval);
    let options = looking(&url, &secure)?;
    // It ends when nobody listens any more, which is when the process does.
    thread::spawn(move || crate::block_on(look(url, options, interval, tell)));
    // What goes wrong before there is anything to show is told as everywhere else.
    let first = news.recv().map_err(|_| Complaint::new("cannot look"))??;
    let mut terminal = ratatui::try_init()?;
    let shown = show(&mut terminal, Screen::new(args.url, args.sort, first), &news);
    ratatui::try_restore()?;
    Ok(shown?)
}

async fn once(args: &Args, secure: &Secure) -> Result<(), Complaint> {
    let viewer = Viewer::connect_with(&args.url, looking(&args.url, secure)?).await?;
    let first = viewer.report(PATIENCE).await?;
    tokio::time::sleep(args.interval).await;
    let second = viewer.report(PATIENCE).await?;
    let look = Look::new(Some(&first), &second, args.sort, false);
    let mut text = plain::sockets(&look, args.peers);
    if args.peers {
        text.push('\n');
        text += &plain::peers(&look);
    }
    io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

/// Looks again and again. A program that does not answer may come back.
async fn look(
    url: String,
    options: DialOptions,
    interval: Duration,
    tell: Sender<Result<Report, Complaint>>,
) -> Result<(), Complaint> {
    let viewer = match Viewer::connect_with(&url, options).await {
        Ok(viewer) => viewer,
        Err(error) => return tell.send(Err(error.into())).map_err(|_| Complaint::new("nobody listens")),
    };
    loop {
        let report = viewer.report(PATIENCE.max(interval)).await;
        if tell.send(report.map_err(Complaint::from)).is_err() {
            return Ok(());
        }
        tokio::time::sleep(interval).await;
    }
}

fn show(
    terminal: &mut ratatui::DefaultTerminal,
    mut screen: Screen,
    news: &Receiver<Result<Report, Complaint>>,
) -> io::Result<()> {
    loop {
        terminal.draw(|frame| screen.draw(frame))?;
        // Whatever comes first: a key, another size, or news.
        loop {
            if event::poll(KEYS)? {
                match event::read()? {
                    Event::Key(key) if screen.key(key) == Keys::End => return Ok(()),
                    _ => break,
                }
            }
            if let Ok(report) = news.try_recv() {
                screen.news(report);
                break;
            }
        }
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.05..=3_600.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("from 0.05 to 3600 seconds".to_owned()),
    }
}

impl From<ViewError> for Complaint {
    fn from(error: ViewError) -> Self {
        let complaint = Self::new(error.to_string());
        match error {
            ViewError::NoAnswer(_) => {
                complaint.advise("somebody is there: check that it is where the program serves its sockets")
            }
            _ => complaint.advise(
                "give the address that the program serves its sockets at: watch::serve, or --stats of a command",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_neither_nothing_nor_for_ever() {
        assert_eq!(interval("0.5"), Ok(Duration::from_millis(500)));
        for bad in ["0", "-1", "1e9", "NaN", "soon"] {
            assert!(interval(bad).is_err(), "{bad}");
        }
    }
}
