//! Our codec against bytes captured from NNG, nanomsg and mangos: `tests/vectors/`, whose origin is
//! told in `docs/sp-wire.md`.
//!
//! Nothing here passes by having nothing to do: [`FILES`] says how much each file holds and who
//! checks it, and every check counts what it used.

use bytes::Bytes;
use serde_json::Value;
use spanwire_core::framing::sp::{FrameError, Framing, HANDSHAKE_BYTES, HandshakeError, Protocol};
use spanwire_core::session::inbox::Inbox;
use spanwire_core::session::outbox::Outbox;
use spanwire_core::session::state::{Input, Session, State, Step};
use spanwire_core::{Addr, DetachReason, Message, Options, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Every file, how many vectors (or experiments, or results) it holds, and who checks them.
const FILES: [(&str, usize, Checked); 14] = [
    ("api-errors-defaults.json", 7, Checked::NoBytes("error codes and defaults of the other libraries")),
    ("core.json", 25, Checked::Here),
    ("device-backtrace.json", 36, Checked::Here),
    ("exchanges-ipc.json", 82, Checked::Here),
    ("exchanges-tcp.json", 82, Checked::Here),
    ("handshake-ipc.json", 66, Checked::Here),
    ("handshake-tcp.json", 132, Checked::Here),
    ("interop-matrix.json", 450, Checked::NoBytes("which libraries understood each other")),
    ("req-resend.json", 11, Checked::Here),
    ("socketfd-abstract.json", 9, Checked::Here),
    ("tls.json", 3, Checked::Above("tests/tls.rs, but for the upgrade to WebSocket")),
    ("udp-nng2.json", 15, Checked::NotYet("comes with the UDP transport")),
    ("violations.json", 71, Checked::Here),
    ("websocket.json", 150, Checked::NotYet("comes with the WebSocket transport")),
];

/// The vectors of `core.json` that are WebSocket's: not checked yet either.
const WEBSOCKET_IN_CORE: usize = 5;

enum Checked {
    Here,
    /// By tests of the hands.
    Above(&'static str),
    NotYet(&'static str),
    NoBytes(&'static str),
}

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors")
}

/// A file, once it is certain that it holds what it is said to hold.
fn load(name: &str) -> Value {
    let (_, expected, _) = FILES.iter().find(|(file, ..)| *file == name).expect("a file of the list");
    let text = std::fs::read_to_string(directory().join(name)).unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    let held = match (&file["vectors"], &file["tests"], &file["results"]) {
        (Value::Array(vectors), ..) => vectors.len(),
        (_, Value::Object(entries), _) | (.., Value::Object(entries)) => entries.len(),
        _ => file.as_object().expect("an object").len(),
    };
    assert_eq!(held, *expected, "{name} holds more or less than it did");
    file
}

/// Calls `check` with each vector of a file and its id. As many have to be used as there are.
fn for_each_vector(name: &str, mut check: impl FnMut(&str, &Value) -> Use) {
    let file = load(name);
    let vectors = file["vectors"].as_array().expect("vectors");
    let (mut used, mut skipped) = (0, 0);
    for vector in vectors {
        let id = vector["id"].as_str().or(vector["name"].as_str()).expect("an id");
        match check(id, vector) {
            Use::Checked => used += 1,
            Use::WebSocket => skipped += 1,
        }
    }
    let expected = if name == "core.json" { WEBSOCKET_IN_CORE } else { 0 };
    assert_eq!((used, skipped), (vectors.len() - expected, expected), "{name}");
    assert!(used > 0, "{name}");
}

#[derive(PartialEq)]
enum Use {
    Checked,
    WebSocket,
}

fn text<'a>(vector: &'a Value, field: &str) -> &'a str {
    vector[field].as_str().unwrap_or_else(|| panic!("no text in {field}: {vector}"))
}

fn hex(text: &str) -> Vec<u8> {
    assert!(text.len() % 2 == 0, "{text}");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
}

fn bytes_of(vector: &Value) -> Vec<u8> {
    hex(text(vector, "hex"))
}

fn tag(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes.try_into().expect("four bytes"))
}

