//! The flags of `spanwire cat`: each with its names, doc and effect in one place.

use super::format::Format;
use super::parse::{DAY, port, seconds, whole};
use super::settings::{Ask, End};
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
const FORMATS: &str = "Output (at most one; default: none)";
const SENDING: &str = "Sending";
const TIMING: &str = "Timing and limits";
const DIALING: &str = "Dialing";
const TLS: &str = "TLS (ignored where no address needs it: tls+tcp, wss, quic)";
const ELSEWHERE: &str = "Transports that are not there (ignored)";

/// Every flag.
pub(crate) static FLAGS: &[Flag] = &[
    Flag {
        names: &["help"],
        short: Some('h'),
        doc: "Show this text (the exit status is 1, as in nngcat)",
        set: |s, _| {
            s.ask = Some(Ask::Help);
            Ok(())
        },
        ..PLAIN
    },
    Flag {
        names: &["version"],
        short: Some('V'),
        doc: "Show the version",
        set: |s, _| {
            s.ask = Some(Ask::Version);
            Ok(())
        },
        ..PLAIN
    },
    Flag {
        names: &["verbose"],
        short: Some('v'),
        doc: "Say on standard output what is listened on and dialled",
        set: |s, _| {
            s.verbose = true;
            Ok(())
        },
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
        names: &["stats"],
        value: Some("URL"),
        doc: "Show the socket here meanwhile, for spanwire top and spanwire metrics",
        ours: true,
        set: |s, value| {
            s.stats = Some(String::from_utf8_lossy(value).into_owned());
            Ok(())
        },
        ..PLAIN
    },
    Flag {
        names: &["raw-socket"],
        doc: "Open the protocol in raw mode; with -v, headers are shown too",
        ours: true,
        set: |s, _| {
            s.raw_socket = true;
            Ok(())
        },
        ..PLAIN
    },
    Flag {
        names: &["req", "req0"],
        group: PROTOCOLS,
        doc: "Ask one peer at a time",
        set: |s, _| s.choose(Protocol::Req),
        ..PLAIN
    },
    Flag {
        names: &["rep", "rep0"],
        group: PROTOCOLS,
        doc: "Answer with --data; without, only print requests",
        set: |s, _| s.choose(Protocol::Rep),
        ..PLAIN
    },
    Flag {
        names: &["pub", "pub0"],
        group: PROTOCOLS,
        doc: "Publish",
        set: |s, _| s.choose(Protocol::Pub),
        ..PLAIN
    },
    Flag {
        names: &["sub", "sub0"],
        group: PROTOCOLS,
        doc: "Subscribe",
        set: |s, _| s.choose(Protocol::Sub),
        ..PLAIN
    },
    Flag {
        names: &["push", "push0"],
        group: PROTOCOLS,
        doc: "Give each message to one of the peers",
        set: |s, _| s.choose(Protocol::Push),
        ..PLAIN
    },
    Flag {
        names: &["pull", "pull0"],
        group: PROTOCOLS,
        doc: "Take messages from pushing peers",
        set: |s, _| s.choose(Protocol::Pull),
        ..PLAIN
    },
    Flag {
        names: &["bus", "bus0"],
        group: PROTOCOLS,
        doc: "Everybody to all direct neighbours",
        set: |s, _| s.choose(Protocol::Bus),
        ..PLAIN
    },
    Flag {
        names: &["surveyor", "surveyor0"],
        group: PROTOCOLS,
        doc: "Ask everybody; answers are taken for a second",
        set: |s, _| s.choose(Protocol::Surveyor),
        ..PLAIN
    },
    Flag {
        names: &["respondent", "respondent0"],
        group: PROTOCOLS,
        doc: "Answer surveys with --data; without, only print them",
        set: |s, _| s.choose(Protocol::Respondent),
        ..PLAIN
    },
    Flag {
        names: &["pair0"],
        group: PROTOCOLS,
        doc: "One peer, both ways",
        set: |s, _| s.choose(Protocol::Pair0),
        ..PLAIN
    },
    Flag {
        names: &["pair1"],
        group: PROTOCOLS,
        doc: "The same in version 1, which does not talk to version 0",
        set: |s, _| s.choose(Protocol::Pair1),
        ..PLAIN
    },
    Flag {
        names: &["pair"],
        group: PROTOCOLS,
        doc: "Accepted beside --pair0 or --pair1; alone it selects nothing",
        set: |s, _| {
            s.pair = true;
            Ok(())
        },
        ..PLAIN
    },
    Flag {
        names: &["dial", "connect"],
        value: Some("url"),
        group: ADDRESSES,
        doc: "Connect to this address; if nobody is there, fail",
        set: |s, url| s.attach(End::Dial, url),
        ..PLAIN
    },
    Flag {
        names: &["listen", "bind"],
        value: Some("url"),
        group: ADDRESSES,
        doc: "Accept connections at this address",
        set: |s, url| s.attach(End::Listen, url),
        ..PLAIN
    },
    Flag {
        names: &["connect-local"],
        short: Some('l'),
        value: Some("port"),
        group: ADDRESSES,
        doc: "--dial tcp://127.0.0.1:<port>",
        set: |s, text| s.attach(End::Dial, local(port(text)?).as_bytes()),
        ..PLAIN
    },
    Flag {
        names: &["bind-local"],
        short: Some('L'),
        value: Some("port"),
        group: ADDRESSES,
        doc: "--listen tcp://127.0.0.1:<port>",
        set: |s, text| s.attach(End::Listen, local(port(text)?).as_bytes()),
        ..PLAIN
    },
    Flag {
        names: &["connect-ipc"],
        short: Some('x'),
        value: Some("path"),
        group: ADDRESSES,
        doc: "--dial ipc:///<path>",
        set: |s, path| s.attach(End::Dial, &rooted(path)),
        ..PLAIN
    },
    Flag {
        names: &["bind-ipc"],
        short: Some('X'),
        value: Some("path"),
        group: ADDRESSES,
        doc: "--listen ipc:///<path>",
        set: |s, path| s.attach(End::Listen, &rooted(path)),
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
        names: &["ascii"],
        short: Some('A'),
        group: FORMATS,
        doc: "A dot for every byte that is not printable ASCII",
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
        names: &["hex"],
        group: FORMATS,
        doc: "The same with every byte in hexadecimal",
        only: Only::Receivers,
        set: |s, _| s.print_as(Format::Hex),
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
        names: &["raw"],
        group: FORMATS,
        doc: "Messages as they are, nothing between them",
        only: Only::Receivers,
        set: |s, _| s.print_as(Format::Raw),
        ..PLAIN
    },
    Flag {
        names: &["subscribe"],
        value: Some("topic"),
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
        value: Some("file"),
        group: SENDING,
        doc: "Send what is in this file; - is standard input",
        only: Only::Senders,
        set: |s, path| s.send_file(path),
        ..PLAIN
    },
    Flag {
        names: &["count"],
        short: Some('C'),
        value: Some("number"),
        group: TIMING,
        doc: "So many messages, or exchanges, then end; 0 is no limit",
        set: |s, text| {
            let count = whole(text, i32::MAX)?;
            s.count = u32::try_from(count).ok().filter(|count| *count > 0);
            Ok(())
        },
        ..PLAIN
    },
    Flag {
        names: &["delay"],
        short: Some('d'),
        value: Some("seconds"),
        group: TIMING,
        doc: "Wait before the first message is sent",
        set: |s, text| {
            s.delay = Some(seconds(text, DAY)?);
            Ok(())
        },
        ..PLAIN
    },
    Flag {
        names: &["interval"],
        short: Some('i'),
        value: Some("seconds"),
        group: TIMING,
        doc: "Send again and again, so far apart",
        only: Only::Unasked,
        set: |s, text| {
            s.interval = Some(seconds(text, DAY)?);
            Ok(())
        },
        ..PLAIN
    },
    Flag {
        names: &["recv-timeout"],
        value: Some("seconds"),
        group: TIMING,
        doc: "End when nothing arrives for so long; 0 is no limit",
        set: |s, text| {
            s.recv_timeout = Some(seconds(text, DAY)?).filter(|t| !t.is_zero());
            Ok(())
        },
        ..PLAIN
    },
    Flag {
        names: &["send-timeout"],
        value: Some("seconds"),
        group: TIMING,
        doc: "Fail when nobody takes a message for so long; 0 is no limit",
        set: |s, text| {
            s.send_timeout = Some(seconds(text, DAY)?).filter(|t| !t.is_zero());
            Ok(())
        },
        ..PLAIN
    },
    Flag {
        names: &["recv-maxsz"],
        short: Some('Z'),
        value: Some("bytes"),
        group: TIMING,
        doc: "Refuse larger messages; 0, and the default, is no limit",
        set: |s, text| {
            s.max_message_bytes = usize::try_from(whole(text, i32::MAX)?).unwrap_or(0);
            Ok(())
        },
        ..PLAIN
    },
    Flag {
        names: &["async"],
        group: DIALING,
        doc: "Go on at once and dial in the background, until somebody is there",
        set: |s, _| {
            s.background = true;
            Ok(())
        },
        ..PLAIN
    },
    Flag {
        names: &["compat"],
        group: DIALING,
        doc: "The same, in the manner of nanocat; excludes --pair1",
        set: |s, _| {
            s.compat = true;
            Ok(())
        },
        ..PLAIN
    },
    Flag {
        names: &["insecure"],
        short: Some('k'),
        group: TLS,
        doc: "Trust anybody",
        set: |s, _| {
            s.secure.insecure = true;
            Ok(())
        },
        ..PLAIN
    },
    Flag {
        names: &["cacert"],
        value: Some("file"),
        group: TLS,
        doc: "Trust these authorities; a listener then asks its peers for certificates",
        set: |s, path| s.tls_file("--cacert", path, |secure| &mut secure.authorities),
        ..PLAIN
    },
    Flag {
        names: &["cert"],
        short: Some('E'),
        value: Some("file"),
        group: TLS,
        doc: "Our certificate",
        set: |s, path| s.tls_file("--cert", path, |secure| &mut secure.certificate),
        ..PLAIN
    },
    Flag {
        names: &["key"],
        value: Some("file"),
        group: TLS,
        doc: "Its key; default: in the file of the certificate",
        set: |s, path| s.tls_file("--key", path, |secure| &mut secure.key),
        ..PLAIN
    },
    Flag {
        names: &["zt-home"],
        value: Some("path"),
        group: ELSEWHERE,
        doc: "ZeroTier: the directory of the node",
        set: |_, _| Ok(()),
        ..PLAIN
    },
];

