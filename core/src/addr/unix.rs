//! [`Ipc`] and [`Abstract`]: unix sockets, with a file and without one.

use super::AddrError;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// The longest path of a unix socket and the longest abstract name, as in NNG: Linux has 108 bytes
/// for it, one of which ends the path or starts the name.
pub const MAX_UNIX_BYTES: usize = 107;

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

pub(super) fn percent_decode(text: &str) -> Result<Vec<u8>, AddrError> {
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

pub(super) fn percent_encode(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
    use crate::addr::Addr;
    use alloc::format;

    fn parse(text: &str) -> Result<Addr, AddrError> {
        Addr::parse(text)
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
}
