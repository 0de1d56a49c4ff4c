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
//!
//! | file | what it holds |
//! | --- | --- |
//! | `tcp` | hosts, ports and families of IP, of all schemes that have them |
//! | `ws` | paths and queries |
//! | `unix` | paths and names of unix sockets |
//! | `mux` | channels |
//! | `foreign` | what is not ours to read |
//! | `error` | what is wrong with an address |

mod error;
mod foreign;
mod mux;
mod tcp;
mod unix;
mod ws;

pub use error::AddrError;
pub use foreign::Foreign;
pub use mux::Mux;
pub use tcp::{Family, Host, Tcp};
pub use unix::{Abstract, Ipc, MAX_UNIX_BYTES};
pub use ws::Ws;

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;
use unix::{percent_decode, percent_encode};

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
            Self::Foreign(foreign) => foreign.scheme(),
            Self::Mux(mux) => mux.scheme(),
            Self::Tcp(tcp) => tcp.family().of(["tcp", "tcp4", "tcp6"]),
            Self::Ipc(_) => "ipc",
            Self::Abstract(_) => "abstract",
            Self::Inproc(_) => "inproc",
            Self::Tls(tcp) => tcp.family().of(["tls+tcp", "tls+tcp4", "tls+tcp6"]),
            Self::Ws(ws) if ws.is_secure() => ws.tcp().family().of(["wss", "wss4", "wss6"]),
            Self::Ws(ws) => ws.tcp().family().of(["ws", "ws4", "ws6"]),
            Self::Quic(tcp) => tcp.family().of(["quic", "quic4", "quic6"]),
        }
    }

    /// Whether it can be dialled; the error says what is missing.
    pub fn for_dial(&self) -> Result<(), AddrError> {
        match self {
            Self::Tcp(tcp) | Self::Tls(tcp) | Self::Quic(tcp) => tcp.remote().map(drop),
            Self::Ws(ws) => ws.tcp().remote().map(drop),
            Self::Mux(mux) => mux.inner().for_dial(),
            Self::Abstract(name) if name.name().is_empty() => Err(AddrError::NoName),
            Self::Ipc(_) | Self::Abstract(_) | Self::Inproc(_) | Self::Foreign(_) => Ok(()),
        }
    }

    /// Whether it can be listened on; the error says what is in the way.
    pub fn for_listen(&self) -> Result<(), AddrError> {
        match self {
            Self::Tcp(tcp) | Self::Tls(tcp) | Self::Quic(tcp) => tcp.bind().map(drop),
            Self::Ws(ws) => ws.tcp().bind().map(drop),
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
                ws.tcp().fmt_rest(f)?;
                f.write_str(ws.target())
            }
            Self::Ipc(ipc) => f.write_str(ipc.path()),
            Self::Abstract(name) => percent_encode(name.name(), f),
            Self::Inproc(name) => f.write_str(name),
            Self::Mux(mux) => mux.fmt_rest(f),
            Self::Foreign(foreign) => f.write_str(foreign.rest()),
        }
    }
}

/// Schemes that are read here.
const HERE: &str = "tcp tcp4 tcp6 ipc unix abstract inproc tls+tcp tls+tcp4 tls+tcp6 ws ws4 ws6 \
    wss wss4 wss6 quic quic4 quic6";

/// Schemes of the SP family and of Spanwire that are not, or not yet.
const ELSEWHERE: &str = "udp udp4 udp6 dtls dtls4 dtls6 socket serial zt";

fn is_elsewhere(scheme: &str) -> bool {
    ELSEWHERE.split(' ').any(|other| other == scheme)
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