const TOP_BIT: u32 = 0x8000_0000;
const DEADLINE: Time = Time::from_nanos(1);

#[test]
fn every_file_is_checked_or_said_not_to_be() {
    let found: BTreeSet<String> = std::fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let listed: BTreeSet<String> = FILES.iter().map(|(name, ..)| (*name).to_owned()).collect();
    assert_eq!(found, listed);
    for (name, count, checked) in &FILES {
        load(name);
        match checked {
            Checked::Here => println!("{name}: {count}, checked"),
            Checked::Above(place) => println!("{name}: {count}, checked in {place}"),
            Checked::NotYet(why) => println!("{name}: {count}, not yet: {why}"),
            Checked::NoBytes(why) => println!("{name}: {count}, no bytes: {why}"),
        }
    }
}

// ---- handshakes --------------------------------------------------------------------------------

/// The protocol that a vector calls by NNG's name; `None` for mangos' STAR, which we do not have.
fn protocol_called(name: &str) -> Option<Protocol> {
    let ours = match name {
        "star0" => return None,
        "pair0" | "pair1" => name.trim_end_matches('0'),
        _ => name.strip_suffix('0').expect("a version"),
    };
    let found = Protocol::ALL.into_iter().find(|protocol| protocol.name() == ours);
    Some(found.unwrap_or_else(|| panic!("{name}")))
}

#[test]
fn every_captured_handshake_is_ours_and_fits_its_peer_alone() {
    for file in ["handshake-tcp.json", "handshake-ipc.json"] {
        let mut seen = BTreeSet::new();
        for_each_vector(file, |id, vector| {
            let bytes: [u8; HANDSHAKE_BYTES] = bytes_of(vector).try_into().expect(id);
            let number = u16::try_from(vector["protocol_id"].as_u64().unwrap()).unwrap();
            let sender = protocol_called(text(vector, "protocol"));
            assert_eq!(Protocol::from_id(number), sender, "{id}");
            if let Some(sender) = sender {
                assert_eq!(sender.handshake(), bytes, "{id}");
                seen.insert(sender);
            }
            for ours in Protocol::ALL {
                let fits = sender.is_some_and(|sender| ours == sender.peer());
                let expected = if fits { Ok(()) } else { Err(HandshakeError::WrongProtocol { id: number }) };
                assert_eq!(ours.check(&bytes), expected, "{ours} meets {id}");
                let mut session = Session::new(ours, DEADLINE);
                let step = session.handshake(&bytes);
                assert_eq!(step, if fits { Step::Attach } else { Step::Drop { detach: false } });
                assert_eq!(session.peer_protocol_id(), Some(number));
            }
            Use::Checked
        });
        assert_eq!(seen, BTreeSet::from(Protocol::ALL), "{file} has every protocol");
    }
}

// ---- streams -----------------------------------------------------------------------------------

fn framing_of(vector: &Value) -> Framing {
    match text(vector, "transport") {
        "tcp" | "socket://" | "socket:// (AF_UNIX socketpair fd)" => Framing::Tcp,
        "ipc" | "abstract://" => Framing::Ipc,
        other => panic!("a transport without framing: {other}"),
    }
}

/// Reads frames as a driver would, cut as `cut` says.
fn read(framing: Framing, mut stream: &[u8], mut cut: impl FnMut() -> usize) -> Vec<Vec<u8>> {
    let mut inbox = Inbox::new(framing, Options::default().max_message_bytes);
    let mut payloads = Vec::new();
    while !stream.is_empty() {
        let (now, later) = stream.split_at(cut().clamp(1, stream.len()));
        inbox.feed(Bytes::copy_from_slice(now));
        while let Some(payload) = inbox.next().expect("captured frames are good") {
            payloads.push(payload.to_vec());
        }
        stream = later;
    }
    assert!(inbox.at_boundary());
    payloads
}

