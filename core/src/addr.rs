//! [`Addr`]: what an address says.
//!
//! | address | what it is |
//! | --- | --- |
//! | `tcp://host:port` | TCP; `tcp4://` and `tcp6://` keep to one version of IP |
//! | `tcp://[::1]:80` | an IPv6 address stands in brackets |
//! | `tcp://*:80`, `tcp://:80` | listen on all interfaces |
//! | `tcp://host`, `tcp://host:0` | listen on a port that the kernel chooses |
//! | `tcp://192.0.2.1;host:80` | dial from this local address |
//! | `ipc://path`, `unix://path` | a unix socket; everything after `://` is the path, relative ones too |
//! | `abstract://name` | a unix socket without a file (Linux); `%00` and the like are decoded |
//! | `inproc://name` | inside this process; everything after `://` is the name |
//! | `tls+tcp://host:port` | TLS over TCP; hosts and ports as above; also `tls+tcp4://`, `tls+tcp6://` |
//! | `ws://host:port/path?query` | WebSocket, on port 80 without a port; also `ws4://`, `ws6://` |
//! | `wss://host:port/path?query` | WebSocket over TLS, on port 443 without a port; also `wss4://`, `wss6://` |
//! | `quic://host:port` | QUIC; hosts and ports as above; also `quic4://`, `quic6://` |
//! | `mux+tcp://host:port#id` | a channel of this id on a multiplexed connection to the address in front: [`Mux`] |
//! | `anything://...` | what a transport of the application makes of it: [`Foreign`] |
//!
//! Schemes are not case-sensitive, hosts neither; paths and names are.

mod mux;

pub use mux::Mux;

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::error::Error;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

/// The longest path of a unix socket and the longest abstract name, as in NNG: Linux has 108 bytes
/// for it, one of which ends the path or starts the name.
pub const MAX_UNIX_BYTES: usize = 107;

/// An address, parsed. Printing it gives an address that parses to the same.
///
/// Two spellings of one endpoint are equal: `TCP://LocalHost:80` and `tcp://localhost:80`,
/// `unix://a` and `ipc://a`, `tcp://*:80` and `tcp://:80`.
///
/// ```
/// use spanwire_core::{Addr, AddrError};
/// let addr = Addr::parse("tcp://LocalHost:5555")?;
/// addr.for_dial()?;
/// assert_eq!(addr.to_string(), "tcp://localhost:5555");
/// // All interfaces can be listened on, but not dialled.
/// let all = Addr::parse("tcp://*:5555")?;
/// assert_eq!(all.for_dial(), Err(AddrError::NoHost));
/// # Ok::<(), AddrError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Addr {
    /// `tcp://`, `tcp4://`, `tcp6://`.
    Tcp(Tcp),
    /// `ipc://`, `unix://`.
    Ipc(Ipc),
    /// `abstract://`.
    Abstract(Abstract),
    /// `inproc://`: the name, any text, empty too. Names are compared byte by byte.
    Inproc(String),
    /// `tls+tcp://`, `tls+tcp4://`, `tls+tcp6://`.
    Tls(Tcp),
    /// `ws://`, `wss://`, and each with a 4 or a 6.
    Ws(Ws),
    /// `quic://`, `quic4://`, `quic6://`.
    Quic(Tcp),
    /// `mux+` before any of those above, but for `inproc` between sockets: a channel.
    Mux(Mux),
    /// Of a transport that is not ours: [`Addr::foreign`].
    Foreign(Foreign),
}

