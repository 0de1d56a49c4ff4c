//! [`Mux`]: a channel of a multiplexed connection, and where that leads to.

use super::{Addr, AddrError, percent_decode, percent_encode};
use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use core::fmt;

/// `mux+` and an address of streams, then `#` and the id of a channel: who dials it opens this channel on a
/// connection to the address in front, which all who dial that share; who listens there takes channels of
/// this id, on a listener that all who listen there share.
///
/// The id is what follows the last `#`, escaped as in URLs; without one it is empty, which is an id like others.
///
/// ```
/// use spanwire_core::Addr;
/// let Addr::Mux(mux) = Addr::parse("mux+tcp://host:5555#orders")? else { panic!("it is one") };
/// assert_eq!((mux.inner().to_string().as_str(), mux.id()), ("tcp://host:5555", "orders"));
/// // A path with a `#` in it needs one behind it, too.
/// let Addr::Mux(mux) = Addr::parse("mux+ipc:///run/a#b#")? else { panic!("it is one") };
/// assert_eq!((mux.inner().to_string().as_str(), mux.id()), ("ipc:///run/a#b", ""));
/// # Ok::<(), spanwire_core::AddrError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mux {
    scheme: String,
    inner: Box<Addr>,
    id: String,
}

/// What stands before the scheme of the address in front.
const PREFIX: &str = "mux+";

impl Mux {
    /// The longest id, in bytes.
    pub const MAX_ID_BYTES: usize = 255;

    /// A channel at an address.
    ///
    /// # Errors
    /// The address is one of a channel already, or the id has more than 255 bytes.
    pub fn new(inner: Addr, id: impl Into<String>) -> Result<Self, AddrError> {
        let id = id.into();
        let scheme = format!("{PREFIX}{}", inner.scheme());
        if matches!(inner, Addr::Mux(_)) {
            return Err(AddrError::UnknownScheme { scheme });
        }
        match id.len() {
            0..=Self::MAX_ID_BYTES => Ok(Self { scheme, inner: Box::new(inner), id }),
            bytes => Err(AddrError::TooLong { bytes, most: Self::MAX_ID_BYTES }),
        }
    }

    /// Whether a scheme, in lower case, is that of a channel; then, the one of the address in front.
    pub(super) fn scheme_inside(scheme: &str) -> Option<&str> {
        scheme.strip_prefix(PREFIX)
    }

    /// Reads what follows `mux+`, where `read` reads the address in front.
    pub(super) fn parse(
        inside: &str,
        rest: &str,
        read: impl FnOnce(&str) -> Result<Addr, AddrError>,
    ) -> Result<Self, AddrError> {
        let whole = || format!("{PREFIX}{inside}");
        if Self::scheme_inside(inside).is_some() {
            return Err(AddrError::UnknownScheme { scheme: whole() });
        }
        let (rest, id) = rest.rsplit_once('#').unwrap_or((rest, ""));
        let inner = read(&format!("{inside}://{rest}")).map_err(|error| match error {
            AddrError::NoScheme | AddrError::UnknownScheme { .. } => {
                AddrError::UnknownScheme { scheme: whole() }
            }
            AddrError::NotBuiltIn { .. } => AddrError::NotBuiltIn { scheme: whole() },
            error => error,
        })?;
        let bad_id = || AddrError::BadId { id: id.to_owned() };
        Self::new(inner, String::from_utf8(percent_decode(id)?).map_err(|_| bad_id())?)
    }

    /// The address of the connection.
    pub fn inner(&self) -> &Addr {
        &self.inner
    }

    /// The id of the channel; may be empty.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The same channel at another address: the one that was bound.
    ///
    /// # Errors
    /// The address is one of a channel.
    pub fn with_inner(self, inner: Addr) -> Result<Self, AddrError> {
        Self::new(inner, self.id)
    }

    pub(super) fn scheme(&self) -> &str {
        &self.scheme
    }