/// Reads a handshake in the same way, never more than it lacks, and returns what is behind it.
fn shake_hands(ours: Protocol, mut stream: &[u8], mut cut: impl FnMut() -> usize) -> &[u8] {
    let mut session = Session::new(ours, DEADLINE);
    while session.state() == State::Handshaking {
        assert!(!stream.is_empty(), "the handshake is incomplete");
        let most = stream.len().min(session.handshake_missing());
        let (now, later) = stream.split_at(cut().clamp(1, most));
        let step = session.handshake(now);
        assert_eq!(step, if session.handshake_missing() == 0 { Step::Attach } else { Step::Stay });
        stream = later;
    }
    assert_eq!(session.input(Input::Accepted, DEADLINE), Step::Stay);
    assert_eq!(session.state(), State::Attached);
    stream
}

/// A small generator: the cuts are random, and the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 >> 33) as usize % end
    }
}

/// The payloads of a stream of frames: the same in one piece, byte by byte and in random cuts, and
/// from our encoder the very bytes of the stream. `header_bytes` of each payload are its header.
fn check_frames(framing: Framing, stream: &[u8], header_bytes: usize) -> Vec<Vec<u8>> {
    let payloads = read(framing, stream, || usize::MAX);
    assert_eq!(read(framing, stream, || 1), payloads);
    for seed in 0..20 {
        let mut random = Random(seed);
        assert_eq!(read(framing, stream, || 1 + random.below(12)), payloads);
        assert_eq!(write(framing, &payloads, header_bytes, || random.below(20)), stream);
    }
    assert_eq!(write(framing, &payloads, 0, || usize::MAX), stream);
    payloads
}

/// What our outbox makes of the payloads, when the kernel takes as much at a time as `room` says.
fn write(
    framing: Framing,
    payloads: &[Vec<u8>],
    header_bytes: usize,
    mut room: impl FnMut() -> usize,
) -> Vec<u8> {
    let mut outbox = Outbox::new(framing);
    for payload in payloads {
        let (header, body) = payload.split_at(header_bytes);
        outbox.push(&mut Message::with_header(header, body.to_vec()));
    }
    let whole = outbox.waiting_bytes();
    let (mut stream, mut messages, mut bytes) = (Vec::new(), 0, 0);
    while !outbox.is_empty() {
        assert!(stream.len() < whole, "all is written, and the outbox does not see it");
        let batch = outbox.take();
        let mut pieces = [&b""[..]; 4];
        let (count, written) = batch.slices(&mut pieces, room(), |piece| piece);
        stream.extend(pieces[..count].concat());
        let flushed = outbox.settle(batch, written);
        (messages, bytes) = (messages + flushed.messages, bytes + flushed.bytes);
        outbox.check_invariants();
    }
    assert_eq!((messages, bytes), (payloads.len(), payloads.iter().map(Vec::len).sum()));
    stream
}

/// Bytes in front of the body when a socket talks to its peer without a device between them.
fn direct_header_bytes(protocol: Protocol) -> usize {
    match protocol {
        Protocol::Pair0 | Protocol::Pub | Protocol::Sub | Protocol::Push | Protocol::Pull | Protocol::Bus => {
            0
        }
        Protocol::Pair1 | Protocol::Req | Protocol::Rep | Protocol::Surveyor | Protocol::Respondent => 4,
    }
}

/// A whole stream, handshake and frames: who sent it, and the payloads.
fn check_stream(vector: &Value, header_bytes: Option<usize>) -> (Protocol, Vec<Vec<u8>>) {
    let stream = bytes_of(vector);
    let sender = Protocol::from_id(u16::from_be_bytes([stream[4], stream[5]])).expect("a protocol");
    assert_eq!(Session::new(sender, DEADLINE).greeting(), stream[..HANDSHAKE_BYTES]);
    let frames = shake_hands(sender.peer(), &stream, || usize::MAX);
    assert_eq!(shake_hands(sender.peer(), &stream, || 1), frames);
    for seed in 0..20 {
        let mut random = Random(seed);
        assert_eq!(shake_hands(sender.peer(), &stream, || 1 + random.below(12)), frames);
    }
    let header_bytes = header_bytes.unwrap_or(direct_header_bytes(sender));
    (sender, check_frames(framing_of(vector), frames, header_bytes))
}

