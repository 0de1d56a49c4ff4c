//! [`Settings`]: what was typed, and [`Plan`]: what it means. Both dialects share them.

use super::format::{Dialect, Format};
use crate::failure::Failure;
use crate::flags::Flag;
use crate::secure::Secure;
use bytes::Bytes;
use spanwire::Protocol;
use std::io::{self, Read};
use std::path::PathBuf;
use std::time::Duration;

/// What the flags of a command line set.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    /// Whose rules are followed.
    pub(crate) dialect: Dialect,
    /// What to do instead of talking to peers.
    pub(crate) ask: Option<Ask>,
    pub(crate) protocol: Option<Protocol>,
    /// `--pair` was given.
    pub(crate) pair: bool,
    /// Addresses, in the order of the command line.
    pub(crate) endpoints: Vec<(End, String)>,
    pub(crate) topics: Vec<Vec<u8>>,
    pub(crate) format: Option<Format>,
    pub(crate) data: Option<Bytes>,
    /// How many rounds; none means that the other settings decide.
    pub(crate) count: Option<u32>,
    pub(crate) delay: Option<Duration>,
    pub(crate) interval: Option<Duration>,
    pub(crate) recv_timeout: Option<Duration>,
    pub(crate) send_timeout: Option<Duration>,
    /// The largest message accepted; 0 means no limit.
    pub(crate) max_message_bytes: usize,
    /// `--compat`.
    pub(crate) compat: bool,
    /// `--async`.
    pub(crate) background: bool,
    pub(crate) verbose: bool,
    /// `--silent`.
    pub(crate) silent: bool,
    pub(crate) raw_socket: bool,
    /// Where the socket is shown.
    pub(crate) stats: Option<String>,
    /// What TLS needs.
    pub(crate) secure: Secure,
}

/// What is asked for instead of talking to peers.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    Help,
    Version,
}

/// Which end of a connection we are.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Listen,
    Dial,
}

impl Settings {
    /// Nothing set, in the rules of `dialect`.
    pub(crate) fn new(dialect: Dialect) -> Self {
        let max_message_bytes = match dialect {
            // nngcat takes messages of any size unless told otherwise.
            Dialect::Nngcat => 0,
            Dialect::Nanocat => 1024 * 1024,
        };
        Self { dialect, max_message_bytes, ..Self::default() }
    }

    /// Chooses the protocol, which can be done once.
    pub(crate) fn choose(&mut self, protocol: Protocol) -> Result<(), Failure> {
        match self.protocol.replace(protocol) {
            None => Ok(()),
            Some(first) => Err(Failure::usage(format!(
                "--{} and --{} exclude each other: give one protocol, once",
                name(first),
                name(protocol)
            ))),
        }
    }

    /// Chooses the output format. nngcat lets nobody change their mind.
    pub(crate) fn print_as(&mut self, format: Format) -> Result<(), Failure> {
        match self.format.replace(format) {
            Some(_) if self.dialect == Dialect::Nngcat => Err(Failure::usage(
                "two output formats: give one of --format, --ascii, --quoted, --hex, --msgpack and --raw, once",
            )),
            _ => Ok(()),
        }
    }

    /// The same, by the name of the format.
    pub(crate) fn print_as_named(&mut self, name: &[u8]) -> Result<(), Failure> {
        let Some(format) = Format::named(name) else {
            let name = String::from_utf8_lossy(name);
            return Err(Failure::usage(format!(
                "there is no format {name:?}: --format takes no, raw, ascii, quoted, hex or msgpack"
            )));
        };
        self.print_as(format)
    }

    /// Adds an address.
    pub(crate) fn attach(&mut self, end: End, url: &[u8]) -> Result<(), Failure> {
        match std::str::from_utf8(url) {
            Ok(url) => self.endpoints.push((end, url.to_owned())),
            Err(_) => {
                let url = String::from_utf8_lossy(url);
                return Err(Failure::usage(format!("the address {url:?} is not UTF-8")));
            }
        }
        Ok(())
    }

    /// Chooses what is sent, which can be done once.
    pub(crate) fn send(&mut self, body: Bytes) -> Result<(), Failure> {
        self.data_is_free()?;
        self.data = Some(body);
        Ok(())
    }

    /// The same, from a file; `-` is standard input.
    pub(crate) fn send_file(&mut self, path: &[u8]) -> Result<(), Failure> {
        self.data_is_free()?;
        self.send(read(path)?.into())
    }

    fn data_is_free(&self) -> Result<(), Failure> {
        match self.data {
            None => Ok(()),
            Some(_) => Err(Failure::usage("two messages to send: give one of --data and --file, once")),
        }
    }

    /// Reads the file of a TLS flag, which may be named once.
    pub(crate) fn tls_file(
        &mut self,
        flag: &'static str,
        path: &[u8],
        place: impl FnOnce(&mut Secure) -> &mut Option<Vec<u8>>,
    ) -> Result<(), Failure> {
        let place = place(&mut self.secure);
        if place.is_some() {
            return Err(Failure::usage(format!("{flag} can be given only once")));
        }
        *place = Some(read(path)?);
        Ok(())
    }

