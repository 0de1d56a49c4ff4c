//! What examples share that have something to look at: with `--expose URL` they show their sockets there, and
//! stay when their work is done until somebody presses Enter.
//!
//! ```sh
//! cargo run --example pipeline -- --expose ipc:///tmp/pipeline
//! spanwire top ipc:///tmp/pipeline                                   # in another terminal
//! spanwire metrics ipc:///tmp/pipeline --listen 127.0.0.1:9100       # or for Prometheus
//! ```

use spanwire::watch::{self, Service};
use std::error::Error;

/// Shows the sockets that an example exposes, if its command line says where.
pub(crate) struct Expose {
    service: Option<Service>,
}

impl Expose {
    /// Begins to. Without `--expose` nothing is served, and nobody is waited for.
    pub(crate) fn from_args() -> Result<Self, Box<dyn Error + Send + Sync>> {
        let mut args = std::env::args().skip_while(|arg| arg != "--expose");
        let service = match (args.next(), args.next()) {
            (None, _) => None,
            (Some(_), None) => return Err("--expose needs a URL, as in --expose ipc:///tmp/example".into()),
            (Some(_), Some(url)) => {
                let service = watch::serve_blocking(&url)?;
                println!("look with: spanwire top {}", service.url());
                Some(service)
            }
        };
        Ok(Self { service })
    }

    /// Stays, for those who look. Others are not kept waiting: tokio is told that this thread is busy.
    pub(crate) fn until_enter(&self) {
        if self.service.is_some() {
            println!("Enter ends this");
            // The end of the input is as good as Enter.
            let _ = tokio::task::block_in_place(|| std::io::stdin().read_line(&mut String::new()));
        }
    }
}