/// Splits the tags of a backtrace off, up to and with the one that ends it.
fn split_tags(payload: &[u8]) -> (Vec<u32>, &[u8]) {
    let (mut tags, mut rest) = (Vec::new(), payload);
    while tags.last().is_none_or(|last| last & TOP_BIT == 0) {
        let (front, back) = rest.split_at(4);
        tags.push(tag(front));
        rest = back;
    }
    (tags, rest)
}

#[test]
fn the_curated_streams_have_their_fields() {
    for_each_vector("core.json", |id, vector| {
        if text(vector, "transport") == "ws" {
            return Use::WebSocket;
        }
        let fields = vector["fields"].as_array().expect("fields");
        let (greeting, frames) = fields.split_first().expect("a handshake");
        assert_eq!(text(greeting, "name"), "sp_handshake");
        let mut stream = bytes_of(greeting);
        let mut expected = Vec::new();
        for frame in frames {
            let part = |name: &str| frame.get(name).map_or(Vec::new(), |v| hex(v.as_str().expect("text")));
            let tags: Vec<u8> = match frame.get("tags") {
                Some(tags) => {
                    tags.as_array().expect("tags").iter().flat_map(|v| hex(v.as_str().unwrap())).collect()
                }
                None => part("hop_count"),
            };
            let payload = [tags, part("body")].concat();
            stream.extend([part("ipc_type"), part("length_be64"), payload.clone()].concat());
            expected.push(payload);
        }
        assert_eq!(stream, bytes_of(vector), "{id}: the fields are the whole stream");
        assert!(!expected.is_empty(), "{id}");
        let header_bytes =
            expected.iter().zip(frames).map(|(payload, frame)| payload.len() - text(frame, "body").len() / 2);
        let (_, payloads) = check_stream(vector, header_bytes.min());
        assert_eq!(payloads, expected, "{id}");
        Use::Checked
    });
}

#[test]
fn the_exchanges_carry_their_script() {
    for file in ["exchanges-tcp.json", "exchanges-ipc.json"] {
        // The headers that were seen, by id of the vector.
        let mut headers: BTreeMap<String, (Protocol, Vec<u32>)> = BTreeMap::new();
        let mut bodies = 0;
        for_each_vector(file, |id, vector| {
            let (sender, payloads) = check_stream(vector, None);
            let direction = text(vector, "direction");
            let side = direction.split("->").next().unwrap();
            let named =
                direction.split(['(', ',', ' ', ')']).find_map(|word| word.strip_prefix(&format!("{side}=")));
            assert_eq!(protocol_called(named.expect("the protocols")), Some(sender), "{id}");
            assert_eq!(id.ends_with("-d2l"), side == "dialer", "{id}");

            let script = vector["script"].as_array().expect("a script");
            let sent = script.iter().filter(|line| text(line, "sender") == side);
            let expected: Vec<_> = sent.map(|line| hex(text(line, "payload"))).collect();
            let (heads, found): (Vec<_>, Vec<_>) = payloads
                .iter()
                .map(|payload| payload.split_at(direct_header_bytes(sender)))
                .map(|(head, body)| (head.to_vec(), body.to_vec()))
                .unzip();
            assert_eq!(found, expected, "{id}");
            bodies += found.len();
            let heads = heads.iter().filter(|head| !head.is_empty()).map(|head| tag(head)).collect();
            headers.insert(id.to_owned(), (sender, heads));
            Use::Checked
        });
        assert!(bodies >= 100, "{file}: {bodies} messages");
        for (id, (sender, heads)) in &headers {
            match sender {
                Protocol::Req | Protocol::Surveyor => {
                    assert!(heads.iter().all(|id| id & TOP_BIT != 0), "{id}");
                    assert!(heads.windows(2).all(|w| w[1] == (w[0].wrapping_add(1) | TOP_BIT)), "{id}");
                    let (_, answered) = &headers[&id.replace("-d2l", "-l2d")];
                    assert_eq!(answered, heads, "{id}: the answers carry the ids of the requests");
                }
                // NNG counts transmissions, mangos devices.
                Protocol::Pair1 => {
                    let hops = u32::from(!id.contains("mangos"));
                    assert!(!heads.is_empty() && heads.iter().all(|head| *head == hops), "{id}");
                }
                Protocol::Rep | Protocol::Respondent => assert!(!heads.is_empty(), "{id}"),
                _ => assert!(heads.is_empty(), "{id}"),
            }
        }
    }
}

