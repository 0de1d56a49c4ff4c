//! [`Fields`]: the integers, texts and bytes that a payload is made of.

use super::{LinkError, MAX_TEXT_BYTES};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use bytes::{Buf, Bytes};

/// The fields of a payload, from the front.
pub(crate) struct Fields(pub(crate) Bytes);

impl Fields {
    pub(crate) fn take(&mut self, count: usize) -> Result<Bytes, LinkError> {
        if self.0.len() < count {
            return Err(LinkError::Short);
        }
        Ok(self.0.split_to(count))
    }

    pub(crate) fn u8(&mut self) -> Result<u8, LinkError> {
        Ok(self.take(1)?.get_u8())
    }

    pub(crate) fn u16(&mut self) -> Result<u16, LinkError> {
        Ok(self.take(2)?.get_u16())
    }

    pub(crate) fn u32(&mut self) -> Result<u32, LinkError> {
        Ok(self.take(4)?.get_u32())
    }

    pub(crate) fn u64(&mut self) -> Result<u64, LinkError> {
        Ok(self.take(8)?.get_u64())
    }

    /// Two bytes of length, and so many bytes.
    pub(crate) fn bytes(&mut self) -> Result<Bytes, LinkError> {
        let length = self.u16()?;
        self.take(length.into())
    }

    /// A byte of length, and so many bytes of UTF-8.
    pub(crate) fn text(&mut self) -> Result<String, LinkError> {
        let length = self.u8()?;
        let bytes = self.take(length.into())?;
        let text = core::str::from_utf8(&bytes).map_err(|_| LinkError::BadField("text"))?;
        Ok(text.to_string())
    }

    pub(crate) fn rest(&mut self) -> Bytes {
        core::mem::take(&mut self.0)
    }

    /// There is nothing behind the last field.
    pub(crate) fn end(&self) -> Result<(), LinkError> {
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(LinkError::TooMuch),
        }
    }
}

pub(crate) fn put_u16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_be_bytes());
}

pub(crate) fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes());
}

pub(crate) fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// Two bytes of length, and the bytes; those that the length cannot say are cut off.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = bytes.len().min(usize::from(u16::MAX));
    put_u16(out, length as u16);
    out.extend_from_slice(&bytes[..length]);
}

/// A byte of length, and as many whole characters as fit.
pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    let mut length = text.len().min(MAX_TEXT_BYTES);
    while !text.is_char_boundary(length) {
        length -= 1;
    }
    out.push(length as u8);
    out.extend_from_slice(&text.as_bytes()[..length]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_two_characters() {
        let mut out = Vec::new();
        put_text(&mut out, &"é".repeat(200));
        assert_eq!((out[0], out.len()), (254, 255));
        assert!(Fields(out.into()).text().is_ok());
    }
}
