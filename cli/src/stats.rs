//! `--stats URL`: shows the sockets of a command to `spanwire top` and `spanwire metrics`.

use crate::complaint::Complaint;
use spanwire::watch::{self, Service, Watchable};

/// Where to show the sockets of a command.
#[derive(clap::Args, Clone, Debug, Default)]
#[group(skip)]
pub(crate) struct Stats {
    /// Show the sockets here meanwhile, for spanwire top and spanwire metrics
    #[arg(long, value_name = "URL")]
    pub(crate) stats: Option<String>,
}

impl Stats {
    /// Shows `sockets`, each under its name, for as long as what is returned is kept.
    pub(crate) async fn show<'a, S: Watchable + 'a>(
        &self,
        sockets: impl IntoIterator<Item = (&'a str, &'a S)>,
    ) -> Result<Option<Service>, Complaint> {
        let Some(url) = &self.stats else { return Ok(None) };
        for (name, socket) in sockets {
            expose(name, socket);
        }
        Ok(Some(watch::serve(url).await?))
    }
}

/// Exposes a socket; one of the same name gets a number behind it.
pub(crate) fn expose(name: &str, socket: &impl Watchable) {
    let mut number = 1;
    let mut tried = name.to_owned();
    while watch::expose(&tried, socket).is_err() {
        number += 1;
        tried = format!("{name} {number}");
    }
}
