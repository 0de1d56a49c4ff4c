//! [`Decoder`]: the bytes of a WebSocket, read as SP frames.

use super::frame::{
    Fault, Header, MAX_CONTROL_BYTES, MAX_HEADER_BYTES, Opcode, Side, append_masked, close, mask,
};
use alloc::vec::Vec;
use core::{mem, str};

/// Makes of what a peer sends what the same peer would have sent over tcp: length and payload of each
/// message (spec 2.2). So whatever stands above reads all streams alike.
///
/// The payload of a message in one frame passes through; that of one in several is gathered, as its length is
/// known with the last one only. What is gathered has the limit of messages, and memory grows as data arrives.
/// Control frames may stand between the parts of a message.
///
/// ```text
///           header of a whole message                 payload is passed on
///   Header ───────────────────────────▶ Prefix ─▶ Passing ────────────────▶ Header
///     │ ▲  header of a part                              more parts are to come
///     │ ├────────────────────────────▶ Part ──────────────────────────▶ Header
///     │ │                                └─ it was the last ─▶ Prefix ─▶ Gathered ─▶ Header
///     │ │  header of a control frame
///     │ └────────────────────────────▶ Control ─▶ Header, or Over after a farewell
///     └─ a message over the limit ─▶ Prefix, with its length ─▶ Over
/// ```
#[derive(Debug)]
pub struct Decoder {
    /// Who sends.
    from: Side,
    /// Larger messages are not taken; 0 takes any.
    max_bytes: usize,
    state: State,
    /// A header that was cut in two.
    head: [u8; MAX_HEADER_BYTES],
    head_len: usize,
    /// The latest frame of a message is worth a read of its own.
    large: bool,
    /// A message of which parts are still to come.
    gathered: Option<Vec<u8>>,
    control: Vec<u8>,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum State {
    Header,
    /// `at` bytes of the length of a message are passed on.
    Prefix {
        length: u64,
        at: usize,
        then: Then,
    },
    Passing(Frame),
    Part {
        frame: Frame,
        last: bool,
    },
    /// `at` bytes of a gathered message are passed on.
    Gathered {
        at: usize,
    },
    Control {
        frame: Frame,
        opcode: Opcode,
    },
    Over,
}

/// What follows on the length of a message.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Then {
    Passing(Frame),
    Gathered,
    /// Nothing: it is too large.
    Refused,
}

/// A payload, as far as it has come.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
struct Frame {
    key: Option<[u8; 4]>,
    done: usize,
    left: usize,
}

/// What a peer says besides messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// Answer with the same bytes.
    Ping(Vec<u8>),
    /// It says nothing more, for this reason if it has given one.
    Close(Option<u16>),
    /// The message whose length was passed on last is larger than the limit. Say so, and say nothing more.
    TooLarge,
}

/// So much is allocated ahead for a message in parts.
const FIRST_BYTES: usize = 64 * 1024;
/// With this much or more missing of a part, a read of its own is worth it.
const DIRECT_BYTES: usize = 16 * 1024;

impl Frame {
    fn take(&mut self, count: usize) {
        self.done += count;
        self.left -= count;
    }

    /// Appends bytes of the payload as they are without their mask.
    #[inline]
    fn append(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        match self.key {
            Some(key) => append_masked(out, bytes, key, self.done),
            None => out.extend_from_slice(bytes),
        }
        self.take(bytes.len());
    }

    /// The same for bytes that are in their place already.
    fn unmask(&mut self, bytes: &mut [u8]) {
        if let Some(key) = self.key {
            mask(bytes, key, self.done);
        }
        self.take(bytes.len());
    }
}

impl Decoder {
    /// For the bytes that `from` sends. Messages may have any size until [`limit`](Self::limit) is called.
    pub fn new(from: Side) -> Self {
        Self {
            from,
            max_bytes: 0,
            state: State::Header,
            head: [0; MAX_HEADER_BYTES],
            head_len: 0,
            large: false,
            gathered: None,
            control: Vec::new(),
        }
    }