#[test]
fn backtraces_grow_by_a_tag_per_device_and_shrink_on_the_way_back() {
    let mut backtraces: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for_each_vector("device-backtrace.json", |id, vector| {
        let (link, way) = id.rsplit_once("-link").and_then(|(_, end)| end.split_once('-')).expect("a link");
        let link: usize = link.parse().unwrap();
        let (sender, payloads) = check_stream(vector, Some(4 * link));
        let [payload] = &payloads[..] else { panic!("{id}: one message") };
        let (tags, body) = split_tags(payload);
        assert_eq!(tags.len(), link, "{id}");
        let asks = matches!(sender, Protocol::Req | Protocol::Surveyor);
        assert_eq!((way, body), if asks { ("fwd", &b"Hello"[..]) } else { ("back", &b"World"[..]) }, "{id}");
        backtraces.insert(id.to_owned(), tags);
        Use::Checked
    });
    for (id, tags) in &backtraces {
        assert_eq!(&backtraces[&id.replace("-back", "-fwd")], tags, "{id}");
        for link in [2, 3] {
            if id.contains(&format!("-link{link}-")) {
                let before = &backtraces[&id.replace(&format!("link{link}"), &format!("link{}", link - 1))];
                assert_eq!(&tags[1..], before, "{id}");
            }
        }
    }
}

#[test]
fn resent_requests_are_identical_and_new_ones_have_the_next_id() {
    let mut requests: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for_each_vector("req-resend.json", |id, vector| {
        // These are frames alone; the handshakes were not kept.
        let payloads = check_frames(framing_of(vector), &bytes_of(vector), 4);
        let [payload] = &payloads[..] else { panic!("{id}: one request") };
        let (tags, body) = split_tags(payload);
        let expected = if id.starts_with("cancel-") { "newer" } else { "again" };
        assert_eq!((tags.len(), body), (1, expected.as_bytes()), "{id}");
        requests.insert(id.to_owned(), payload.clone());
        Use::Checked
    });
    for library in ["nng111", "nng2", "nano"] {
        let first = &requests[&format!("resend-{library}")];
        assert_eq!(&requests[&format!("resend-after-reconnect-{library}")], first);
        let newer = tag(&requests[&format!("cancel-{library}")][..4]);
        assert_eq!(newer, tag(&first[..4]).wrapping_add(1) | TOP_BIT, "{library}");
    }
}

#[test]
fn descriptors_are_framed_as_tcp_and_abstract_sockets_are_named_as_decoded() {
    let (mut handshakes, mut frames) = (0, 0);
    for_each_vector("socketfd-abstract.json", |id, vector| {
        let meaning = text(vector, "meaning");
        let (sender, payloads) = check_stream(vector, None);
        match sender {
            Protocol::Push => assert_eq!(payloads, [b"hey"], "{id}"),
            Protocol::Pull => assert!(payloads.is_empty(), "{id}"),
            _ => panic!("{id}: {sender}"),
        }
        handshakes += 1;
        frames += payloads.len();
        if let Some((_, delivered)) = meaning.split_once("delivered peer frame ") {
            assert_eq!(check_frames(framing_of(vector), &hex(delivered), 0), [b"abc"], "{id}");
            frames += 1;
        }
        if id.starts_with("abstract-") {
            let (address, bound) = meaning.split_once(" binds the abstract name ").expect("an address");
            let bound = bound.split('\'').nth(1).unwrap().replace("\\x00", "\0");
            let Ok(Addr::Abstract(name)) = Addr::parse(address) else { panic!("{address}") };
            assert_eq!(name.name(), bound.as_bytes());
        }
        Use::Checked
    });
    assert_eq!((handshakes, frames), (9, 6));
}