impl Addr {
    /// Reads an address. What it lacks for one role it may not need for the other, so that is a
    /// question of its own: [`for_dial`](Self::for_dial), [`for_listen`](Self::for_listen).
    pub fn parse(text: &str) -> Result<Self, AddrError> {
        let (scheme, rest) = text.split_once("://").ok_or(AddrError::NoScheme)?;
        let scheme = scheme.to_ascii_lowercase();
        if let Some(inside) = Mux::scheme_inside(&scheme) {
            return Mux::parse(inside, rest, Self::parse).map(Self::Mux);
        }
        match scheme.as_str() {
            "tcp" => Tcp::parse(Family::Any, rest).map(Self::Tcp),
            "tcp4" => Tcp::parse(Family::V4, rest).map(Self::Tcp),
            "tcp6" => Tcp::parse(Family::V6, rest).map(Self::Tcp),
            "ipc" | "unix" => Ipc::new(rest).map(Self::Ipc),
            "abstract" => Abstract::new(percent_decode(rest)?).map(Self::Abstract),
            "inproc" => Ok(Self::Inproc(rest.to_owned())),
            "tls+tcp" => Tcp::parse(Family::Any, rest).map(Self::Tls),
            "tls+tcp4" => Tcp::parse(Family::V4, rest).map(Self::Tls),
            "tls+tcp6" => Tcp::parse(Family::V6, rest).map(Self::Tls),
            "ws" => Ws::parse(false, Family::Any, rest).map(Self::Ws),
            "ws4" => Ws::parse(false, Family::V4, rest).map(Self::Ws),
            "ws6" => Ws::parse(false, Family::V6, rest).map(Self::Ws),
            "wss" => Ws::parse(true, Family::Any, rest).map(Self::Ws),
            "wss4" => Ws::parse(true, Family::V4, rest).map(Self::Ws),
            "wss6" => Ws::parse(true, Family::V6, rest).map(Self::Ws),
            "quic" => Tcp::parse(Family::Any, rest).map(Self::Quic),
            "quic4" => Tcp::parse(Family::V4, rest).map(Self::Quic),
            "quic6" => Tcp::parse(Family::V6, rest).map(Self::Quic),
            "" => Err(AddrError::NoScheme),
            other if is_elsewhere(other) => Err(AddrError::NotBuiltIn { scheme }),
            _ => Err(AddrError::UnknownScheme { scheme }),
        }
    }

    /// Reads an address whose transport comes from outside: only what it means for that is not ours to
    /// say. The scheme may be any, also one of the table above; with `mux+` before it, it is a channel of a
    /// multiplexed connection that runs over that transport.
    pub fn foreign(text: &str) -> Result<Self, AddrError> {
        let (scheme, rest) = text.split_once("://").ok_or(AddrError::NoScheme)?;
        if let Some(inside) = Mux::scheme_inside(&scheme.to_ascii_lowercase()) {
            return Mux::parse(inside, rest, Self::foreign).map(Self::Mux);
        }
        Foreign::new(scheme, rest).map(Self::Foreign)
    }

    /// Its scheme, as it is printed.
    pub fn scheme(&self) -> &str {
        match self {
            Self::Foreign(foreign) => &foreign.scheme,
            Self::Mux(mux) => mux.scheme(),
            Self::Tcp(tcp) => tcp.family.of(["tcp", "tcp4", "tcp6"]),
            Self::Ipc(_) => "ipc",
            Self::Abstract(_) => "abstract",
            Self::Inproc(_) => "inproc",
            Self::Tls(tcp) => tcp.family.of(["tls+tcp", "tls+tcp4", "tls+tcp6"]),
            Self::Ws(ws) if ws.secure => ws.tcp.family.of(["wss", "wss4", "wss6"]),
            Self::Ws(ws) => ws.tcp.family.of(["ws", "ws4", "ws6"]),
            Self::Quic(tcp) => tcp.family.of(["quic", "quic4", "quic6"]),
        }
    }

    /// Whether it can be dialled; the error says what is missing.
    pub fn for_dial(&self) -> Result<(), AddrError> {
        match self {
            Self::Tcp(tcp) | Self::Tls(tcp) | Self::Quic(tcp) => tcp.remote().map(drop),
            Self::Ws(ws) => ws.tcp.remote().map(drop),
            Self::Mux(mux) => mux.inner().for_dial(),
            Self::Abstract(name) if name.name().is_empty() => Err(AddrError::NoName),
            Self::Ipc(_) | Self::Abstract(_) | Self::Inproc(_) | Self::Foreign(_) => Ok(()),
        }
    }

    /// Whether it can be listened on; the error says what is in the way.
    pub fn for_listen(&self) -> Result<(), AddrError> {
        match self {
            Self::Tcp(tcp) | Self::Tls(tcp) | Self::Quic(tcp) => tcp.bind().map(drop),
            Self::Ws(ws) => ws.tcp.bind().map(drop),
            Self::Mux(mux) => mux.inner().for_listen(),
            Self::Ipc(_) | Self::Abstract(_) | Self::Inproc(_) | Self::Foreign(_) => Ok(()),
        }
    }
}