    /// Messages of more than `max_bytes` are refused; 0 allows any.
    pub fn limit(&mut self, max_bytes: usize) {
        self.max_bytes = max_bytes;
    }

    /// Takes bytes from the front of `input`, and appends at most `room` bytes to `out`.
    ///
    /// It stops when the input is used up, when there is no more room, or for a control frame that somebody
    /// has to hear of: then call it again. After [`Control::Close`], [`Control::TooLarge`] or a fault nothing
    /// more comes; what it has appended before counts.
    pub fn decode(
        &mut self,
        input: &mut &[u8],
        out: &mut Vec<u8>,
        room: usize,
    ) -> Result<Option<Control>, Fault> {
        let end = out.len() + room;
        loop {
            let room = end - out.len();
            match &mut self.state {
                State::Header => {
                    let Some(header) = self.read_header(input)? else { return Ok(None) };
                    self.begin(header)?;
                }
                State::Prefix { length, at, then } => {
                    let bytes = length.to_be_bytes();
                    let count = room.min(bytes.len() - *at);
                    out.extend_from_slice(&bytes[*at..*at + count]);
                    *at += count;
                    if *at < bytes.len() {
                        return Ok(None);
                    }
                    self.state = match *then {
                        Then::Passing(frame) if frame.left == 0 => State::Header,
                        Then::Passing(frame) => State::Passing(frame),
                        Then::Gathered => State::Gathered { at: 0 },
                        Then::Refused => {
                            self.state = State::Over;
                            return Ok(Some(Control::TooLarge));
                        }
                    };
                }
                State::Passing(frame) => {
                    let count = frame.left.min(room).min(input.len());
                    if count == 0 {
                        return Ok(None);
                    }
                    frame.append(take(input, count), out);
                    if frame.left == 0 {
                        self.state = State::Header;
                    }
                }
                State::Part { frame, last } => {
                    let count = frame.left.min(input.len());
                    let gathered = self.gathered.get_or_insert_default();
                    frame.append(take(input, count), gathered);
                    if frame.left > 0 {
                        return Ok(None);
                    }
                    self.state = match *last {
                        true => State::Prefix { length: gathered.len() as u64, at: 0, then: Then::Gathered },
                        false => State::Header,
                    };
                }
                State::Gathered { at } => {
                    let gathered = self.gathered.get_or_insert_default();
                    let count = room.min(gathered.len() - *at);
                    out.extend_from_slice(&gathered[*at..*at + count]);
                    *at += count;
                    if *at < gathered.len() {
                        return Ok(None);
                    }
                    self.gathered = None;
                    self.state = State::Header;
                }
                State::Control { frame, opcode } => {
                    let opcode = *opcode;
                    let count = frame.left.min(input.len());
                    frame.append(take(input, count), &mut self.control);
                    if frame.left > 0 {
                        return Ok(None);
                    }
                    self.state = State::Header;
                    match opcode {
                        Opcode::Ping => return Ok(Some(Control::Ping(mem::take(&mut self.control)))),
                        Opcode::Close => {
                            self.state = State::Over;
                            return check_farewell(&self.control).map(|code| Some(Control::Close(code)));
                        }
                        // An answer to a question that was never asked; it may come all the same.
                        _ => self.control.clear(),
                    }
                }
                State::Over => {
                    *input = &[];
                    return Ok(None);
                }
            }
        }
    }

    fn read_header(&mut self, input: &mut &[u8]) -> Result<Option<Header>, Fault> {
        let from = self.from;
        let broken = |fault| {
            self.state = State::Over;
            fault
        };
        if self.head_len == 0 {
            if let Some((header, count)) = Header::decode(input, from).map_err(broken)? {
                take(input, count);
                return Ok(Some(header));
            }
        }
        // One more byte at a time, as the first ones say how many there are.
        while let Some((&byte, rest)) = input.split_first() {
            *input = rest;
            self.head[self.head_len] = byte;
            self.head_len += 1;
            match Header::decode(&self.head[..self.head_len], from) {
                Ok(Some((header, _))) => {
                    self.head_len = 0;
                    return Ok(Some(header));
                }
                Ok(None) => {}
                Err(fault) => {
                    self.state = State::Over;
                    return Err(fault);
                }
            }
        }
        Ok(None)
    }

