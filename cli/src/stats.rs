//! `--stats URL`: shows the sockets or multiplexed connections of a command to `spanwire top` and `spanwire metrics`; and how those two look.

use crate::complaint::Complaint;
use crate::secure::{self, Secure};
use spanwire::DialOptions;
use spanwire::watch::{self, Service, Watchable};
use std::time::Duration;

/// Where to show the sockets or multiplexed connections of a command.
#[derive(clap::Args, Clone, Debug, Default)]
#[group(skip)]
pub(crate) struct Stats {
    /// Show here meanwhile what goes on, for spanwire top and spanwire metrics
    #[arg(long, value_name = "URL")]
    pub(crate) stats: Option<String>,
}

impl Stats {
    /// Shows `sockets`, each under its name, for as long as what is returned is kept. Over TLS with the
    /// certificate that the command has for its own addresses.
    pub(crate) async fn show<'a, S: Watchable + 'a>(
        &self,
        secure: &Secure,
        sockets: impl IntoIterator<Item = (&'a str, &'a S)>,
    ) -> Result<Option<Service>, Complaint> {
        let Some(url) = &self.stats else { return Ok(None) };
        for (name, socket) in sockets {
            expose(name, socket);
        }
        Ok(Some(watch::serve_with(url, secure.listening(url)?).await?))
    }
}

/// A program that is there answers in less.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// How to look at a program that shows its sockets at `url`.
pub(crate) fn looking(url: &str, secure: &Secure) -> Result<DialOptions, secure::Unusable> {
    Ok(DialOptions { connect_timeout: Some(PATIENCE), ..secure.dialing(url)? })
}

/// Exposes a socket, or what else can be watched; one of the same name gets a number behind it.
pub(crate) fn expose(name: &str, socket: &impl Watchable) {
    let mut number = 1;
    let mut tried = name.to_owned();
    while watch::expose(&tried, socket).is_err() {
        number += 1;
        tried = format!("{name} {number}");
    }
}
