//! [`Foreign`]: addresses of transports that the application brings.

use super::AddrError;
use alloc::borrow::ToOwned;
use alloc::string::String;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::Addr;
    use alloc::string::ToString;

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
}