    fn begin(&mut self, header: Header) -> Result<(), Fault> {
        let Header { last, opcode, key, length } = header;
        let frame = |left| Frame { key, done: 0, left };
        if opcode.is_control() {
            // Its length is known to be small.
            self.state =
                State::Control { frame: frame(length.min(MAX_CONTROL_BYTES as u64) as usize), opcode };
            return Ok(());
        }
        let before = match (opcode, &self.gathered) {
            (Opcode::Continuation, Some(gathered)) => gathered.len(),
            (Opcode::Continuation, None) => {
                self.state = State::Over;
                return Err(Fault::NothingToContinue);
            }
            (_, Some(_)) => {
                self.state = State::Over;
                return Err(Fault::Interrupted);
            }
            (_, None) => 0,
        };
        let total = length.saturating_add(before as u64);
        let limit = if self.max_bytes == 0 { isize::MAX as u64 } else { self.max_bytes as u64 };
        let left = match usize::try_from(length) {
            Ok(left) if total <= limit => left,
            _ => {
                self.gathered = None;
                self.state = State::Prefix { length: total, at: 0, then: Then::Refused };
                return Ok(());
            }
        };
        self.large = left >= DIRECT_BYTES;
        self.state = match opcode == Opcode::Continuation || !last {
            true => {
                self.gathered.get_or_insert_default();
                State::Part { frame: frame(left), last }
            }
            false => State::Prefix { length, at: 0, then: Then::Passing(frame(left)) },
        };
        Ok(())
    }

    /// Whether the latest frame of a message was large, as the next one will be most likely: then what comes out is
    /// about as much as what goes in. Small ones become longer, by 6 bytes each at most.
    pub fn is_large(&self) -> bool {
        self.large
    }

    /// So many of the next bytes are payload of one message, and could be read into their place at once.
    pub fn passing(&self) -> usize {
        match self.state {
            State::Passing(frame) => frame.left,
            _ => 0,
        }
    }

    /// These bytes of [`passing`](Self::passing) were read, and are in their place: takes the mask off.
    pub fn passed(&mut self, bytes: &mut [u8]) {
        if let State::Passing(frame) = &mut self.state {
            frame.unmask(bytes);
            if frame.left == 0 {
                self.state = State::Header;
            }
        }
    }

    /// The buffer of a message in parts, with room, and how many bytes of this part it lacks: read at most so
    /// many into it, and say so to [`parted`](Self::parted).
    pub fn part(&mut self) -> Option<(&mut Vec<u8>, usize)> {
        let State::Part { frame, .. } = self.state else { return None };
        if frame.left < DIRECT_BYTES {
            return None;
        }
        let gathered = self.gathered.get_or_insert_default();
        if gathered.capacity() - gathered.len() < DIRECT_BYTES {
            gathered.reserve_exact(frame.left.min(gathered.len().max(FIRST_BYTES)));
        }
        Some((gathered, frame.left))
    }

    /// The last `count` bytes of the buffer of [`part`](Self::part) were read just now.
    pub fn parted(&mut self, count: usize) {
        if let (State::Part { frame, .. }, Some(gathered)) = (&mut self.state, &mut self.gathered) {
            let start = gathered.len() - count;
            frame.unmask(&mut gathered[start..]);
        }
    }

    /// Whether there is something to pass on without further input.
    pub fn has_more(&self) -> bool {
        match self.state {
            State::Prefix { .. } | State::Gathered { .. } => true,
            State::Part { frame, .. } | State::Control { frame, .. } => frame.left == 0,
            State::Header | State::Passing(_) | State::Over => false,
        }
    }

    /// Whether the stream could end here without cutting a message or a frame in two.
    pub fn at_boundary(&self) -> bool {
        self.gathered.is_none() && self.head_len == 0 && matches!(self.state, State::Header | State::Over)
    }