impl FromStr for Addr {
    type Err = AddrError;
    fn from_str(text: &str) -> Result<Self, AddrError> {
        Self::parse(text)
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.scheme())?;
        match self {
            Self::Tcp(tcp) | Self::Tls(tcp) | Self::Quic(tcp) => tcp.fmt_rest(f),
            Self::Ws(ws) => {
                ws.tcp.fmt_rest(f)?;
                f.write_str(&ws.target)
            }
            Self::Ipc(ipc) => f.write_str(&ipc.path),
            Self::Abstract(name) => percent_encode(&name.name, f),
            Self::Inproc(name) => f.write_str(name),
            Self::Mux(mux) => mux.fmt_rest(f),
            Self::Foreign(foreign) => f.write_str(&foreign.rest),
        }
    }
}

/// A TCP address: whom to dial, or where to listen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tcp {
    family: Family,
    local: Option<IpAddr>,
    host: Option<Host>,
    port: u16,
}

/// Which versions of IP an address allows; names are resolved to these only.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// Both: `tcp://`.
    Any,
    /// IPv4 alone: `tcp4://`.
    V4,
    /// IPv6 alone: `tcp6://`.
    V6,
}

/// The host of an address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// To be resolved; in lower case.
    Name(String),
    /// Given as it is.
    Ip(IpAddr),
}

impl Tcp {
    fn parse(family: Family, rest: &str) -> Result<Self, AddrError> {
        // A lone trailing slash is refused as any other path.
        let extra = rest.chars().find_map(|mark| match mark {
            '/' => Some("path"),
            '?' => Some("query"),
            '#' => Some("fragment"),
            '@' => Some("user"),
            _ => None,
        });
        if let Some(part) = extra {
            return Err(AddrError::Unexpected { part });
        }
        let (local, rest) = match rest.split_once(';') {
            Some((local, rest)) => (Some(parse_local(local)?), rest),
            None => (None, rest),
        };
        let bad_host = || AddrError::BadHost { host: rest.to_owned() };
        let (host, port) = if let Some(bracketed) = rest.strip_prefix('[') {
            let (ip, after) = bracketed.split_once(']').ok_or_else(bad_host)?;
            let ip: Ipv6Addr = ip.parse().map_err(|_| bad_host())?;
            let port = match after {
                "" => None,
                _ => Some(after.strip_prefix(':').ok_or_else(bad_host)?),
            };
            (Some(Host::Ip(ip.into())), port)
        } else {
            let (host, port) = match rest.split_once(':') {
                // More colons: most likely an IPv6 address without its brackets.
                Some((_, port)) if port.contains(':') => return Err(bad_host()),
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            };
            match host {
                "" | "*" => (None, port),
                _ => (Some(Host::parse(host).ok_or_else(bad_host)?), port),
            }
        };
        let port = port.map_or(Ok(0), parse_port)?;
        let remote = match host {
            Some(Host::Ip(ip)) => Some(ip),
            Some(Host::Name(_)) | None => None,
        };
        for ip in [local, remote].into_iter().flatten() {
            let allowed = match family {
                Family::Any => remote.is_none_or(|remote| remote.is_ipv4() == ip.is_ipv4()),
                Family::V4 => ip.is_ipv4(),
                Family::V6 => ip.is_ipv6(),
            };
            if !allowed {
                return Err(AddrError::WrongFamily { ip });
            }
        }
        Ok(Self { family, local, host, port })
    }

    /// The versions of IP it allows.
    pub const fn family(&self) -> Family {
        self.family
    }

    /// The address to dial from, if one is given.
    pub const fn local(&self) -> Option<IpAddr> {
        self.local
    }

    /// Whom to dial. Needs a host and a port.
    pub fn remote(&self) -> Result<(&Host, u16), AddrError> {
        match (&self.host, self.port) {
            (None, _) => Err(AddrError::NoHost),
            (_, 0) => Err(AddrError::NoPort),
            (Some(host), port) => Ok((host, port)),
        }
    }

    /// Where to listen: on all interfaces without a host, on a port that the kernel chooses with 0.
    pub fn bind(&self) -> Result<(Option<&Host>, u16), AddrError> {
        match self.local {
            Some(_) => Err(AddrError::LocalOnListen),
            None => Ok((self.host.as_ref(), self.port)),
        }
    }

    /// The same with another port: the one that the kernel chose.
    #[must_use]
    pub fn with_port(self, port: u16) -> Self {
        Self { port, ..self }
    }