// ---- violations --------------------------------------------------------------------------------

/// The six builds that were tried, with the largest message each takes by default; 0 is any.
const LIBRARIES: [(&str, usize); 6] =
    [("nng152", 0), ("nng111", 0), ("nng112", 0), ("nng2", 1 << 30), ("nano", 1 << 20), ("mangos", 1 << 20)];

/// How a peer shakes hands, what we do, which libraries do otherwise, and why we do it.
const HANDSHAKES: [(&str, Option<DetachReason>, &[&str], &str); 10] = [
    ("hs_good", None, &[], "the handshake of our peer"),
    ("hs_bad_first_byte", Some(DetachReason::BadHandshake), &[], "MUST: bytes 0 to 3 are fixed"),
    ("hs_bad_magic", Some(DetachReason::BadHandshake), &[], "MUST: bytes 0 to 3 are fixed"),
    ("hs_bad_version", Some(DetachReason::BadHandshake), &[], "MUST: there is no version but 0"),
    (
        "hs_reserved_nonzero",
        Some(DetachReason::BadHandshake),
        &["nano"],
        "SHOULD, as NNG and mangos: what the bytes will mean is not known",
    ),
    ("hs_wrong_peer_pub", Some(DetachReason::WrongProtocol), &[], "MUST: the only peer of REP is REQ"),
    ("hs_wrong_peer_same_rep", Some(DetachReason::WrongProtocol), &[], "MUST: the only peer of REP is REQ"),
    ("hs_http", Some(DetachReason::BadHandshake), &[], "MUST: a lost web browser is told apart in 8 bytes"),
    (
        "hs_stall_after_connect",
        Some(DetachReason::HandshakeTimeout),
        &["mangos"],
        "SHOULD, as NNG: 10 s for the whole handshake",
    ),
    (
        "hs_stall_partial4",
        Some(DetachReason::HandshakeTimeout),
        &["mangos"],
        "SHOULD, as NNG: the first bytes do not stop the clock",
    ),
];

/// How long a message a peer announces, whether our default limit refuses it, and which libraries
/// do otherwise than we would with their limit.
const SIZES: [(&str, bool, &[&str], &str); 6] = [
    ("size_1MiB_exact", false, &[], "a length equal to the limit is allowed"),
    ("size_1MiB_plus1", false, &[], "our limit is 64 MiB; with that of nanomsg and mangos we close"),
    ("size_1GiB_plus1", true, &[], "over our limit; without one we wait for the data, as NNG 1.x"),
    (
        "size_2_40",
        true,
        &["nng152", "nng111", "nng112"],
        "over our limit; NNG without a limit fails to allocate, we allocate nothing on a claim",
    ),
    ("size_2_63", true, &[], "MUST: 2^63 and more is refused with any limit and with none"),
    ("size_2_64m1", true, &["nng112"], "MUST: the same; there its size arithmetic wraps"),
];

/// Type bytes on ipc, and which libraries do otherwise than close. (nanomsg aborts, which ends the
/// connection too.)
const IPC_TYPES: [(&str, u8, &[&str], &str); 2] = [
    ("ipc_type_byte_0", 0, &["mangos"], "MUST: only 1 is a message"),
    ("ipc_type_byte_2", 2, &["mangos"], "MUST: shared memory, which 2 was meant for, was never made"),
];

