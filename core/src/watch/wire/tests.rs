//! Tests of the bytes of a report.

use super::*;
use crate::event::{DetachReason, Dropped, Lack, Latencies, Latency};
use crate::framing::sp::Protocol;
use crate::mux::snapshot::{MuxChannelSnapshot, MuxConnectionSnapshot, MuxRole};
use crate::pattern::Held;
use crate::snapshot::{EndpointSnapshot, EndpointState, PeerSnapshot, Snapshot, TransportSnapshot};
use crate::watch::Report;
use alloc::format;
use alloc::string::String;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::time::Duration;
use proptest::prelude::*;

fn report() -> Report {
    let mut jobs = Snapshot::new(Protocol::Push);
    jobs.name = "jobs of today".into();
    jobs.age = Duration::from_secs(5);
    jobs.ledger.sent_messages = 7;
    jobs.ledger.sent_bytes = 448;
    jobs.ledger.count_dropped(Dropped::PipeLost);
    jobs.ledger.count_detached(DetachReason::PeerClosed);
    jobs.ledger.count_refused(DetachReason::BadHandshake);
    jobs.queues.peers = 1;
    jobs.queues.outgoing = Held { messages: 2, bytes: 128 };
    jobs.latencies.record(Latency::Connect, Duration::from_nanos(20));
    jobs.latencies.record(Latency::Connect, Duration::from_nanos(3));
    jobs.lives.record(DetachReason::PeerClosed, Duration::from_nanos(40));
    jobs.refusals.record(DetachReason::BadHandshake, Duration::from_nanos(5));
    jobs.waits.record(Lack::NoPeer, Duration::from_nanos(6));
    jobs.waits.record(Lack::Full, Duration::from_nanos(7));
    let mut latencies = Latencies::default();
    latencies.record(Latency::Reply, Duration::from_nanos(9));
    let stats = PeerStats { sent_messages: 5, sent_bytes: 320, ..PeerStats::default() };
    jobs.transports.push(TransportSnapshot {
        scheme: "tcp".into(),
        peers: 1,
        attached: 2,
        stats,
        latencies: latencies.clone(),
    });
    let mut dialer = EndpointSnapshot::new("tcp://[::1]:5".into(), EndpointState::Connected);
    dialer.dials = true;
    dialer.stats.connections = 2;
    dialer.last_error = Some("100% lost\n".into());
    jobs.endpoints.push(dialer);
    jobs.peers.push(PeerSnapshot {
        pipe: 17,
        remote: "[::1]:5".into(),
        url: "tcp://[::1]:5".into(),
        dialed: true,
        age: Duration::from_secs(1),
        outgoing: Held { messages: 2, bytes: 128 },
        stats,
        latencies,
    });
    Report {
        program: "worker".into(),
        process: 4_711,
        version: "0.1.0".into(),
        at: Duration::from_nanos(99),
        sockets: Vec::from([jobs]),
        muxes: Vec::from([tunnel()]),
        omitted: 0,
    }
}

fn tunnel() -> MuxSnapshot {
    let mut tunnel = MuxSnapshot::new(MuxRole::Pool);
    tunnel.name = "tunnel".into();
    (tunnel.attempts, tunnel.failures, tunnel.refused, tunnel.evicted) = (3, 1, 4, 2);
    tunnel.waiting = 1;
    let stats = MuxStats { channels: 40, opened: 41, sent_messages: 9, stalls: 2, ..MuxStats::default() };
    let mut channel = MuxChannelSnapshot { number: 5, id: "a b".into(), ..MuxChannelSnapshot::default() };
    channel.stats.account.accepted = 8;
    channel.stats.send_waiting = 3;
    channel.stats.send_waiting_bytes = 3_000;
    channel.stats.recv_waiting_bytes = 10;
    channel.stats.recv_credit = 65_536;
    channel.stats.stalled_by_peer = 2;
    let first = MuxConnectionSnapshot {
        number: 7,
        url: "tcp://[::1]:5".into(),
        remote: "[::1]:5".into(),
        dialed: true,
        round_trip: Some(Duration::from_nanos(80)),
        stats,
        waiting_bytes: 12,
        channels: Vec::from([channel]),
    };
    let second = MuxConnectionSnapshot { number: 8, ..MuxConnectionSnapshot::default() };
    tunnel.connections = Vec::from([first, second]);
    tunnel
}