    fn fmt_rest(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(local) = self.local {
            write!(f, "{};", Host::Ip(local))?;
        }
        match &self.host {
            Some(host) => write!(f, "{host}:{}", self.port),
            None => write!(f, "*:{}", self.port),
        }
    }
}

impl Family {
    /// The scheme that says so, of those for both, for IPv4 and for IPv6.
    const fn of(self, schemes: [&'static str; 3]) -> &'static str {
        match self {
            Self::Any => schemes[0],
            Self::V4 => schemes[1],
            Self::V6 => schemes[2],
        }
    }
}

impl Host {
    /// A name or an IPv4 address. `None` for what could be neither.
    fn parse(text: &str) -> Option<Self> {
        if let Ok(ip) = text.parse::<Ipv4Addr>() {
            return Some(Self::Ip(ip.into()));
        }
        let name = text.to_ascii_lowercase();
        let labels = name.strip_suffix('.').unwrap_or(&name);
        let is_label = |label: &str| {
            let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
            (1..=63).contains(&label.len()) && label.bytes().all(allowed)
        };
        // What ends in a number would go through as an IPv4 address with some resolvers
        // (127.1, 0x7f000001) and as a name with others.
        let last = labels.rsplit('.').next().unwrap_or_default();
        let number = match last.strip_prefix("0x") {
            Some(hex) => hex.bytes().all(|b| b.is_ascii_hexdigit()),
            None => last.bytes().all(|b| b.is_ascii_digit()),
        };
        (!number && name.len() <= 253 && labels.split('.').all(is_label)).then_some(Self::Name(name))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Ip(IpAddr::V4(ip)) => write!(f, "{ip}"),
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
        }
    }
}

/// A WebSocket address: a TCP address, and what is asked for there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ws {
    secure: bool,
    tcp: Tcp,
    target: String,
}

impl Ws {
    /// The port of `ws://` without one (RFC 6455 3).
    pub const PORT: u16 = 80;
    /// The port of `wss://` without one (RFC 6455 3).
    pub const SECURE_PORT: u16 = 443;

    fn parse(secure: bool, family: Family, rest: &str) -> Result<Self, AddrError> {
        let (host, target) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if target.contains('#') {
            return Err(AddrError::Unexpected { part: "fragment" });
        }
        if !target.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(AddrError::BadPath { path: target.to_owned() });
        }
        let mut tcp = Tcp::parse(family, host)?;
        if tcp.port == 0 && !host.ends_with(":0") {
            tcp.port = if secure { Self::SECURE_PORT } else { Self::PORT };
        }
        let mut full = String::from(if target.starts_with('/') { "" } else { "/" });
        full.push_str(target);
        Ok(Self { secure, tcp, target: full })
    }

    /// Whether it is `wss://`.
    pub const fn is_secure(&self) -> bool {
        self.secure
    }

    /// Host and port.
    pub const fn tcp(&self) -> &Tcp {
        &self.tcp
    }

    /// Path and query, as in the first line of a request: starts with a slash.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The target without its query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The same with another port: the one that the kernel chose.
    #[must_use]
    pub fn with_port(self, port: u16) -> Self {
        Self { tcp: self.tcp.with_port(port), ..self }
    }
}

/// A unix socket with a file: 1 to [`MAX_UNIX_BYTES`] bytes of path, taken as it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ipc {
    path: String,
}

impl Ipc {
    /// The socket at this path.
    pub fn new(path: impl Into<String>) -> Result<Self, AddrError> {
        let path = path.into();
        match path.len() {
            0 => Err(AddrError::NoPath),
            1..=MAX_UNIX_BYTES if path.contains('\0') => Err(AddrError::NulInPath),
            1..=MAX_UNIX_BYTES => Ok(Self { path }),
            bytes => Err(AddrError::TooLong { bytes, most: MAX_UNIX_BYTES }),
        }
    }

    /// The path; relative ones start in the working directory of the process.
    pub fn path(&self) -> &str {
        &self.path
    }
}

/// A unix socket without a file (Linux): up to [`MAX_UNIX_BYTES`] bytes of any value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Abstract {
    name: Vec<u8>,
}

impl Abstract {
    /// The socket of this name. Listening on the empty name lets the kernel choose one.
    pub fn new(name: impl Into<Vec<u8>>) -> Result<Self, AddrError> {
        let name = name.into();
        match name.len() {
            0..=MAX_UNIX_BYTES => Ok(Self { name }),
            bytes => Err(AddrError::TooLong { bytes, most: MAX_UNIX_BYTES }),
        }
    }