    /// Bytes held: read but not yet passed on.
    pub fn held_bytes(&self) -> usize {
        self.gathered.as_ref().map_or(0, Vec::capacity) + self.control.capacity()
    }

    /// Panics when the account does not add up.
    pub fn check_invariants(&self) {
        assert!(self.head_len < MAX_HEADER_BYTES, "a whole header is not kept");
        assert!(self.head_len == 0 || self.state == State::Header || self.state == State::Over);
        assert!(self.control.len() <= MAX_CONTROL_BYTES);
        let gathered = self.gathered.as_ref().map_or(0, Vec::len);
        assert!(self.max_bytes == 0 || gathered <= self.max_bytes, "gathered more than the limit");
        if let State::Gathered { at } = self.state {
            assert!(at <= gathered);
        }
    }
}

fn take<'a>(input: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (front, back) = input.split_at(count);
    *input = back;
    front
}

/// The code of a farewell (RFC 6455 5.5.1).
fn check_farewell(payload: &[u8]) -> Result<Option<u16>, Fault> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return if payload.is_empty() { Ok(None) } else { Err(Fault::BadClose) };
    };
    let code = u16::from_be_bytes(*code);
    if !close::is_valid(code) {
        return Err(Fault::BadClose);
    }
    str::from_utf8(reason).map_err(|_| Fault::BadReason)?;
    Ok(Some(code))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::String;

    /// A frame as `from` sends it.
    fn frame(from: Side, last: bool, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
        let key = (from == Side::Client).then_some([0x37, 0xfa, 0x21, 0x3d]);
        let mut bytes = Vec::new();
        Header { last, opcode, key, length: payload.len() as u64 }.encode(&mut bytes);
        match key {
            Some(key) => append_masked(&mut bytes, payload, key, 0),
            None => bytes.extend_from_slice(payload),
        }
        bytes
    }

    fn tcp(payloads: &[&[u8]]) -> Vec<u8> {
        payloads.iter().flat_map(|p| [&(p.len() as u64).to_be_bytes(), *p].concat()).collect()
    }

    /// What came out, and how it ended.
    #[derive(Debug, Default, PartialEq)]
    struct Read {
        out: Vec<u8>,
        controls: Vec<Control>,
        fault: Option<Fault>,
        at_boundary: bool,
    }

    /// Reads the way the hands do: in any cuts, into any room, and straight into its place where it can.
    fn read(from: Side, max_bytes: usize, mut bytes: &[u8], cuts: &[usize], rooms: &[usize]) -> Read {
        let mut decoder = Decoder::new(from);
        decoder.limit(max_bytes);
        let mut read = Read::default();
        let (mut cuts, mut rooms) = (cuts.iter().cycle(), rooms.iter().cycle());
        while !bytes.is_empty() && read.fault.is_none() {
            let size = (*cuts.next().unwrap()).clamp(1, bytes.len());
            let room = (*rooms.next().unwrap()).max(1);
            if decoder.passing() >= room {
                let count = size.min(room);
                let start = read.out.len();
                read.out.extend_from_slice(take(&mut bytes, count));
                decoder.passed(&mut read.out[start..]);
                continue;
            }
            if let Some((gathered, missing)) = decoder.part() {
                let count = size.min(missing);
                gathered.extend_from_slice(take(&mut bytes, count));
                decoder.parted(count);
                continue;
            }
            let mut input = take(&mut bytes, size);
            while !input.is_empty() || decoder.has_more() {
                decoder.check_invariants();
                match decoder.decode(&mut input, &mut read.out, room) {
                    Ok(control) => read.controls.extend(control),
                    Err(fault) => {
                        read.fault = Some(fault);
                        break;
                    }
                }
            }
        }
        // The last part of a message may have been read straight into its place.
        while decoder.has_more() {
            let control = decoder.decode(&mut &[][..], &mut read.out, 1_000).unwrap();
            read.controls.extend(control);
        }
        decoder.check_invariants();
        read.at_boundary = decoder.at_boundary();
        read
    }

    fn whole(from: Side, bytes: &[u8]) -> Read {
        read(from, 1_000, bytes, &[usize::MAX], &[1_000_000])
    }

    #[test]
    fn parts_are_joined_with_control_frames_between_them() {
        for from in [Side::Client, Side::Server] {
            let bytes = [
                frame(from, false, Opcode::Binary, b"one "),
                frame(from, true, Opcode::Ping, b"still there?"),
                frame(from, false, Opcode::Continuation, b""),
                frame(from, true, Opcode::Pong, b"unasked"),
                frame(from, true, Opcode::Continuation, b"message"),
                frame(from, true, Opcode::Binary, b""),
            ];
            let read = whole(from, &bytes.concat());
            assert_eq!(read.out, tcp(&[b"one message", b""]));
            assert_eq!(read.controls, [Control::Ping(b"still there?".to_vec())]);
            assert!(read.at_boundary && read.fault.is_none());
            assert!(!whole(from, &bytes[..4].concat()).at_boundary, "a message is not whole");
        }
    }

    #[test]
    fn a_farewell_is_the_last_thing_that_is_heard() {
        let close = |payload: &[u8]| {
            let more = frame(Side::Server, true, Opcode::Binary, b"late");
            whole(Side::Server, &[frame(Side::Server, true, Opcode::Close, payload), more].concat())
        };
        for (payload, code) in
            [(&b""[..], None), (&[3, 0xe8], Some(1000)), (b"\x03\xf1too large", Some(1009))]
        {
            let read = close(payload);
            assert_eq!((read.controls, read.out), (vec![Control::Close(code)], vec![]));
        }
        for (payload, fault) in
            [(&[3][..], Fault::BadClose), (&[3, 0xed], Fault::BadClose), (&[3, 0xe8, 0xff], Fault::BadReason)]
        {
            assert_eq!(close(payload).fault, Some(fault));
        }
    }

    #[test]
    fn parts_in_no_order_are_faults() {
        let part = |last, opcode| frame(Side::Server, last, opcode, b"x");
        assert_eq!(
            whole(Side::Server, &part(true, Opcode::Continuation)).fault,
            Some(Fault::NothingToContinue)
        );
        let twice = [part(false, Opcode::Binary), part(true, Opcode::Binary)].concat();
        assert_eq!(whole(Side::Server, &twice).fault, Some(Fault::Interrupted));
    }

    #[test]
    fn the_limit_counts_all_parts_and_is_itself_allowed() {
        let of = |sizes: &[usize]| {
            let mut bytes = Vec::new();
            for (n, size) in sizes.iter().enumerate() {
                let opcode = if n == 0 { Opcode::Binary } else { Opcode::Continuation };
                bytes.extend(frame(Side::Server, n + 1 == sizes.len(), opcode, &vec![7; *size]));
            }
            whole(Side::Server, &bytes)
        };
        assert_eq!(of(&[1_000]).out, tcp(&[&[7; 1_000]]));
        assert_eq!(of(&[600, 400]).out, tcp(&[&[7; 1_000]]));
        for (sizes, claimed) in [(&[1_001][..], 1_001_u64), (&[600, 401], 1_001), (&[1_000, 0, 5], 1_005)] {
            let read = of(sizes);
            assert_eq!((read.out, read.controls), (claimed.to_be_bytes().to_vec(), vec![Control::TooLarge]));
        }
    }

    #[test]
    fn a_claim_allocates_little_until_data_comes() {
        let mut decoder = Decoder::new(Side::Server);
        let mut out = Vec::new();
        let mut head = Vec::new();
        Header { last: false, opcode: Opcode::Binary, key: None, length: 1 << 40 }.encode(&mut head);
        decoder.decode(&mut &head[..], &mut out, 100).unwrap();
        assert_eq!(decoder.held_bytes(), 0);
        let (gathered, missing) = decoder.part().unwrap();
        assert_eq!(missing, 1 << 40);
        assert!(gathered.capacity() <= FIRST_BYTES);
        // And it grows by as much as has come.
        gathered.resize(60 * 1024, 7);
        decoder.parted(60 * 1024);
        assert!(decoder.part().unwrap().0.capacity() < 130 * 1024);
    }

    #[test]
    fn the_captured_frames_are_read_and_written_as_they_are() {
        let text = include_str!("../../../../tests/vectors/websocket.json");
        let file: serde_json::Value = serde_json::from_str(text).unwrap();
        let bytes = |hex: &str| -> Vec<u8> {
            (0..hex.len() / 2).map(|n| u8::from_str_radix(&hex[2 * n..2 * n + 2], 16).unwrap()).collect()
        };
        let mut seen = 0;
        for vector in file["vectors"].as_array().unwrap() {
            let id = vector["id"].as_str().unwrap();
            let Some(frames) = vector["frames"].as_array().filter(|_| !id.contains("bigframe")) else {
                continue;
            };
            let from = if id.contains("-client-") { Side::Client } else { Side::Server };
            let hex = vector["hex"].as_str().unwrap();
            let raw = bytes(hex);
            let mut rest = &raw[..];
            let mut again = Vec::new();
            for frame in frames {
                let (header, count) = Header::decode(rest, from).unwrap().unwrap();
                take(&mut rest, count);
                assert_eq!(header.length, frame["payload_len"].as_u64().unwrap(), "{id}");
                let mut payload = take(&mut rest, header.length as usize).to_vec();
                header.encode(&mut again);
                again.extend_from_slice(&payload);
                if let Some(key) = header.key {
                    mask(&mut payload, key, 0);
                }
                let hex: String = payload.iter().map(|byte| format!("{byte:02x}")).collect();
                if let Some(unmasked) =
                    frame["payload_unmasked"].as_str().filter(|text| !text.starts_with('('))
                {
                    assert_eq!(hex, unmasked, "{id}");
                }
                seen += 1;
            }
            assert_eq!(again, raw, "{id}: the same bytes are written");
        }
        assert!(seen >= 30, "{seen} frames were captured");
    }

    proptest! {
        #[test]
        fn however_a_stream_is_cut_the_same_comes_out(
            messages in prop::collection::vec(
                prop::collection::vec(
                    prop_oneof![0_usize..10, 120_usize..130, 65_530_usize..65_540, 16_000_usize..40_000], 1..4,
                ),
                0..5,
            ),
            pings in prop::collection::vec(0_usize..126, 1..4),
            cuts in prop::collection::vec(1_usize..40_000, 1..6),
            rooms in prop::collection::vec(1_usize..40_000, 1..6),
            client: bool,
        ) {
            let from = if client { Side::Client } else { Side::Server };
            let mut bytes = Vec::new();
            let mut expected = Read { at_boundary: true, ..Read::default() };
            let mut pings = pings.iter().cycle();
            for (n, message) in messages.iter().enumerate() {
                let mut payload = Vec::new();
                for (part, size) in message.iter().enumerate() {
                    let body: Vec<u8> = (0..*size).map(|at| (at * 7 + n + part) as u8).collect();
                    let opcode = if part == 0 { Opcode::Binary } else { Opcode::Continuation };
                    bytes.extend(frame(from, part + 1 == message.len(), opcode, &body));
                    payload.extend(body);
                    let ping = vec![b'p'; *pings.next().unwrap()];
                    bytes.extend(frame(from, true, Opcode::Ping, &ping));
                    expected.controls.push(Control::Ping(ping));
                }
                expected.out.extend(tcp(&[&payload]));
            }
            let found = read(from, 0, &bytes, &cuts, &rooms);
            prop_assert!(found == expected);
        }

        #[test]
        fn no_bytes_make_it_panic(
            bytes in prop::collection::vec(prop_oneof![Just(0x82_u8), Just(0x02), Just(0x80), 0_u8..130, any::<u8>()], 0..200),
            cuts in prop::collection::vec(1_usize..20, 1..6),
            client: bool,
        ) {
            let from = if client { Side::Client } else { Side::Server };
            let cut = read(from, 1_000, &bytes, &cuts, &[7, 1, 30]);
            let mut once = whole(from, &bytes);
            once.at_boundary = cut.at_boundary;
            prop_assert_eq!(cut, once);
        }
    }
}