    /// What follows `://`.
    pub(super) fn fmt_rest(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = format!("{}", self.inner);
        let (_, rest) = inner.split_once("://").unwrap_or_default();
        f.write_str(rest)?;
        if !self.id.is_empty() || rest.contains('#') {
            f.write_str("#")?;
        }
        percent_encode(self.id.as_bytes(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    fn mux(text: &str) -> Mux {
        match Addr::parse(text) {
            Ok(Addr::Mux(mux)) => mux,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn an_address_and_its_channel_are_told_apart() {
        for (text, inner, id) in [
            ("mux+tcp://h:1", "tcp://h:1", ""),
            ("MUX+TCP4://H:1#", "tcp4://h:1", ""),
            ("mux+tcp://*:0#a", "tcp://*:0", "a"),
            ("mux+tcp://h:1#A%20b/%C3%BC%23", "tcp://h:1", "A b/\u{fc}#"),
            ("mux+tls+tcp://h:1#x", "tls+tcp://h:1", "x"),
            ("mux+quic://h:1#x", "quic://h:1", "x"),
            ("mux+ws://h/a?b=c#x", "ws://h:80/a?b=c", "x"),
            ("mux+wss://h#x", "wss://h:443/", "x"),
            ("mux+ipc://a#b#c", "ipc://a#b", "c"),
            ("mux+unix:///tmp/x", "ipc:///tmp/x", ""),
            ("mux+abstract://a%23b#c", "abstract://a%23b", "c"),
            ("mux+inproc://a#", "inproc://a", ""),
        ] {
            let read = mux(text);
            assert_eq!((read.inner().to_string().as_str(), read.id()), (inner, id), "{text}");
            assert_eq!(read.scheme(), format!("mux+{}", read.inner().scheme()));
            let again = Addr::Mux(Mux::new(read.inner().clone(), read.id()).unwrap());
            assert_eq!(again, Addr::Mux(read));
            assert_eq!(Addr::parse(&again.to_string()), Ok(again), "{text}");
        }
        assert_eq!(Addr::parse("mux+tcp://h:1#").unwrap().to_string(), "mux+tcp://h:1");
        assert_eq!(Addr::parse("mux+ipc://a#b#").unwrap().to_string(), "mux+ipc://a#b#");
    }

    #[test]
    fn what_is_wrong_with_either_part_is_told() {
        let long = "x".repeat(256);
        for (text, error) in [
            ("mux+tcp://h:1/a", AddrError::Unexpected { part: "path" }),
            ("mux+tcp://h:1#a%2", AddrError::BadEscape),
            ("mux+tcp://h:1#%FF", AddrError::BadId { id: "%FF".into() }),
            (&format!("mux+tcp://h:1#{long}"), AddrError::TooLong { bytes: 256, most: 255 }),
            ("mux+ipc://#a", AddrError::NoPath),
            ("mux+mux+tcp://h:1", AddrError::UnknownScheme { scheme: "mux+mux+tcp".into() }),
            ("mux+://h:1", AddrError::UnknownScheme { scheme: "mux+".into() }),
            ("mux+udp://h:1", AddrError::NotBuiltIn { scheme: "mux+udp".into() }),
        ] {
            assert_eq!(Addr::parse(text), Err(error), "{text}");
        }
        assert!(Mux::new(Addr::Mux(mux("mux+tcp://h:1")), "").is_err());
    }

    #[test]
    fn it_can_be_dialled_and_listened_on_where_the_address_in_front_can() {
        for (text, dial, listen) in [
            ("mux+tcp://h:1#a", Ok(()), Ok(())),
            ("mux+tcp://*:1#a", Err(AddrError::NoHost), Ok(())),
            ("mux+tcp://1.2.3.4;h:1", Ok(()), Err(AddrError::LocalOnListen)),
            ("mux+abstract://#a", Err(AddrError::NoName), Ok(())),
        ] {
            let addr = Addr::parse(text).unwrap();
            assert_eq!((addr.for_dial(), addr.for_listen()), (dial, listen), "{text}");
        }
        let bound = mux("mux+tcp://h:0#a").with_inner(Addr::parse("tcp://h:7").unwrap()).unwrap();
        assert_eq!(Addr::Mux(bound).to_string(), "mux+tcp://h:7#a");
    }

    #[test]
    fn a_transport_of_the_application_carries_channels_too() {
        let Ok(Addr::Mux(mux)) = Addr::foreign("Mux+Memory://A b#x%20y") else { panic!("it is one") };
        assert_eq!(mux.inner(), &Addr::foreign("memory://A b").unwrap());
        let addr = Addr::Mux(mux);
        assert_eq!(addr.to_string(), "mux+memory://A b#x%20y");
        assert_eq!(Addr::foreign(&addr.to_string()), Ok(addr));
    }

    proptest! {
        #[test]
        fn any_id_at_any_address_comes_back(
            id in "[\\PC#%/?]{0,60}",
            path in "[a-z#%?/]{1,20}",
            scheme in prop::sample::select(vec!["tcp://h:1", "ws://h:2/a?b", "ipc://", "inproc://"]),
        ) {
            let inner = match scheme.ends_with("://") {
                true => Addr::parse(&format!("{scheme}{path}")),
                false => Addr::parse(scheme),
            };
            let addr = Addr::Mux(Mux::new(inner.unwrap(), id.clone()).unwrap());
            let read = Addr::parse(&addr.to_string());
            prop_assert_eq!(read, Ok(addr));
        }
    }
}