    /// The name, without the zero byte in front that the kernel wants, and without padding.
    pub fn name(&self) -> &[u8] {
        &self.name
    }
}

/// An address of a transport that is not ours.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Foreign {
    scheme: String,
    rest: String,
}

impl Foreign {
    /// The longest scheme, and the longest of what follows it.
    pub const MAX_BYTES: usize = 2_048;

    /// `scheme://rest`. The scheme is a letter and then letters, digits, `+`, `-` and `.` (RFC 3986 3.1);
    /// what follows may be any text.
    pub fn new(scheme: &str, rest: impl Into<String>) -> Result<Self, AddrError> {
        let rest = rest.into();
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        match scheme.as_bytes() {
            [] => Err(AddrError::NoScheme),
            [first, others @ ..] if first.is_ascii_alphabetic() && others.iter().all(|b| allowed(*b)) => {
                match scheme.len().max(rest.len()) {
                    0..=Self::MAX_BYTES => Ok(Self { scheme: scheme.to_ascii_lowercase(), rest }),
                    bytes => Err(AddrError::TooLong { bytes, most: Self::MAX_BYTES }),
                }
            }
            _ => Err(AddrError::BadScheme { scheme: scheme.to_owned() }),
        }
    }

    /// The scheme, in lower case.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// What follows `://`, as it was given.
    pub fn rest(&self) -> &str {
        &self.rest
    }
}

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
        /// The most that there may be: [`MAX_UNIX_BYTES`], [`Foreign::MAX_BYTES`], [`Mux::MAX_ID_BYTES`].
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

/// Schemes that are read here.
const HERE: &str = "tcp tcp4 tcp6 ipc unix abstract inproc tls+tcp tls+tcp4 tls+tcp6 ws ws4 ws6 \
    wss wss4 wss6 quic quic4 quic6";

/// Schemes of the SP family and of Spanwire that are not, or not yet.
const ELSEWHERE: &str = "udp udp4 udp6 dtls dtls4 dtls6 socket serial zt";

fn is_elsewhere(scheme: &str) -> bool {
    ELSEWHERE.split(' ').any(|other| other == scheme)
}

fn parse_port(port: &str) -> Result<u16, AddrError> {
    let bad_port = || AddrError::BadPort { port: port.to_owned() };
    // The number parser alone would let a sign pass.
    if !port.bytes().all(|b| b.is_ascii_digit()) {
        return Err(bad_port());
    }
    port.parse().map_err(|_| bad_port())
}

fn parse_local(local: &str) -> Result<IpAddr, AddrError> {
    let ip = match local.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(ip) => ip.parse().map(IpAddr::V6),
        None => local.parse().map(IpAddr::V4),
    };
    ip.map_err(|_| AddrError::BadLocal { local: local.to_owned() })
}

fn percent_decode(text: &str) -> Result<Vec<u8>, AddrError> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|b| char::from(b).to_digit(16)).ok_or(AddrError::BadEscape);
        decoded.push((digit()? << 4 | digit()?) as u8);
    }
    Ok(decoded)
}

