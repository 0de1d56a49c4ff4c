//! [`Ws`]: what a WebSocket address asks for besides host and port.

use super::{AddrError, Family, Tcp};
use alloc::borrow::ToOwned;
use alloc::string::String;

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

    pub(super) fn parse(secure: bool, family: Family, rest: &str) -> Result<Self, AddrError> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::{Addr, Host};
    use alloc::format;

    fn parse(text: &str) -> Result<Addr, AddrError> {
        Addr::parse(text)
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
}
