//! [`AddrError`]: what is wrong with an address, or with its use.

use super::HERE;
use alloc::string::String;
use core::error::Error;
use core::fmt;
use core::net::IpAddr;

/// What is wrong with an address, or with its use.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddrError {
    /// There is no `scheme://` at its start.
    NoScheme,
    /// Nobody knows this scheme.
    UnknownScheme {
        /// The scheme, in lower case.
        scheme: String,
    },
    /// What stands for the scheme is none.
    BadScheme {
        /// It as it was given.
        scheme: String,
    },
    /// The scheme exists, but this build cannot do it.
    NotBuiltIn {
        /// The scheme, in lower case.
        scheme: String,
    },
    /// A part that this scheme has no use for.
    Unexpected {
        /// Which part: path, query, fragment, user.
        part: &'static str,
    },
    /// What stands for the host is no host.
    BadHost {
        /// Host and port as they were given.
        host: String,
    },
    /// What stands for the port is no port.
    BadPort {
        /// It as it was given.
        port: String,
    },
    /// What stands before the `;` is no IP address.
    BadLocal {
        /// It as it was given.
        local: String,
    },
    /// IPv4 where it has to be IPv6, or the other way round.
    WrongFamily {
        /// The address that does not fit.
        ip: IpAddr,
    },
    /// Dialling needs a host.
    NoHost,
    /// Dialling needs a port.
    NoPort,
    /// A local address is for dialling only.
    LocalOnListen,
    /// The path is empty.
    NoPath,
    /// The path or the query of a URL has a character that has to be escaped in it.
    BadPath {
        /// Path and query as they were given.
        path: String,
    },
    /// The path has a zero byte in it.
    NulInPath,
    /// Dialling needs a name.
    NoName,
    /// The path, the name or the address is too long.
    TooLong {
        /// Its length.
        bytes: usize,
        /// The most that there may be: [`MAX_UNIX_BYTES`](super::MAX_UNIX_BYTES),
        /// [`Foreign::MAX_BYTES`](super::Foreign::MAX_BYTES).
        most: usize,
    },
    /// A `%` without two hexadecimal digits behind it.
    BadEscape,
    /// The id of a channel is not text.
    BadId {
        /// It as it was given.
        id: String,
    },
}

impl fmt::Display for AddrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoScheme => f.write_str("an address starts with its scheme, as in tcp://host:port"),
            Self::UnknownScheme { scheme } => write!(
                f,
                "there is no scheme {scheme:?}; use one of: {HERE}; or one of these with mux+ before it; or give the transport in the options"
            ),
            Self::BadScheme { scheme } => {
                write!(f, "{scheme:?} is not a scheme; use a letter, then letters, digits, '+', '-' and '.'")
            }
            Self::NotBuiltIn { scheme } => {
                write!(f, "the scheme {scheme:?} is not part of this build; it may be a feature of the crate")
            }
            Self::Unexpected { part } => {
                write!(f, "the address has a {part}, which its scheme does not take; leave it out")
            }
            Self::BadHost { host } => {
                write!(f, "no host in {host:?}; use a name, an IPv4 address, or an IPv6 address in brackets")
            }
            Self::BadPort { port } => write!(f, "{port:?} is not a port; use a number from 0 to 65535"),
            Self::BadLocal { local } => write!(
                f,
                "{local:?} is not a local address; use an IPv4 address, or an IPv6 address in brackets"
            ),
            Self::WrongFamily { ip } => write!(
                f,
                "{ip} does not fit; tcp4 takes IPv4 and tcp6 takes IPv6, at both ends of the connection"
            ),
            Self::NoHost => f.write_str("dialling needs a host; write it as in tcp://host:port"),
            Self::NoPort => f.write_str("dialling needs a port; write it as in tcp://host:port"),
            Self::LocalOnListen => f.write_str(
                "a local address before a ';' is for dialling; listen on it as in tcp://192.0.2.1:port",
            ),
            Self::BadPath { path } => {
                write!(f, "{path:?} is not a path; write other characters as % and two hexadecimal digits")
            }
            Self::NoPath => f.write_str("the address needs a path, as in ipc://path"),
            Self::NulInPath => f.write_str("a path cannot contain a zero byte; leave it out"),
            Self::NoName => f.write_str("dialling needs a name; write it as in abstract://name"),
            Self::TooLong { bytes, most } => {
                write!(f, "{bytes} bytes are too many for an address of this kind; use at most {most}")
            }
            Self::BadEscape => f.write_str("a '%' needs two hexadecimal digits; write '%' itself as %25"),
            Self::BadId { id } => write!(f, "{id:?} is not the id of a channel; use UTF-8"),
        }
    }
}

impl Error for AddrError {}