/// Good frames with payloads that are a matter of the pattern, and sockets that do not want a second
/// peer or any data: decided in `pattern/`, and checked there.
const AT_PATTERN_LEVEL: &str = "
    rep_empty_frame rep_short_3 rep_only_id_empty_body rep_no_end_tag rep_no_end_tag_13 rep_tags_1
    rep_tags_7 rep_tags_8 rep_tags_9 rep_tags_15 rep_tags_16 respondent_tags_7 respondent_tags_8
    respondent_tags_9 pair1_hop_0 pair1_hop_1 pair1_hop_7 pair1_hop_8 pair1_hop_9 pair1_hop_f
    pair1_hop_10 pair1_hop_fe pair1_hop_ff pair1_hop_100 pair1_hop_1000001 pair1_short3 pair1_empty
    pair0_second_peer pair1_second_peer pub_gets_data push_gets_data req_reply_good req_reply_short
    req_reply_wrong_id req_reply_no_highbit req_reply_two_tags surveyor_resp_good
    surveyor_resp_short surveyor_resp_wrong_id";

/// About the files of sockets: decided by the ipc transport, and checked there.
const AT_TRANSPORT_LEVEL: &str = "ipc_stale_socket_file ipc_live_foreign_listener";

/// Not yet: they come with the WebSocket transport.
const WEBSOCKET: &str = "
    ws_good ws_empty ws_unmasked_client_frame ws_rsv1 ws_nonminimal_len ws_cont_without_start
    ws_text_ascii ws_frame_1MiB ws_frame_1MiB_plus1 ws_close_1000 ws_close_empty ws_ping";

fn experiments() -> serde_json::Map<String, Value> {
    load("violations.json")["tests"].as_object().expect("tests").clone()
}

/// The libraries that did not end the connection where we do, or ended it where we do not.
fn dissenters(experiment: &Value, ended_by_us: impl Fn(usize) -> bool) -> Vec<&'static str> {
    let ended = |library: &str| match &experiment[library] {
        result if result["process_exit"].is_i64() => true,
        result => result["closed"].as_bool().unwrap_or_else(|| panic!("{library}: {result}")),
    };
    let otherwise = LIBRARIES.iter().filter(|(library, limit)| ended(library) != ended_by_us(*limit));
    otherwise.map(|(library, _)| *library).collect()
}

/// What every library sent first is what we send first.
fn check_greetings(name: &str, experiment: &Value, ours: Protocol) {
    for (library, _) in LIBRARIES {
        let result = &experiment[library];
        if result["process_exit"].is_null() {
            assert_eq!(hex(text(result, "rx")), ours.handshake(), "{name} {library}");
        }
    }
}

#[test]
fn every_violation_has_its_place() {
    let found: Vec<String> = experiments().keys().cloned().collect();
    let mut placed: Vec<&str> = HANDSHAKES.iter().map(|row| row.0).collect();
    placed.extend(SIZES.iter().map(|row| row.0));
    placed.extend(IPC_TYPES.iter().map(|row| row.0));
    for list in [AT_PATTERN_LEVEL, AT_TRANSPORT_LEVEL, WEBSOCKET] {
        println!("not here: {}", list.split_whitespace().collect::<Vec<_>>().join(" "));
        placed.extend(list.split_whitespace());
    }
    let (known, unique): (BTreeSet<&str>, _) =
        (found.iter().map(String::as_str).collect(), placed.iter().copied().collect::<BTreeSet<_>>());
    assert_eq!(known, unique);
    assert_eq!(placed.len(), unique.len(), "each in one place");
    assert_eq!(found.len(), 71);
}

