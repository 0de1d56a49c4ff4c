//! [`Head`]: what stands in front of every payload.

use super::{HEAD_BYTES, Kind, LinkError};
use bytes::{Buf, Bytes};

/// What stands in front of a payload.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Whose message it is.
    pub layer: Layer,
    /// Of which protocol of that layer.
    pub protocol: u16,
    /// Which message of that protocol.
    pub message: u16,
}

/// Whose message it is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Layer {
    /// The application's.
    Application = 0,
    /// The session's: about the connection itself.
    Session = 1,
}

impl Layer {
    fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Application),
            1 => Some(Self::Session),
            _ => None,
        }
    }
}

impl Head {
    /// The head of a message of the application.
    pub const fn application(protocol: u16, message: u16) -> Self {
        Self { layer: Layer::Application, protocol, message }
    }

    /// The head of a message of the session.
    pub const fn session(kind: Kind) -> Self {
        Self { layer: Layer::Session, protocol: 0, message: kind as u16 }
    }

    /// As on the wire.
    pub const fn encode(self) -> [u8; HEAD_BYTES] {
        let [a, b] = self.protocol.to_be_bytes();
        let [c, d] = self.message.to_be_bytes();
        [self.layer as u8, a, b, c, d]
    }

    /// Takes the head off a frame (without its length).
    ///
    /// # Errors
    /// The frame is too short for it, or of a layer that does not exist.
    pub fn decode(frame: &mut Bytes) -> Result<Self, LinkError> {
        if frame.len() < HEAD_BYTES {
            return Err(LinkError::Short);
        }
        let layer = frame.get_u8();
        let layer = Layer::from_byte(layer).ok_or(LinkError::UnknownLayer(layer))?;
        Ok(Self { layer, protocol: frame.get_u16(), message: frame.get_u16() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_application_frame_has_its_exact_bytes() {
        let head = Head::application(0x0102, 0x0304);
        assert_eq!(head.encode(), [0, 1, 2, 3, 4]);
        let mut bytes = Bytes::from_static(b"\0\x01\x02\x03\x04payload");
        assert_eq!(Head::decode(&mut bytes), Ok(head));
        assert_eq!(bytes, b"payload".as_slice());
    }
}
