//! [`Metadata`]: what a host says about itself.

use super::LinkError;
use super::fields::{Fields, put_bytes, put_text, put_u16};
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;

/// The most pairs.
pub const MAX_METADATA_PAIRS: usize = 64;

/// The most bytes of all keys and values together.
pub const MAX_METADATA_BYTES: usize = 16 * 1024;

/// Pairs of a key (1 to 255 bytes of UTF-8) and a value (any bytes): at most 64, and at most 16 KiB
/// together.
///
/// ```
/// use spanwire_core::framing::link::Metadata;
/// let mut metadata = Metadata::default();
/// metadata.set("role", "printer")?;
/// assert_eq!(metadata.get("role"), Some(&b"printer"[..]));
/// # Ok::<(), spanwire_core::framing::link::MetadataError>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    pairs: BTreeMap<String, Bytes>,
    bytes: usize,
}

impl Metadata {
    /// Adds a pair, or replaces the value of its key.
    ///
    /// # Errors
    /// The key has no bytes or more than 255, or there would be too many pairs or bytes. Nothing has
    /// changed then.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<Bytes>) -> Result<(), MetadataError> {
        let (key, value) = (key.into(), value.into());
        if key.is_empty() || key.len() > 255 {
            return Err(MetadataError::BadKey);
        }
        let old = self.pairs.get(&key).map_or(0, |old| key.len() + old.len());
        let bytes = self.bytes - old + key.len() + value.len();
        if bytes > MAX_METADATA_BYTES {
            return Err(MetadataError::TooManyBytes);
        }
        if old == 0 && self.pairs.len() == MAX_METADATA_PAIRS {
            return Err(MetadataError::TooManyPairs);
        }
        self.bytes = bytes;
        self.pairs.insert(key, value);
        Ok(())
    }

    /// Takes a pair away; whether there was one.
    pub fn remove(&mut self, key: &str) -> bool {
        let Some(value) = self.pairs.remove(key) else { return false };
        self.bytes -= key.len() + value.len();
        true
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        self.pairs.get(key).map(|value| &value[..])
    }

    /// All pairs, in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.pairs.iter().map(|(key, value)| (key.as_str(), &value[..]))
    }

    /// How many pairs there are.
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_u16(out, self.pairs.len() as u16);
        for (key, value) in &self.pairs {
            put_text(out, key);
            put_bytes(out, value);
        }
    }

    pub(super) fn decode(from: &mut Fields) -> Result<Self, LinkError> {
        let mut metadata = Self::default();
        for _ in 0..from.u16()? {
            let (key, value) = (from.text()?, from.bytes()?);
            if metadata.pairs.contains_key(&key) {
                return Err(LinkError::BadField("metadata"));
            }
            // In memory of its own: the frame it came in may be much larger, and this stays.
            let value = Bytes::copy_from_slice(&value);
            metadata.set(key, value).map_err(|_| LinkError::BadField("metadata"))?;
        }
        Ok(metadata)
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(key, value)| (key, Bytes::copy_from_slice(value)))).finish()
    }
}

/// Why a pair was not added to [`Metadata`].
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetadataError {
    /// The key has no bytes, or more than 255.
    BadKey,
    /// There would be more than [`MAX_METADATA_PAIRS`].
    TooManyPairs,
    /// There would be more than [`MAX_METADATA_BYTES`].
    TooManyBytes,
}

impl fmt::Display for MetadataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadKey => f.write_str("a key has 1 to 255 bytes"),
            Self::TooManyPairs => write!(f, "there are {MAX_METADATA_PAIRS} pairs already"),
            Self::TooManyBytes => write!(f, "all pairs together may have {MAX_METADATA_BYTES} bytes"),
        }
    }
}

impl core::error::Error for MetadataError {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn its_bounds_hold_and_a_refused_pair_changes_nothing() {
        let mut metadata = Metadata::default();
        assert_eq!(metadata.set("", "x"), Err(MetadataError::BadKey));
        assert_eq!(metadata.set("k".repeat(256), "x"), Err(MetadataError::BadKey));
        for n in 0..MAX_METADATA_PAIRS {
            metadata.set(n.to_string(), "x").unwrap();
        }
        let before = metadata.clone();
        assert_eq!(metadata.set("more", "x"), Err(MetadataError::TooManyPairs));
        assert_eq!(metadata.set("1", vec![0; MAX_METADATA_BYTES]), Err(MetadataError::TooManyBytes));
        assert_eq!(metadata, before);
        metadata.set("1", "another").unwrap();
        assert!(metadata.remove("2") && !metadata.remove("2"));
        metadata.set("more", "x").unwrap();
        assert_eq!((metadata.len(), metadata.get("1")), (64, Some(&b"another"[..])));
    }

    #[test]
    fn a_key_twice_is_refused() {
        let bytes = b"\0\x02\x01k\0\x01v\x01k\0\x01w";
        let decoded = Metadata::decode(&mut Fields(Bytes::from_static(bytes)));
        assert_eq!(decoded, Err(LinkError::BadField("metadata")));
    }
}
