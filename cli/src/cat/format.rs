//! Output formats: what a received message looks like on standard output. Pure functions.

use std::fmt::Write;

/// How received messages are printed.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    /// Not at all.
    #[default]
    No,
    /// As they are, nothing between them.
    Raw,
    /// Printable ASCII as it is, a dot for every other byte.
    Ascii,
    /// A line with a C string.
    Quoted,
    /// A line with a C string in which every byte is written in hexadecimal.
    Hex,
    /// MessagePack binaries, nothing between them.
    Msgpack,
}

/// In what the formats of the two programs differ.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// nngcat: nothing after an ASCII message; a tab is `\t`.
    #[default]
    Nngcat,
    /// nanocat: a newline after an ASCII message; a tab is `\x09`.
    Nanocat,
}

impl Format {
    /// The format called `name` on the command line.
    pub(crate) fn named(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"no" => Self::No,
            b"raw" => Self::Raw,
            b"ascii" => Self::Ascii,
            b"quoted" => Self::Quoted,
            b"hex" => Self::Hex,
            b"msgpack" => Self::Msgpack,
            _ => return None,
        })
    }

    /// Appends `body` in this format to `out`.
    pub(crate) fn print(self, dialect: Dialect, body: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::No => {}
            Self::Raw => out.extend_from_slice(body),
            Self::Ascii => {
                out.extend(body.iter().map(|&byte| if printable(byte) { byte } else { b'.' }));
                if dialect == Dialect::Nanocat {
                    out.push(b'\n');
                }
            }
            Self::Quoted => line(body, out, |byte, text| quote(dialect, byte, text)),
            Self::Hex => line(body, out, escape),
            Self::Msgpack => {
                binary_header(body.len(), out);
                out.extend_from_slice(body);
            }
        }
    }
}

fn printable(byte: u8) -> bool {
    matches!(byte, b' '..=b'~')
}

fn line(body: &[u8], out: &mut Vec<u8>, put: impl Fn(u8, &mut String)) {
    let mut text = String::with_capacity(body.len() + 3);
    text.push('"');
    for &byte in body {
        put(byte, &mut text);
    }
    text.push_str("\"\n");
    out.extend_from_slice(text.as_bytes());
}

fn quote(dialect: Dialect, byte: u8, text: &mut String) {
    match byte {
        b'\n' => text.push_str("\\n"),
        b'\r' => text.push_str("\\r"),
        b'\t' if dialect == Dialect::Nngcat => text.push_str("\\t"),
        b'"' => text.push_str("\\\""),
        b'\\' => text.push_str("\\\\"),
        byte if printable(byte) => text.push(char::from(byte)),
        byte => escape(byte, text),
    }
}

fn escape(byte: u8, text: &mut String) {
    let _ = write!(text, "\\x{byte:02x}");
}

/// The head of a MessagePack `bin`: its length in one, two or four bytes, and in which.
fn binary_header(length: usize, out: &mut Vec<u8>) {
    if let Ok(length) = u8::try_from(length) {
        out.extend_from_slice(&[0xc4, length]);
    } else if let Ok(length) = u16::try_from(length) {
        out.push(0xc5);
        out.extend_from_slice(&length.to_be_bytes());
    } else {
        // MessagePack has no binary of 4 GiB or more; its length is cut off there, as in nngcat.
        out.push(0xc6);
        out.extend_from_slice(&(length as u32).to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(format: Format, dialect: Dialect, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        format.print(dialect, body, &mut out);
        out
    }

    #[test]
    fn an_empty_message_still_has_its_delimiters() {
        for (format, nngcat, nanocat) in [
            (Format::No, "", ""),
            (Format::Raw, "", ""),
            (Format::Ascii, "", "\n"),
            (Format::Quoted, "\"\"\n", "\"\"\n"),
            (Format::Hex, "\"\"\n", "\"\"\n"),
        ] {
            assert_eq!(printed(format, Dialect::Nngcat, b""), nngcat.as_bytes());
            assert_eq!(printed(format, Dialect::Nanocat, b""), nanocat.as_bytes());
        }
        assert_eq!(printed(Format::Msgpack, Dialect::Nngcat, b""), [0xc4, 0]);
    }

    #[test]
    fn quoted_knows_the_escapes_of_each_dialect() {
        let body = b"ab\"\\'?\n\r\t\x07\0\x7f\xc3";
        let nngcat = printed(Format::Quoted, Dialect::Nngcat, body);
        assert_eq!(nngcat, b"\"ab\\\"\\\\'?\\n\\r\\t\\x07\\x00\\x7f\\xc3\"\n");
        let nanocat = printed(Format::Quoted, Dialect::Nanocat, body);
        assert_eq!(nanocat, b"\"ab\\\"\\\\'?\\n\\r\\x09\\x07\\x00\\x7f\\xc3\"\n");
    }

    #[test]
    fn ascii_shows_a_dot_for_what_cannot_be_printed() {
        assert_eq!(printed(Format::Ascii, Dialect::Nngcat, b"a b~\x7f\n\xff"), b"a b~...");
        assert_eq!(printed(Format::Ascii, Dialect::Nanocat, b"a"), b"a\n");
    }

    #[test]
    fn msgpack_takes_the_shortest_length() {
        for (length, head) in [
            (1, &[0xc4, 1][..]),
            (255, &[0xc4, 255]),
            (256, &[0xc5, 1, 0]),
            (65_535, &[0xc5, 255, 255]),
            (65_536, &[0xc6, 0, 1, 0, 0]),
        ] {
            let out = printed(Format::Msgpack, Dialect::Nngcat, &vec![7; length]);
            assert_eq!(&out[..head.len()], head);
            assert_eq!(out.len(), head.len() + length);
        }
    }
}