const BYTES: &str = "\
spanwire-report 1
program name=worker process=4711 version=0.1.0 at=99
socket name=jobs%20of%20today protocol=80 age=5000000000
totals sent_messages=7 sent_bytes=448 received_messages=0 received_bytes=0 delivered_messages=0 \
resent_messages=0 unknown_messages=0 attached_pipes=0 refused_pipes=1
dropped PipeLost=1
detached PeerClosed=1
refused BadHandshake=1
queues peers=1 outgoing_messages=2 outgoing_bytes=128 incoming_messages=0 incoming_bytes=0 \
waiting_senders=0 waiting_receivers=0 half_open=0
latency what=Connect sum=23 min=3 max=20 3=1 18=1
detached_after reason=PeerClosed sum=40 min=40 max=40 26=1
refused_after reason=BadHandshake sum=5 min=5 max=5 5=1
room_wait reason=Full sum=7 min=7 max=7 7=1
room_wait reason=NoPeer sum=6 min=6 max=6 6=1
transport scheme=tcp peers=1 attached=2 sent_messages=5 sent_bytes=320 received_messages=0 \
received_bytes=0 dropped_messages=0 answers=0 answer_time=0 slowest_answer=0
transport_latency what=Reply sum=9 min=9 max=9 9=1
endpoint url=tcp://[::1]:5 dials=1 state=connected half_open=0 connections=2 attached=0 refused=0 evicted=0 \
failures=0 last_error=100%25%20lost%0a
peer pipe=17 remote=[::1]:5 url=tcp://[::1]:5 dialed=1 age=1000000000 outgoing_messages=2 outgoing_bytes=128 \
sent_messages=5 sent_bytes=320 received_messages=0 received_bytes=0 dropped_messages=0 answers=0 answer_time=0 \
slowest_answer=0
peer_latency what=Reply sum=9 min=9 max=9 9=1
mux name=tunnel role=pool attempts=3 failures=1 refused=4 evicted=2 waiting=1
mux_connection number=7 url=tcp://[::1]:5 remote=[::1]:5 dialed=1 channels=40 opened=41 incoming=0 refused=0 \
sent_messages=9 sent_bytes=0 received_messages=0 received_bytes=0 discarded_bytes=0 shared_used=0 pings=0 stalls=2 \
waiting_bytes=12 round_trip=80
mux_channel number=5 id=a%20b send_waiting_messages=3 send_waiting_bytes=3000 recv_waiting_messages=0 \
recv_waiting_bytes=10 accepted=8 delivered=0 abandoned=0 unknown=0 received=0 send_credit=0 recv_credit=65536 window=0 \
stalled_by_peer=2
mux_connection number=8 url= remote= dialed=0 channels=0 opened=0 incoming=0 refused=0 \
sent_messages=0 sent_bytes=0 received_messages=0 received_bytes=0 discarded_bytes=0 shared_used=0 pings=0 stalls=0 \
waiting_bytes=0
end omitted=0
";

#[test]
fn a_report_has_exactly_these_bytes() {
    assert_eq!(encode(&report()), BYTES);
    assert_eq!(decode(BYTES.as_bytes()), Ok(report()));
}

