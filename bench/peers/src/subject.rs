//! Which library can do what.

use crate::blocking;
use crate::libzmq::{self, Zmq};
#[cfg(feature = "mux")]
use crate::mux;
use crate::nanomsg::{self, Nanomsg};
#[cfg(feature = "nats")]
use crate::nats::{self, Nats};
#[cfg(feature = "nng")]
use crate::nng::{self, Nng};
#[cfg(feature = "rzmq")]
use crate::rzmq::{self, Rzmq};
#[cfg(any(feature = "nats", feature = "rzmq", feature = "zeromq"))]
use crate::tasks;
#[cfg(feature = "zenoh")]
use crate::zenoh::{self, Zenoh};
#[cfg(feature = "zeromq")]
use crate::zeromq::{self, Zeromq};
use anyhow::{Result, bail};
use spanwire_bench_ends::Role;

/// Is one end.
pub(crate) fn run(role: &Role) -> Result<()> {
    match role.subject.as_str() {
        #[cfg(feature = "mux")]
        "h2" | "tokio-yamux" | "yamux" => mux::run(role),
        "nanomsg" => blocking::run(&Nanomsg::load()?, role),
        #[cfg(feature = "nats")]
        "nats" => tasks::run(Nats::new()?, role),
        #[cfg(feature = "nng")]
        "nng" => blocking::run(&Nng, role),
        #[cfg(feature = "rzmq")]
        "rzmq" => tasks::run(Rzmq::new()?, role),
        #[cfg(feature = "zenoh")]
        "zenoh" => blocking::run(&Zenoh, role),
        #[cfg(feature = "zeromq")]
        "zeromq" => tasks::run(Zeromq, role),
        "zmq" => blocking::run(&Zmq::load()?, role),
        unknown => bail!("{unknown} is not part of this build"),
    }
}

/// Prints each subject that works here.
pub(crate) fn list() {
    for Subject { name, version, settings, works } in subjects() {
        match version {
            Ok(version) => println!("{name}\t{version}\t{settings}\t{}", abilities(works)),
            Err(error) => eprintln!("{name} is left out: {error:#}"),
        }
    }
}

struct Subject {
    name: &'static str,
    version: Result<String>,
    settings: &'static str,
    /// Works, each with its transports.
    works: &'static str,
}

fn subjects() -> Vec<Subject> {
    vec![
        #[cfg(feature = "nng")]
        Subject {
            name: "nng",
            version: Ok(Nng::version()),
            settings: nng::SETTINGS,
            works: "req:# push:# pub:+ stall:+ flight:+ load:+ pushers:+ threads:+ idle:+ connect:+ \
                mixed:+ outrun:+",
        },
        Subject {
            name: "nanomsg",
            version: Nanomsg::load().map(|_| Nanomsg::version()),
            settings: nanomsg::SETTINGS,
            works: "req:* push:* pub:+ stall:+ pushers:+ threads:+ idle:+ connect:+ mixed:+",
        },
        Subject {
            name: "zmq",
            version: Zmq::load().map(|library| library.version()),
            settings: libzmq::SETTINGS,
            works: "req:* push:* pub:+ stall:+ flight:+ load:+ pushers:+ idle:+ connect:+ mixed:+ outrun:+",
        },
        #[cfg(feature = "rzmq")]
        Subject {
            name: "rzmq",
            version: Ok(locked("rzmq")),
            settings: rzmq::SETTINGS,
            works: "req:* push:* pub:+ stall:+ flight:+ load:+ pushers:+ threads:+ idle:+ connect:+ \
                mixed:+ outrun:+",
        },
        #[cfg(feature = "zeromq")]
        Subject {
            name: "zeromq",
            version: Ok(locked("zeromq")),
            settings: zeromq::SETTINGS,
            works: "req:+ push:+ pub:+ stall:+ flight:+ load:+ pushers:+ idle:+ connect:+ mixed:+ outrun:+",
        },
        #[cfg(feature = "zenoh")]
        Subject {
            name: "zenoh",
            version: Ok(locked("zenoh")),
            settings: zenoh::SETTINGS,
            works: "req:+ push:+ pub:+ stall:+ flight:+ load:+ pushers:+ threads:+ idle:+ connect:+",
        },
        #[cfg(feature = "nats")]
        Subject {
            name: "nats",
            version: Nats::new().and_then(|nats| nats.version(&locked("async-nats"))),
            settings: nats::SETTINGS,
            works: "req:t push:t pub:t flight:t load:t pushers:t threads:t connect:t",
        },
        #[cfg(feature = "mux")]
        Subject {
            name: "yamux",
            version: Ok(locked("yamux")),
            settings: mux::yamux::SETTINGS,
            works: mux::WORKS,
        },
        #[cfg(feature = "mux")]
        Subject {
            name: "tokio-yamux",
            version: Ok(locked("tokio-yamux")),
            settings: mux::tokio_yamux::SETTINGS,
            works: mux::WORKS,
        },
        #[cfg(feature = "mux")]
        Subject { name: "h2", version: Ok(locked("h2")), settings: mux::h2::SETTINGS, works: mux::WORKS },
    ]
}

/// The version of a crate that this program was built with. Few of them tell it themselves.
#[cfg(any(feature = "mux", feature = "nats", feature = "rzmq", feature = "zenoh", feature = "zeromq"))]
fn locked(package: &str) -> String {
    let name = format!("name = \"{package}\"");
    let mut lines = include_str!("../Cargo.lock").lines().skip_while(|line| *line != name);
    let version = lines.nth(1).and_then(|line| line.strip_prefix("version = "));
    version.map_or_else(|| "?".to_owned(), |version| version.trim_matches('"').to_owned())
}

/// Writes `*` as every transport without TLS and HTTP, `#` as those and TLS and WebSocket, `+` as those between
/// processes and anything else as tcp.
fn abilities(works: &str) -> String {
    let transports = |marks: &str| match marks {
        "*" => vec!["tcp", "ipc", "inproc"],
        "#" => vec!["tcp", "ipc", "inproc", "tls", "ws", "wss"],
        "+" => vec!["tcp", "ipc"],
        _ => vec!["tcp"],
    };
    let works = works.split_whitespace().filter_map(|word| word.split_once(':'));
    let words = works.flat_map(|(work, marks)| {
        transports(marks).into_iter().map(move |transport| format!("{work}:{transport}"))
    });
    words.collect::<Vec<_>>().join(",")
}
