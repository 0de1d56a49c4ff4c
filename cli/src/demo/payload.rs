//! Payloads that can be checked by whoever gets them.
//!
//! ```text
//! number u32 | length u32 | way u8 | bytes that only this number and length have
//! ```

use bytes::{Bytes, BytesMut};
use std::sync::OnceLock;

/// Which way a message goes.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Way {
    There = b'>',
    Back = b'<',
}

/// The fewest bytes that a payload has.
const HEAD: usize = 9;
/// The most.
pub(super) const MAX: usize = 256 * 1024;
/// Payloads begin at one of so many places in the noise.
const STARTS: usize = 1009;

/// The payload of this number, way and length, behind `topic`.
pub(super) fn make(topic: &str, number: u32, way: Way, length: usize) -> Bytes {
    let start = number as usize % STARTS;
    let mut bytes = BytesMut::with_capacity(topic.len() + length);
    bytes.extend_from_slice(topic.as_bytes());
    bytes.extend_from_slice(&number.to_be_bytes());
    bytes.extend_from_slice(&(length as u32).to_be_bytes());
    bytes.extend_from_slice(&[way as u8]);
    bytes.extend_from_slice(&noise()[start..start + length - HEAD]);
    bytes.freeze()
}

/// Checks every byte; returns the number.
pub(super) fn check(topic: &str, way: Way, body: &[u8]) -> Result<u32, String> {
    let bad = || format!("a message of {} bytes arrived damaged", body.len());
    let rest = body.strip_prefix(topic.as_bytes()).ok_or_else(bad)?;
    let (number, rest) = rest.split_first_chunk::<4>().ok_or_else(bad)?;
    let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(bad)?;
    let (direction, rest) = rest.split_first().ok_or_else(bad)?;
    let number = u32::from_be_bytes(*number);
    let start = number as usize % STARTS;
    let good = u32::from_be_bytes(*length) as usize == rest.len() + HEAD
        && *direction == way as u8
        && noise().get(start..start + rest.len()) == Some(rest);
    if good { Ok(number) } else { Err(bad()) }
}

/// Bytes without a pattern, the same in every run.
fn noise() -> &'static [u8] {
    static NOISE: OnceLock<Vec<u8>> = OnceLock::new();
    NOISE.get_or_init(|| {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let words = (0..(MAX + STARTS) / 8 + 1).map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_be_bytes()
        });
        words.flatten().collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_changed_byte_is_noticed() {
        let good = make("a.", 7, Way::There, 64);
        assert_eq!(check("a.", Way::There, &good), Ok(7));
        for index in 0..good.len() {
            let mut bad = good.to_vec();
            bad[index] ^= 1;
            assert!(check("a.", Way::There, &bad).is_err(), "byte {index}");
        }
        assert!(check("a.", Way::Back, &good).is_err());
        assert!(check("a.", Way::There, &good[..good.len() - 1]).is_err());
    }

    #[test]
    fn the_largest_fits_at_every_start() {
        for number in [0, STARTS as u32 - 1] {
            assert_eq!(check("", Way::Back, &make("", number, Way::Back, MAX)), Ok(number));
        }
    }
}