#[test]
fn what_a_reader_does_not_know_it_passes_over() {
    let later = BYTES
        .replace("dropped PipeLost=1", "dropped PipeLost=1 Bored=9\ncolour blue=2")
        .replace("what=Connect", "what=Connect shade=4")
        .replace("end omitted=0\n", "end omitted=0 more=1\nand whatever comes then\n");
    assert_eq!(decode(later.as_bytes()), Ok(report()));
    let unknown = BYTES.replace("what=Connect", "what=Breakfast").replace("reason=Full", "reason=Moody");
    let known = decode(unknown.as_bytes()).expect("what is not known is passed over");
    assert_eq!(known.sockets[0].latencies, Latencies::default());
    assert!(known.sockets[0].waits.measured().map(|(why, _)| why).eq([Lack::NoPeer]));
    // Nor a later one all words.
    let fewer = BYTES
        .replace(" pings=0 stalls=2", "")
        .replace(" window=0", "")
        .replace("role=pool", "role=pool tint=3");
    let told = decode(fewer.as_bytes()).expect("counters that are not there are zero");
    assert_eq!(told.muxes[0].connections[0].stats, MuxStats { stalls: 0, ..tunnel().connections[0].stats });
    assert_eq!(told.muxes[0].connections[0].channels, tunnel().connections[0].channels);
    // An earlier writer had none of these lines.
    let of_later =
        ["detached_after ", "refused_after ", "room_wait ", "transport_latency ", "peer_latency ", "mux"];
    let is_earlier = |line: &&str| !of_later.iter().any(|kind| line.starts_with(kind));
    let earlier: String = BYTES.lines().filter(is_earlier).flat_map(|line| [line, "\n"]).collect();
    let told = decode(earlier.as_bytes()).expect("a report of an earlier writer");
    assert_eq!(told.sockets[0].peers[0].stats, report().sockets[0].peers[0].stats);
    assert_eq!(told.sockets[0].peers[0].latencies, Latencies::default());
    assert!(told.muxes.is_empty());
}

#[test]
fn what_is_no_report_is_refused_by_name() {
    let line = |number| Err(ReportError::Line { number });
    for (bytes, result) in [
        ("", Err(ReportError::NotAReport)),
        ("HTTP/1.1 200 OK\r\n", Err(ReportError::NotAReport)),
        ("spanwire-report 2\n", Err(ReportError::Version)),
        ("spanwire-report 1\n", Err(ReportError::CutShort)),
        ("spanwire-report 1\nprogram name=x\n", line(2)),
        ("spanwire-report 1\nprogram name=%zz process=1 version= at=1\n", line(2)),
        ("spanwire-report 1\nprogram name=%ff process=1 version= at=1\n", line(2)),
        ("spanwire-report 1\npeer pipe=1\n", line(2)),
        ("spanwire-report 1\nsocket name=a protocol=81000 age=1\n", line(2)),
        ("spanwire-report 1\nsocket name=a protocol=7 age=1\n", line(2)),
        ("spanwire-report 1\nsocket name=a protocol=80 age=-1\n", line(2)),
        (
            "spanwire-report 1\nsocket name=a protocol=80 age=1\nlatency what=Room sum=0 min=0 max=0 0=0\n",
            line(3),
        ),
        ("spanwire-report 1\nend omitted=18446744073709551616\n", line(2)),
        ("spanwire-report 1\nroom_wait reason=Full sum=0 min=0 max=0\n", line(2)),
        ("spanwire-report 1\nmux name=a role=king waiting=0\n", line(2)),
        ("spanwire-report 1\nmux name=a role=pool waiting=0 attempts=x\n", line(2)),
        ("spanwire-report 1\nmux_connection number=1\n", line(2)),
        ("spanwire-report 1\nmux name=a role=pool waiting=0\nmux_connection number=1\n", line(3)),
        ("spanwire-report 1\nmux name=a role=pool waiting=0\nmux_channel number=1\n", line(3)),
        (
            "spanwire-report 1\nsocket name=a protocol=80 age=1\npeer_latency what=Reply sum=0 min=0 max=0\n",
            line(3),
        ),
        (
            "spanwire-report 1\nsocket name=a protocol=80 age=1\ntransport_latency what=Reply sum=0 min=0 max=0\n",
            line(3),
        ),
    ] {
        assert_eq!(decode(bytes.as_bytes()), result, "{bytes:?}");
    }
    assert_eq!(decode(b"spanwire-report 1\n\xff"), Err(ReportError::NotAReport));
    for error in [ReportError::NotAReport, ReportError::Line { number: 3 }] {
        assert!(!error.to_string().is_empty());
    }
}

#[test]
fn a_report_that_is_cut_anywhere_is_refused() {
    let whole = BYTES.len() - "omitted=0\n".len();
    for end in 0..whole {
        assert!(decode(&BYTES.as_bytes()[..end]).is_err(), "{end}");
    }
}

