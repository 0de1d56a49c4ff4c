//! [`Complaint`]: what went wrong, and what the user can do about it.

use crate::secure::Unusable;
use clap::CommandFactory;
use spanwire::mux::{End, OpenError};
use spanwire::tls::TlsError;
use spanwire::{DialError, ListenError, QuicError, UpgradeError};
use std::fmt;
use std::io;
use std::process::ExitCode;

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Complaint {
    what: String,
    advice: Option<&'static str>,
    kind: Kind,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Failed,
    Usage,
    /// Whoever read our output has heard enough.
    NobodyListens,
}

impl Complaint {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), advice: None, kind: Kind::Failed }
    }

    /// The command line makes no sense, in a way that its parser could not know.
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self { kind: Kind::Usage, ..Self::new(what) }
    }

    /// Adds what the user can do.
    #[must_use]
    pub(crate) fn advise(mut self, advice: &'static str) -> Self {
        self.advice = Some(advice);
        self
    }

    /// Tells the user; gives the exit status.
    pub(crate) fn report(self) -> ExitCode {
        match self.kind {
            Kind::NobodyListens => ExitCode::from(crate::BROKEN_PIPE),
            Kind::Failed => {
                eprintln!("spanwire: {self}");
                ExitCode::FAILURE
            }
            Kind::Usage => {
                let mut text = self.what;
                if let Some(advice) = self.advice {
                    text = format!("{text}\n  {advice}");
                }
                let mut command = crate::args::Args::command();
                command.build();
                // The usage of the command in question is of more help than that of all.
                let name = std::env::args().nth(1).unwrap_or_default();
                let command = match command.find_subcommand_mut(&name) {
                    Some(command) => command,
                    None => &mut command,
                };
                command.error(clap::error::ErrorKind::ValueValidation, text).exit()
            }
        }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match self.advice {
            Some(advice) => write!(f, "\n  {advice}"),
            None => Ok(()),
        }
    }
}

impl From<ListenError> for Complaint {
    fn from(error: ListenError) -> Self {
        let complaint = Self::new(error.to_string());
        match &error {
            ListenError::Address { .. } => complaint.advise(ADDRESSES),
            ListenError::Bind { error, .. } => match error.kind() {
                io::ErrorKind::AddrInUse => {
                    complaint.advise("choose another address, or end the program that listens there")
                }
                io::ErrorKind::PermissionDenied => complaint
                    .advise("choose a port above 1023, or a folder in which this user may make files"),
                io::ErrorKind::NotFound => complaint.advise("make the folder of the socket file first"),
                io::ErrorKind::AddrNotAvailable => {
                    complaint.advise("listen on an address of this machine, or leave the host out for all")
                }
                _ => complaint,
            },
            _ => complaint,
        }
    }
}

impl From<DialError> for Complaint {
    fn from(error: DialError) -> Self {
        let complaint = Self::new(error.to_string());
        match &error {
            DialError::Address { .. } => complaint.advise(ADDRESSES),
            DialError::Connect { error, .. } => match distrust_within(error).and_then(against) {
                Some(advice) => complaint.advise(advice),
                None => complaint.advise(START),
            },
            DialError::TimedOut { .. } => complaint.advise(START),
            DialError::Refused { .. } => complaint
                .advise("check that the other side has the matching protocol, with TLS or without as here"),
            DialError::Upgrade {
                error: UpgradeError::Tls(error) | UpgradeError::Quic(QuicError::Tls(error)),
                ..
            } => match against(error) {
                Some(advice) => complaint.advise(advice),
                None => complaint,
            },
            _ => complaint,
        }
    }
}

impl From<OpenError> for Complaint {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Dial(error) => error.into(),
            OpenError::Closed(End::Violation(_) | End::HandshakeTimeout) => Self::new(error.to_string())
                .advise("check the address: spanwire mux serve, or another program with spanwire::mux, listens there"),
            error => Self::new(error.to_string()),
        }
    }
}

/// With TLS 1.3 a listener refuses our certificate after we are done, where others read already.
fn distrust_within(error: &io::Error) -> Option<&TlsError> {
    error.get_ref()?.downcast_ref()
}

/// What the user can do about certificates.
fn against(error: &TlsError) -> Option<&'static str> {
    Some(match error {
        TlsError::UnknownAuthority => "name the authority that has issued its certificate with --cacert",
        TlsError::WrongName { .. } => "dial it by a name that is in its certificate",
        TlsError::CertificateRequired => "say who we are with --cert and --key",
        TlsError::Alert { name: "unknown_ca" | "bad_certificate" } => {
            "show a certificate of an authority that it trusts with --cert and --key"
        }
        TlsError::NotTls => "check the port and the scheme: what listens there does so without TLS",
        _ => return None,
    })
}

const START: &str = "start the program that listens there, and check the address";

impl From<Unusable> for Complaint {
    fn from(error: Unusable) -> Self {
        Self::new(error.to_string()).advise("spanwire cert makes certificates to try it with")
    }
}

impl From<io::Error> for Complaint {
    /// An error of our output.
    fn from(error: io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::BrokenPipe => Kind::NobodyListens,
            _ => Kind::Failed,
        };
        Self { kind, ..Self::new(format!("cannot write: {error}")) }
    }
}

const ADDRESSES: &str = "addresses look like tcp://127.0.0.1:5555, ipc:///tmp/name, abstract://name, inproc://name, \
    tls+tcp://host:5556, ws://host:8080/path, wss://host/path, \
    quic://host:5557, or one of these as in mux+tcp://host:5555#name";