fn percent_encode(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for &byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                write!(f, "{}", char::from(byte))?;
            }
            _ => write!(f, "%{byte:02X}")?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Addr, AddrError> {
        Addr::parse(text)
    }

    /// What the address is printed as.
    fn printed(text: &str) -> String {
        parse(text).unwrap_or_else(|e| panic!("{text}: {e}")).to_string()
    }

    #[test]
    fn every_form_is_printed_in_one_way() {
        for (text, expected) in [
            ("tcp://host:80", "tcp://host:80"),
            ("TCP://Host.Example:080", "tcp://host.example:80"),
            ("tcp4://127.0.0.1:65535", "tcp4://127.0.0.1:65535"),
            ("tcp6://[0:0::1]:1", "tcp6://[::1]:1"),
            ("tcp6://host:1", "tcp6://host:1"),
            ("tcp://[::ffff:1.2.3.4]:1", "tcp://[::ffff:1.2.3.4]:1"),
            ("tcp://a_b-c.d.:1", "tcp://a_b-c.d.:1"),
            ("tcp://*:80", "tcp://*:80"),
            ("tcp://:80", "tcp://*:80"),
            ("tcp://", "tcp://*:0"),
            ("tcp://[::1]", "tcp://[::1]:0"),
            ("tcp://127.0.0.1", "tcp://127.0.0.1:0"),
            ("tcp://192.0.2.1;Host:80", "tcp://192.0.2.1;host:80"),
            ("tcp://[::1];[::2]:80", "tcp://[::1];[::2]:80"),
            ("ipc:///tmp/a b%20c?#@", "ipc:///tmp/a b%20c?#@"),
            ("unix://relative.sock", "ipc://relative.sock"),
            ("abstract://", "abstract://"),
            ("abstract://a%00%2f%c3ü b", "abstract://a%00/%C3%C3%BC%20b"),
            ("inproc://", "inproc://"),
            ("TLS+TCP://Host:1", "tls+tcp://host:1"),
            ("tls+tcp4://192.0.2.1;h:1", "tls+tcp4://192.0.2.1;h:1"),
            ("quic6://[::1]", "quic6://[::1]:0"),
            ("ws://Host", "ws://host:80/"),
            ("wss6://[::1]", "wss6://[::1]:443/"),
            ("ws://*:0/A/b", "ws://*:0/A/b"),
            ("ws4://h:8?q=1", "ws4://h:8/?q=1"),
            ("wss://h/a%20b/?q=/?", "wss://h:443/a%20b/?q=/?"),
            ("InProc://A://b;\u{1f980}\n", "inproc://A://b;\u{1f980}\n"),
        ] {
            assert_eq!(printed(text), expected, "{text}");
            assert_eq!(parse(expected), parse(text), "{text}");
        }
    }

    #[test]
    fn a_foreign_address_is_kept_as_it_is() {
        let addr = Addr::foreign("Memory+X://A b?\u{1f980}").unwrap();
        assert_eq!((addr.to_string().as_str(), addr.scheme()), ("memory+x://A b?\u{1f980}", "memory+x"));
        assert_eq!((addr.for_dial(), addr.for_listen()), (Ok(()), Ok(())));
        assert_eq!(Addr::foreign(&addr.to_string()), Ok(addr));
        // A scheme of ours means what the transport makes of it, too.
        assert!(matches!(Addr::foreign("tcp://not a host"), Ok(Addr::Foreign(_))));
        for text in ["", "memory:x", "://x"] {
            assert_eq!(Addr::foreign(text), Err(AddrError::NoScheme), "{text}");
        }
        for scheme in ["1x", "a b", "\u{e4}", "-"] {
            let text = alloc::format!("{scheme}://x");
            assert_eq!(Addr::foreign(&text), Err(AddrError::BadScheme { scheme: scheme.to_owned() }));
        }
        let long = "x".repeat(Foreign::MAX_BYTES + 1);
        let too_long = AddrError::TooLong { bytes: Foreign::MAX_BYTES + 1, most: Foreign::MAX_BYTES };
        assert_eq!(Addr::foreign(&alloc::format!("m://{long}")), Err(too_long));
    }

    #[test]
    fn schemes_are_known_here_or_elsewhere_or_not_at_all() {
        for text in ["", "host:80", "tcp:host:80", "://x", "tcp//x"] {
            assert_eq!(parse(text), Err(AddrError::NoScheme), "{text}");
        }
        let elsewhere = "udp dtls socket serial zt mux+udp mux+zt";
        for scheme in elsewhere.split(' ') {
            let error = parse(&format!("{}://h:1", scheme.to_uppercase()));
            assert_eq!(error, Err(AddrError::NotBuiltIn { scheme: scheme.to_owned() }));
        }
        for scheme in ["http", "tcp5", "mux+", "mux+or", "mux+mux+tcp", " tcp", "tcp\n", "tcp tcp4"] {
            let error = parse(&format!("{scheme}://h:1"));
            assert_eq!(error, Err(AddrError::UnknownScheme { scheme: scheme.to_owned() }));
        }
    }

    #[test]
    fn a_host_is_a_name_or_an_address_and_nothing_that_is_nearly_one() {
        let long_label = format!("{}.x", "a".repeat(64));
        let long_name = format!("{}x", "abc.".repeat(64));
        let v6 = "::1|::1:80|1:2:3|[::1|[::1]80|[]|[1.2.3.4]:80|[fe80::1%eth0]:80|[::1]]|[[::1]]";
        let names = "a b|a..b|.a|.|ü|a%20|a\0|**|*.*|127.1|256.0.0.1|1|1.|0x7f000001|1.0x";
        for host in v6.split('|').chain(names.split('|')).chain([&*long_label, &*long_name]) {
            assert_eq!(parse(&format!("tcp://{host}")), Err(AddrError::BadHost { host: host.to_owned() }));
        }
    }

    #[test]
    fn a_port_is_digits() {
        for port in ["", "+80", "-1", "65536", "http", " 80", "80 ", "8_0", "99999999999999999999"] {
            let expected = AddrError::BadPort { port: port.to_owned() };
            for host in ["host", "", "*", "[::1]", "1.2.3.4"] {
                assert_eq!(parse(&format!("tcp://{host}:{port}")), Err(expected.clone()), "{host}");
            }
        }
    }

    #[test]
    fn tcp_has_no_path_query_fragment_or_user() {
        for (text, part) in [
            ("tcp://h:1/", "path"),
            ("tcp://h:1/a?b#c", "path"),
            ("tcp://h:1?b", "query"),
            ("tcp://h:1#c", "fragment"),
            ("tcp://u:p@h:1", "user"),
        ] {
            assert_eq!(parse(text), Err(AddrError::Unexpected { part }), "{text}");
        }
    }

    #[test]
    fn a_websocket_has_a_target_and_a_path_of_it() {
        let Ok(Addr::Ws(ws)) = parse("wss://h/a/b?c=/d") else { panic!("it is one") };
        assert!(ws.is_secure());
        assert_eq!((ws.target(), ws.path()), ("/a/b?c=/d", "/a/b"));
        assert_eq!(ws.tcp().remote(), Ok((&Host::Name("h".into()), Ws::SECURE_PORT)));
        for path in ["/a b", "/\u{fc}", "/\n", "?\0"] {
            let error = AddrError::BadPath { path: path.to_owned() };
            assert_eq!(parse(&format!("ws://h{path}")), Err(error));
        }
        assert_eq!(parse("ws://h/a#b"), Err(AddrError::Unexpected { part: "fragment" }));
        assert_eq!(parse("ws://u@h/a"), Err(AddrError::Unexpected { part: "user" }));
        assert_eq!(parse("ws:///a").unwrap().for_dial(), Err(AddrError::NoHost));
        assert_eq!(parse("ws://h:0/a").unwrap().for_dial(), Err(AddrError::NoPort));
    }

    #[test]
    fn addresses_keep_to_their_family() {
        for (text, ip) in [
            ("tcp4://[::1]:1", "::1"),
            ("tcp6://127.0.0.1:1", "127.0.0.1"),
            ("tcp4://[::1];host:1", "::1"),
            ("tcp6://127.0.0.1;host:1", "127.0.0.1"),
            ("tcp://127.0.0.1;[::1]:1", "127.0.0.1"),
        ] {
            assert_eq!(parse(text), Err(AddrError::WrongFamily { ip: ip.parse().unwrap() }), "{text}");
        }
    }

    #[test]
    fn a_local_address_is_a_literal_and_only_for_dialling() {
        for local in ["", "eth0", "localhost", "::1", "[1.2.3.4]", "*"] {
            let expected = Err(AddrError::BadLocal { local: local.to_owned() });
            assert_eq!(parse(&format!("tcp://{local};host:80")), expected);
        }
        let addr = parse("tcp://192.0.2.1;host:80").unwrap();
        assert_eq!(addr.for_dial(), Ok(()));
        assert_eq!(addr.for_listen(), Err(AddrError::LocalOnListen));
        let Addr::Tcp(tcp) = addr else { panic!("it is tcp") };
        assert_eq!(tcp.local(), Some(IpAddr::from([192, 0, 2, 1])));
        assert_eq!(tcp.remote(), Ok((&Host::Name("host".into()), 80)));
        assert!(matches!(parse("tcp://1.2.3.4;5.6.7.8;h:1"), Err(AddrError::BadHost { .. })));
    }

    #[test]
    fn dialling_needs_more_than_listening() {
        for (text, missing) in [
            ("tcp://:80", AddrError::NoHost),
            ("tcp://*:80", AddrError::NoHost),
            ("tcp://", AddrError::NoHost),
            ("tcp://host", AddrError::NoPort),
            ("tcp://host:0", AddrError::NoPort),
            ("tcp://[::1]", AddrError::NoPort),
            ("abstract://", AddrError::NoName),
        ] {
            let addr = parse(text).unwrap();
            assert_eq!(addr.for_dial(), Err(missing), "{text}");
            assert_eq!(addr.for_listen(), Ok(()), "{text}");
        }
        for text in ["tcp://host:1", "ipc://a", "abstract://a", "inproc://"] {
            let addr = parse(text).unwrap();
            assert_eq!((addr.for_dial(), addr.for_listen()), (Ok(()), Ok(())), "{text}");
        }
    }

    #[test]
    fn the_port_that_was_chosen_can_be_told() {
        let Addr::Tcp(tcp) = parse("tcp4://127.0.0.1").unwrap() else { panic!("it is tcp") };
        assert_eq!(tcp.bind(), Ok((Some(&Host::Ip(IpAddr::from([127, 0, 0, 1]))), 0)));
        assert_eq!(Addr::Tcp(tcp.with_port(5555)).to_string(), "tcp4://127.0.0.1:5555");
    }

    #[test]
    fn unix_paths_and_names_fit_into_a_socket_address() {
        let (longest, too_long) = ("x".repeat(107), "x".repeat(108));
        for scheme in ["ipc", "unix", "abstract"] {
            assert!(parse(&format!("{scheme}://{longest}")).is_ok());
            assert_eq!(
                parse(&format!("{scheme}://{too_long}")),
                Err(AddrError::TooLong { bytes: 108, most: MAX_UNIX_BYTES })
            );
        }
        // What counts is the length after decoding.
        assert!(parse(&format!("abstract://{}", "%00".repeat(107))).is_ok());
        assert_eq!(parse("ipc://"), Err(AddrError::NoPath));
        assert_eq!(parse("ipc://a\0b"), Err(AddrError::NulInPath));
        for text in ["abstract://%", "abstract://%0", "abstract://%g0", "abstract://%0g", "abstract://%+1"] {
            assert_eq!(parse(text), Err(AddrError::BadEscape), "{text}");
        }
    }

    #[test]
    fn spellings_of_one_endpoint_are_equal_and_names_are_exact() {
        assert_eq!(parse("unix://a"), parse("ipc://a"));
        assert_eq!(parse("TCP://LOCALHOST:80"), parse("tcp://localhost:80"));
        assert_ne!(parse("inproc://a"), parse("inproc://A"));
        assert_ne!(parse("inproc://a"), parse("inproc://a/"));
        assert_ne!(parse("ipc://a%20b"), parse("ipc://a b"));
        assert_ne!(parse("tcp://h:1"), parse("tcp4://h:1"));
    }

    #[test]
    fn errors_quote_what_they_do_not_trust() {
        let error = parse("tcp://a\n\u{1b}[31m:80").unwrap_err();
        assert!(error.to_string().bytes().all(|b| b.is_ascii_graphic() || b == b' '), "{error}");
    }

    /// Text that is nearly an address.
    fn nearly() -> impl Strategy<Value = String> {
        let scheme = prop::sample::select(vec![
            "tcp", "tcp4", "TCP6", "ipc", "unix", "abstract", "inproc", "ws", "mux+tcp", "mux+ipc", "mux+ws",
            "mux+x", "x", "",
        ]);
        let piece = prop_oneof![
            prop::sample::select(vec![
                "host", "HOST.", "1.2.3.4", "[::1]", "::1", "*", ":", ":80", ":0", ";", "/", "?", "#", "@",
                "%00", "%C3", "%", ".", "://", "65536", "[", "]", "-", "0x1", "\0", "ü",
            ])
            .prop_map(str::to_owned),
            "[a-zA-Z0-9.:;\\[\\]%/*-]{0,12}",
            any::<u8>().prop_map(|byte| format!("%{byte:02x}")),
        ];
        (scheme, prop::collection::vec(piece, 0..5))
            .prop_map(|(scheme, pieces)| format!("{scheme}://{}", pieces.concat()))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn what_parses_is_printed_so_that_it_parses_to_the_same(text in prop_oneof![nearly(), any::<String>()]) {
            match parse(&text) {
                Ok(addr) => {
                    let printed = addr.to_string();
                    prop_assert_eq!(parse(&printed), Ok(addr.clone()), "{}", printed);
                    // Whatever it is, it is good for something.
                    prop_assert!(addr.for_dial().is_ok() || addr.for_listen().is_ok()
                        || printed.contains(';'), "{}", printed);
                }
                Err(error) => {
                    let said = error.to_string();
                    prop_assert!(said.starts_with(|c: char| !c.is_uppercase()) && !said.ends_with('.'));
                }
            }
        }
    }
}