#[test]
fn more_than_a_report_may_list_is_refused() {
    let sockets = "socket name=a protocol=80 age=1\n".repeat(MAX_SOCKETS + 1);
    assert_eq!(decode(format!("spanwire-report 1\n{sockets}").as_bytes()), Err(ReportError::TooLarge));
    assert_eq!(decode(&[b'x'; MAX_BYTES + 1]), Err(ReportError::TooLarge));
    let mux = BYTES.lines().find(|line| line.starts_with("mux ")).expect("there is one");
    for kind in ["mux ", "mux_connection number=8", "mux_channel "] {
        let line = BYTES.lines().find(|line| line.starts_with(kind)).expect("there is one");
        let many = format!("{line}\n").repeat(MAX_MUXES + 1);
        let before = BYTES.lines().find(|line| line.starts_with("mux_connection")).expect("there is one");
        let bytes = format!("spanwire-report 1\n{mux}\n{before}\n{many}");
        assert_eq!(decode(bytes.as_bytes()), Err(ReportError::TooLarge), "{kind}");
    }
}

#[test]
fn what_does_not_fit_is_left_out_and_counted() {
    let mut large = report();
    let peer = large.sockets[0].peers[0].clone();
    large.sockets[0].peers = Vec::from_iter(core::iter::repeat_n(peer, MAX_PEERS + 3));
    large.sockets[0].name = "x".repeat(MAX_TEXT - 1) + "ü";
    let socket = Snapshot::new(Protocol::Pull);
    large.sockets.extend(core::iter::repeat_n(socket, MAX_SOCKETS));
    let again = decode(encode(&large).as_bytes()).expect("a report that is encoded can be decoded");
    assert_eq!(again.omitted, 3 + 1);
    assert_eq!((again.sockets.len(), again.sockets[0].peers.len()), (MAX_SOCKETS, MAX_PEERS));
    assert_eq!(again.sockets[0].name.len(), MAX_TEXT - 1, "not cut in the middle of a character");
    let mut wide = report();
    let connection = wide.muxes[0].connections[1].clone();
    wide.muxes[0].connections = Vec::from_iter(core::iter::repeat_n(connection, MAX_PEERS + 5));
    let empty = MuxSnapshot::new(MuxRole::Server);
    wide.muxes.extend(core::iter::repeat_n(empty, MAX_MUXES));
    let again = decode(encode(&wide).as_bytes()).expect("a report that is encoded can be decoded");
    assert_eq!(again.omitted, 5 + 1);
    assert_eq!((again.muxes.len(), again.muxes[0].connections.len()), (MAX_MUXES, MAX_PEERS));
    // So many peers that their text alone would be too much.
    large.sockets.truncate(1);
    for _ in 0..7 {
        large.sockets.extend(large.sockets.clone());
    }
    let bytes = encode(&large);
    assert!(bytes.len() <= MAX_BYTES, "{}", bytes.len());
    assert!(decode(bytes.as_bytes()).is_ok_and(|report| report.omitted > 3 * report.sockets.len() as u64));
}

#[test]
fn a_question_is_known_by_its_words() {
    for question in Question::ALL {
        assert_eq!(Question::parse(question.as_str().as_bytes()), Some(question));
    }
    assert_eq!(Question::parse(b"report 1\n"), Some(Question::Report));
    for unknown in [&b""[..], b"report 2", b"report 1\n\n", b"Report 1"] {
        assert_eq!(Question::parse(unknown), None);
    }
}

proptest! {
    #[test]
    fn any_text_comes_back(text in any::<String>()) {
        let mut all = report();
        all.program = text.clone();
        let again = decode(encode(&all).as_bytes()).expect("a report");
        prop_assert!(text.starts_with(&again.program));
        prop_assert!(text.len() <= MAX_TEXT && again.program == text || again.program.len() > MAX_TEXT - 4);
    }

    #[test]
    fn no_bytes_make_it_panic(at in 0..BYTES.len(), byte in any::<u8>()) {
        let mut bytes = BYTES.as_bytes().to_vec();
        bytes[at] = byte;
        let _ = decode(&bytes);
    }
}