#[test]
fn handshakes_are_judged_as_decided() {
    let experiments = experiments();
    for (name, expected, otherwise, why) in HANDSHAKES {
        let experiment = &experiments[name];
        check_greetings(name, experiment, Protocol::Rep);
        let timeout = Options::default().handshake_timeout;
        let mut session = Session::new(Protocol::Rep, Time::ZERO + timeout);
        let sent = match experiment["nng111"]["sent"].as_str() {
            Some(sent) => hex(sent),
            None if name == "hs_stall_partial4" => Protocol::Req.handshake()[..4].to_vec(),
            None => Vec::new(),
        };
        assert_eq!(sent.len() >= HANDSHAKE_BYTES, !name.starts_with("hs_stall_"));
        // Byte by byte: nothing is decided before the eighth.
        let step = sent.iter().fold(Step::Stay, |before, byte| {
            assert!(before == Step::Stay || session.handshake_missing() == 0);
            match session.handshake(&[*byte]) {
                Step::Stay => before,
                step => step,
            }
        });
        match expected {
            None => assert_eq!((step, session.state()), (Step::Attach, State::Attaching), "{name}: {why}"),
            Some(DetachReason::HandshakeTimeout) => {
                assert_eq!((step, session.deadline()), (Step::Stay, Some(Time::ZERO + timeout)), "{name}");
                let nng = experiment["nng111"]["after_s"].as_f64().expect("a time");
                assert!((timeout.as_secs_f64() - nng).abs() < 0.1, "{name}: {why}");
                let step = session.input(Input::Expired, Time::MAX);
                assert_eq!(step, Step::Drop { detach: false }, "{name}: {why}");
            }
            Some(_) => assert_eq!(step, Step::Drop { detach: false }, "{name}: {why}"),
        }
        if let Some(reason) = expected {
            assert_eq!(session.state(), State::Closed(reason), "{name}: {why}");
        }
        assert_eq!(dissenters(experiment, |_| expected.is_some()), otherwise, "{name}: {why}");
    }
}

#[test]
fn sizes_are_judged_as_decided() {
    let experiments = experiments();
    let ours = Options::default().max_message_bytes;
    for (name, refused, otherwise, why) in SIZES {
        let experiment = &experiments[name];
        check_greetings(name, experiment, Protocol::Pull);
        let claimed = experiment["nng111"]["claimed"].as_u64().expect("a length");
        for framing in [Framing::Tcp, Framing::Ipc] {
            let ends = |limit: usize| {
                let mut inbox = Inbox::new(framing, limit);
                let prefix = framing.encode_prefix(claimed);
                inbox.feed(Bytes::copy_from_slice(&prefix[..framing.prefix_bytes()]));
                let found = inbox.next();
                assert!(inbox.held_bytes() <= 64 * 1024, "{name}: nothing is allocated on a claim");
                match found {
                    Ok(None) => false,
                    Err(FrameError::TooLarge { claimed: said }) if said == claimed => true,
                    other => panic!("{name}: {other:?}"),
                }
            };
            assert_eq!(ends(ours), refused, "{name}: {why}");
            assert_eq!(dissenters(experiment, ends), otherwise, "{name}: {why}");
        }
    }
}

#[test]
fn ipc_types_are_judged_as_decided() {
    let experiments = experiments();
    for (name, kind, otherwise, why) in IPC_TYPES {
        let experiment = &experiments[name];
        check_greetings(name, experiment, Protocol::Pull);
        // What mangos delivered is what was sent behind the type.
        let body = hex(text(&experiment["mangos"], "app_recv"));
        assert!(!body.is_empty());
        let mut good = Framing::Ipc.encode_prefix(body.len() as u64).to_vec();
        good.extend(&body);
        assert_eq!(read(Framing::Ipc, &good, || usize::MAX), [body]);
        let mut inbox = Inbox::new(Framing::Ipc, 0);
        good[0] = kind;
        inbox.feed(Bytes::from(good));
        assert_eq!(inbox.next(), Err(FrameError::UnknownType { kind }), "{name}: {why}");
        assert_eq!(dissenters(experiment, |_| true), otherwise, "{name}: {why}");
    }
}

/// Where the bytes of a pattern-level violation were kept, they are good frames: it really is the
/// pattern that has to decide.
#[test]
fn pattern_level_violations_are_good_frames() {
    let mut frames = 0;
    for (name, experiment) in experiments() {
        let known = AT_PATTERN_LEVEL.split_whitespace().any(|other| other == name);
        let Some(sent) = experiment["nng111"]["sent"].as_str().filter(|_| known) else { continue };
        assert_eq!(check_frames(Framing::Tcp, &hex(sent), 0).len(), 1, "{name}");
        frames += 1;
    }
    assert_eq!(frames, 11);
}