    /// What all of it means. `used` are the flags of the command line, in its order.
    pub(crate) fn plan(self, used: &[&Flag]) -> Result<Plan, Failure> {
        if self.endpoints.is_empty() {
            return Err(Failure::usage("no address: say where with --dial, --listen or one of their kind"));
        }
        let Some(protocol) = self.protocol else { return Err(self.no_protocol()) };
        if let Some(flag) = used.iter().find(|flag| !flag.only.admits(protocol)) {
            let (flag, name, who) = (flag.title(), name(protocol), flag.only.who());
            return Err(Failure::usage(format!("{flag} does not fit --{name}: it needs {who}")));
        }
        let must_send =
            matches!(protocol, Protocol::Req | Protocol::Pub | Protocol::Push | Protocol::Surveyor);
        if must_send && self.data.is_none() {
            let name = name(protocol);
            return Err(Failure::usage(format!("--{name} needs something to send: add --data or --file")));
        }
        if self.dialect == Dialect::Nngcat {
            self.check_nngcat(protocol)?;
        }
        self.check_transports()?;
        let background = self.background || self.compat || self.dialect == Dialect::Nanocat;
        Ok(Plan {
            dialect: self.dialect,
            protocol,
            endpoints: self.endpoints,
            topics: self.topics,
            format: self.format.unwrap_or_default(),
            data: self.data,
            count: self.count,
            delay: self.delay.filter(|delay| !delay.is_zero()),
            interval: self.interval,
            recv_timeout: self.recv_timeout,
            send_timeout: self.send_timeout,
            max_message_bytes: self.max_message_bytes,
            background,
            verbose: self.verbose,
            silent: self.silent,
            raw_socket: self.raw_socket,
            stats: self.stats,
            secure: self.secure,
        })
    }

    fn no_protocol(&self) -> Failure {
        if self.pair {
            // nngcat 1.5 knows the flag, but it selects nothing there. Choosing for it could only
            // choose wrongly: PAIR v0 and v1 do not interconnect.
            return Failure::usage("--pair alone selects no protocol, as in nngcat: say --pair0 or --pair1");
        }
        Failure::usage("no protocol: say which with --req, --rep, --pub, --sub or one of their kind")
    }

    fn check_nngcat(&self, protocol: Protocol) -> Result<(), Failure> {
        if self.compat && self.background {
            return Err(Failure::usage("--compat and --async exclude each other: drop one"));
        }
        if self.compat && protocol == Protocol::Pair1 {
            return Err(Failure::usage("--pair1 does not exist in --compat mode: say --pair0"));
        }
        if self.interval.is_some() && self.data.is_none() {
            return Err(Failure::usage("--interval needs something to send: add --data or --file"));
        }
        Ok(())
    }

    fn check_transports(&self) -> Result<(), Failure> {
        // The library would listen everywhere, at any port. That is rarely meant by so little.
        if self.endpoints.iter().any(|(_, url)| url == "tcp://") {
            return Err(Failure::socket("tcp:// names no host and no port: write tcp://host:port"));
        }
        Ok(())
    }
}

/// What to do, complete and consistent.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) dialect: Dialect,
    pub(crate) protocol: Protocol,
    /// Addresses, in the order in which they are attached.
    pub(crate) endpoints: Vec<(End, String)>,
    pub(crate) topics: Vec<Vec<u8>>,
    pub(crate) format: Format,
    pub(crate) data: Option<Bytes>,
    pub(crate) count: Option<u32>,
    pub(crate) delay: Option<Duration>,
    pub(crate) interval: Option<Duration>,
    pub(crate) recv_timeout: Option<Duration>,
    pub(crate) send_timeout: Option<Duration>,
    pub(crate) max_message_bytes: usize,
    /// Whether dialing returns at once and keeps trying.
    pub(crate) background: bool,
    pub(crate) verbose: bool,
    /// Whether lost messages are not worth a word.
    pub(crate) silent: bool,
    pub(crate) raw_socket: bool,
    /// Where the socket is shown.
    pub(crate) stats: Option<String>,
    pub(crate) secure: Secure,
}

/// The flag that selects `protocol`.
pub(crate) fn name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Pair0 => "pair0",
        Protocol::Pair1 => "pair1",
        Protocol::Pub => "pub",
        Protocol::Sub => "sub",
        Protocol::Req => "req",
        Protocol::Rep => "rep",
        Protocol::Push => "push",
        Protocol::Pull => "pull",
        Protocol::Surveyor => "surveyor",
        Protocol::Respondent => "respondent",
        Protocol::Bus => "bus",
    }
}

fn read(path: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let result = match path {
        b"-" => io::stdin().lock().read_to_end(&mut bytes).map(drop),
        path => std::fs::read(as_path(path)).map(|content| bytes = content),
    };
    let path = String::from_utf8_lossy(path);
    result.map_err(|error| Failure::File(format!("cannot read {path:?}: {error}")))?;
    Ok(bytes)
}

#[cfg(unix)]
fn as_path(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::OsStr::from_bytes(bytes).into()
}

#[cfg(not(unix))]
fn as_path(bytes: &[u8]) -> PathBuf {
    String::from_utf8_lossy(bytes).into_owned().into()
}
