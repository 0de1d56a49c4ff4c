//! The flags of `spanwire nanocat`: each with its names, doc and effect in one place.

use super::parse::{pause, period};
use crate::cat::format::Format;
use crate::cat::settings::{Ask, End};
use crate::flags::{Flag, Only};
use bytes::Bytes;
use spanwire::Protocol;

const PLAIN: Flag = Flag {
    names: &[],
    short: None,
    value: None,
    group: GENERAL,
    doc: "",
    only: Only::Any,
    ours: false,
    set: |_, _| Ok(()),
};

const GENERAL: &str = "General";
const PROTOCOLS: &str = "Protocol (exactly one)";
const ADDRESSES: &str = "Addresses (one or more)";
const TIMING: &str = "Timing and limits";
const FORMATS: &str = "Output (the last one counts; default: none)";
const SENDING: &str = "Sending";

/// Every flag.
pub(crate) static FLAGS: &[Flag] = &[
    Flag {
        names: &["verbose"],
        short: Some('v'),
        doc: "Accepted for scripts; there is nothing more to say",
        ..PLAIN
    },
    Flag {
        names: &["silent"],
        short: Some('q'),
        doc: "Say nothing of messages that are lost; errors are still shown",
        set: |s, _| {
            s.silent = true;
            Ok(())
        },
        ..PLAIN
    },
    Flag {
        names: &["help"],
        short: Some('h'),
        doc: "Show this text",
        set: |s, _| {
            s.ask = Some(Ask::Help);
            Ok(())
        },
        ..PLAIN
    },
    Flag {
        names: &["socket-name"],
        value: Some("name"),
        group: GENERAL,
        doc: "Accepted for scripts; sockets have no names here",
        ..PLAIN
    },
    Flag {
        names: &["push"],
        group: PROTOCOLS,
        doc: "Give each message to one of the peers",
        set: |s, _| s.choose(Protocol::Push),
        ..PLAIN
    },
    Flag {
        names: &["pull"],
        group: PROTOCOLS,
        doc: "Take messages from pushing peers",
        set: |s, _| s.choose(Protocol::Pull),
        ..PLAIN
    },
    Flag { names: &["pub"], group: PROTOCOLS, doc: "Publish", set: |s, _| s.choose(Protocol::Pub), ..PLAIN },
    Flag {
        names: &["sub"],
        group: PROTOCOLS,
        doc: "Subscribe",
        set: |s, _| s.choose(Protocol::Sub),
        ..PLAIN
    },
    Flag {
        names: &["req"],
        group: PROTOCOLS,
        doc: "Ask one peer at a time",
        set: |s, _| s.choose(Protocol::Req),
        ..PLAIN
    },
    Flag {
        names: &["rep"],
        group: PROTOCOLS,
        doc: "Answer with --data; without, only print requests",
        set: |s, _| s.choose(Protocol::Rep),
        ..PLAIN
    },
    Flag {
        names: &["surveyor"],
        group: PROTOCOLS,
        doc: "Ask everybody; answers are taken for a second",
        set: |s, _| s.choose(Protocol::Surveyor),
        ..PLAIN
    },
    Flag {
        names: &["respondent"],
        group: PROTOCOLS,
        doc: "Answer surveys with --data; without, only print them",
        set: |s, _| s.choose(Protocol::Respondent),
        ..PLAIN
    },
    Flag {
        names: &["bus"],
        group: PROTOCOLS,
        doc: "Everybody to all direct neighbours",
        set: |s, _| s.choose(Protocol::Bus),
        ..PLAIN
    },
    Flag {
        names: &["pair"],
        group: PROTOCOLS,
        doc: "One peer, both ways (PAIR v0, --pair0 in spanwire cat)",
        set: |s, _| s.choose(Protocol::Pair0),
        ..PLAIN
    },
    Flag {
        names: &["bind"],
        value: Some("url"),
        group: ADDRESSES,
        doc: "Accept connections at this address",
        set: |s, url| s.attach(End::Listen, url),
        ..PLAIN
    },
    Flag {
        names: &["connect"],
        value: Some("url"),
        group: ADDRESSES,
        doc: "Dial this address, again and again until somebody is there",
        set: |s, url| s.attach(End::Dial, url),
        ..PLAIN
    },
    Flag {
        names: &["bind-ipc"],
        short: Some('X'),
        value: Some("path"),
        group: ADDRESSES,
        doc: "--bind ipc://<path>",
        set: |s, path| s.attach(End::Listen, &[b"ipc://", path].concat()),
        ..PLAIN
    },
    Flag {
        names: &["connect-ipc"],
        short: Some('x'),
        value: Some("path"),
        group: ADDRESSES,
        doc: "--connect ipc://<path>",
        set: |s, path| s.attach(End::Dial, &[b"ipc://", path].concat()),
        ..PLAIN
    },
    Flag {
        names: &["bind-local"],
        short: Some('L'),
        value: Some("port"),
        group: ADDRESSES,
        doc: "--bind tcp://127.0.0.1:<port>",
        set: |s, port| s.attach(End::Listen, &[b"tcp://127.0.0.1:", port].concat()),
        ..PLAIN
    },
    Flag {
        names: &["connect-local"],
        short: Some('l'),
        value: Some("port"),
        group: ADDRESSES,
        doc: "--connect tcp://127.0.0.1:<port>",
        set: |s, port| s.attach(End::Dial, &[b"tcp://127.0.0.1:", port].concat()),
        ..PLAIN
    },
    Flag {
        names: &["recv-timeout"],
        value: Some("seconds"),
        group: TIMING,
        doc: "End when nothing arrives for so long; negative is no limit",
        only: Only::Receivers,
        set: |s, text| {
            s.recv_timeout = period(text)?;
            Ok(())
        },
        ..PLAIN
    },
    Flag {
        names: &["send-timeout"],
        value: Some("seconds"),
        group: TIMING,
        doc: "Fail when nobody takes a message for so long; negative is no limit",
        only: Only::Senders,
        set: |s, text| {
            s.send_timeout = period(text)?;
            Ok(())
        },
        ..PLAIN
    },
    Flag {
        names: &["subscribe"],
        value: Some("prefix"),
        group: "Subscriptions (default: everything)",
        doc: "Take messages that begin with this; may be repeated",
        only: Only::Sub,
        set: |s, topic| {
            s.topics.push(topic.to_vec());
            Ok(())
        },
        ..PLAIN
    },
    Flag {
        names: &["format"],
        value: Some("format"),
        group: FORMATS,
        doc: "no, raw, ascii, quoted, hex or msgpack",
        only: Only::Receivers,
        set: |s, name| s.print_as_named(name),
        ..PLAIN
    },
    Flag {
        names: &["raw"],
        group: FORMATS,
        doc: "Messages as they are, nothing between them",
        only: Only::Receivers,
        set: |s, _| s.print_as(Format::Raw),
        ..PLAIN
    },
    Flag {
        names: &["ascii"],
        short: Some('A'),
        group: FORMATS,
        doc: "A line each, a dot for every byte that is not printable ASCII",
        only: Only::Receivers,
        set: |s, _| s.print_as(Format::Ascii),
        ..PLAIN
    },
    Flag {
        names: &["quoted"],
        short: Some('Q'),
        group: FORMATS,
        doc: "Each message a C string on a line of its own",
        only: Only::Receivers,
        set: |s, _| s.print_as(Format::Quoted),
        ..PLAIN
    },
    Flag {
        names: &["msgpack"],
        group: FORMATS,
        doc: "Each message a MessagePack binary",
        only: Only::Receivers,
        set: |s, _| s.print_as(Format::Msgpack),
        ..PLAIN
    },
    Flag {
        names: &["hex"],
        group: FORMATS,
        doc: "As --quoted, with every byte in hexadecimal",
        only: Only::Receivers,
        set: |s, _| s.print_as(Format::Hex),
        ..PLAIN
    },
    Flag {
        names: &["interval"],
        short: Some('i'),
        value: Some("seconds"),
        group: SENDING,
        doc: "Send again and again, so far apart",
        only: Only::Senders,
        set: |s, text| {
            s.interval = period(text)?;
            Ok(())
        },
        ..PLAIN
    },
    Flag {
        names: &["delay"],
        short: Some('d'),
        value: Some("seconds"),
        group: SENDING,
        doc: "Wait before anything is sent or received",
        set: |s, text| {
            s.delay = Some(pause(text)?);
            Ok(())
        },
        ..PLAIN
    },
    Flag {
        names: &["data"],
        short: Some('D'),
        value: Some("data"),
        group: SENDING,
        doc: "Send this",
        only: Only::Senders,
        set: |s, data| s.send(Bytes::copy_from_slice(data)),
        ..PLAIN
    },
    Flag {
        names: &["file"],
        short: Some('F'),
        value: Some("path"),
        group: SENDING,
        doc: "Send what is in this file; - is standard input",
        only: Only::Senders,
        set: |s, path| s.send_file(path),
        ..PLAIN
    },
];