/// The address of a local TCP port.
fn local(port: u16) -> String {
    format!("tcp://127.0.0.1:{port}")
}

/// The ipc address of a path. nngcat puts a slash in front of every path, relative ones too, so
/// that `-X a` and `-x a` meet at `/a`; a script may count on it.
fn rooted(path: &[u8]) -> Vec<u8> {
    [b"ipc:///", path].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cat::parse::parse;
    use crate::cat::settings::Plan;
    use crate::failure::Failure;
    use std::time::Duration;

    fn plan(line: &str) -> Result<Plan, Failure> {
        let args = line.split(' ').map(|arg| arg.as_bytes().to_vec()).collect();
        let (settings, used) = parse(args)?;
        settings.plan(&used)
    }

    #[test]
    fn names_are_unique_and_documented() {
        let mut names: Vec<_> = FLAGS.iter().flat_map(|flag| flag.names).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(FLAGS.iter().all(|flag| !flag.doc.is_empty()));
    }

    #[test]
    fn addresses_keep_their_order_and_short_forms_become_urls() {
        let plan = plan("--bus -L 5 -x a --dial=tcp://h:1 -X/b --connect-local 7").unwrap();
        let urls: Vec<_> = plan.endpoints.iter().map(|(end, url)| (*end, url.as_str())).collect();
        assert_eq!(
            urls,
            [
                (End::Listen, "tcp://127.0.0.1:5"),
                (End::Dial, "ipc:///a"),
                (End::Dial, "tcp://h:1"),
                (End::Listen, "ipc:////b"),
                (End::Dial, "tcp://127.0.0.1:7"),
            ]
        );
    }

    #[test]
    fn zero_is_no_limit_except_for_the_interval() {
        let plan = plan("--req -L 1 -D x -C 0 -d 0 -i 0 --recv-timeout 0 --send-timeout 0 -Z 0").unwrap();
        assert_eq!((plan.count, plan.delay), (None, None));
        assert_eq!((plan.recv_timeout, plan.send_timeout), (None, None));
        assert_eq!(plan.interval, Some(Duration::ZERO));
        assert_eq!(plan.max_message_bytes, 0);
    }

    #[test]
    fn what_does_not_fit_the_protocol_is_refused_by_name() {
        for (line, named) in [
            ("--pull -L 1 -D x", "--data (-D)"),
            ("--sub -L 1 -F /dev/null", "--file (-F)"),
            ("--rep -L 1 -D x -i 1", "--interval (-i)"),
            ("--pub -L 1 -D x --hex", "--hex"),
            ("--pull -L 1 --subscribe x", "--subscribe"),
            ("--compat --async --pull -L 1", "--async"),
            ("--compat --pair1 -L 1", "--pair0"),
            ("--pair -L 1", "--pair0"),
            ("--req -L 1", "--data"),
        ] {
            let Err(Failure::Usage(text)) = plan(line) else { panic!("{line} passes") };
            assert!(text.contains(named), "{line}: {text}");
        }
    }

    #[test]
    fn flags_of_tls_are_ignored_until_an_address_needs_them() {
        assert!(plan("--pull -k --zt-home /x -L 1").is_ok());
        let plan = plan("--pull -k --listen tls+tcp://:1").unwrap();
        let error = plan.secure.listening("tls+tcp://:1").unwrap_err();
        assert!(error.to_string().contains("--cert"), "{error}");
        assert!(plan.secure.listening("tcp://:1").is_ok());
    }
}
