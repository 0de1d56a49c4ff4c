//! [`Tcp`]: hosts and ports, of all schemes that have them.

use super::AddrError;
use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A TCP address: whom to dial, or where to listen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tcp {
    family: Family,
    local: Option<IpAddr>,
    host: Option<Host>,
    pub(super) port: u16,
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
    pub(super) fn parse(family: Family, rest: &str) -> Result<Self, AddrError> {
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

    pub(super) fn fmt_rest(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
    pub(super) const fn of(self, schemes: [&'static str; 3]) -> &'static str {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::Addr;
    use alloc::format;
    use alloc::string::ToString;

    fn parse(text: &str) -> Result<Addr, AddrError> {
        Addr::parse(text)
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
    fn the_port_that_was_chosen_can_be_told() {
        let Addr::Tcp(tcp) = parse("tcp4://127.0.0.1").unwrap() else { panic!("it is tcp") };
        assert_eq!(tcp.bind(), Ok((Some(&Host::Ip(IpAddr::from([127, 0, 0, 1]))), 0)));
        assert_eq!(Addr::Tcp(tcp.with_port(5555)).to_string(), "tcp4://127.0.0.1:5555");
    }
}
