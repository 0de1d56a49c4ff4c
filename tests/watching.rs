//! What sockets show of themselves: snapshots, reports, and those who look from outside.

mod support;

use spanwire::watch::{self, Detail, Snapshot, ViewError, Viewer, prometheus};
use spanwire::*;
use std::collections::BTreeMap;
use std::time::Duration;
use support::within;

const LONG: Duration = Duration::from_secs(30);

/// Waits until `holds`: each look lets others run.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    within(async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(holds(), "{what}");
}

async fn pair_up() -> (ReqSocket, RepSocket) {
    let (req, rep) = (ReqSocket::new(), RepSocket::new());
    let listener = rep.listen("tcp://127.0.0.1:0").await.unwrap();
    req.dial(listener.url()).await.unwrap();
    rep.wait_peers(1).await.unwrap();
    (req, rep)
}

async fn exchange(req: &ReqSocket, rep: &RepSocket, count: usize) {
    for _ in 0..count {
        let (reply, done) =
            tokio::join!(req.request("ping"), async { rep.recv().await.unwrap().reply("pong!").await });
        done.unwrap();
        assert_eq!(&reply.unwrap()[..], b"pong!");
    }
}

#[tokio::test]
async fn a_snapshot_tells_of_every_part_of_a_socket() {
    let (req, rep) = pair_up().await;
    exchange(&req, &rep, 10).await;
    until("all are counted as sent", || req.peers()[0].stats.sent_messages == 10).await;
    let (asks, answers) = (req.snapshot(), rep.snapshot());
    assert_eq!((asks.protocol, answers.protocol), (Protocol::Req, Protocol::Rep));
    assert_eq!(asks.ledger, req.stats().ledger);
    assert_eq!((asks.ledger.sent_messages, asks.ledger.delivered_messages), (10, 10));

    let reply = asks.latencies.of(Latency::Reply);
    assert_eq!(reply.count(), 10);
    assert!(reply.max() > Duration::ZERO && reply.max() < LONG);
    assert_eq!(asks.latencies.of(Latency::Connect).count(), 1);
    assert_eq!(asks.latencies.of(Latency::Handshake).count(), 1);
    assert_eq!(asks.latencies.of(Latency::Connection).count(), 0, "it is still there");
    assert_eq!(answers.latencies.of(Latency::Connect).count(), 0, "it does not dial");
    assert_eq!(answers.latencies.of(Latency::Handshake).count(), 1);

    let [peer] = &asks.peers[..] else { panic!("{asks:?}") };
    assert!(peer.dialed && peer.url.starts_with("tcp://127.0.0.1:") && peer.url.ends_with(&peer.remote));
    assert_eq!((peer.stats.sent_messages, peer.stats.received_messages), (10, 10));
    assert_eq!((peer.stats.answers, peer.stats.answer_time), (10, reply.sum()));
    assert_eq!(peer.stats.slowest_answer, reply.max());
    assert_eq!(peer.latencies.of(Latency::Reply), reply);
    assert!(peer.age <= asks.age);

    let [tcp] = &asks.transports[..] else { panic!("{asks:?}") };
    assert_eq!((&*tcp.scheme, tcp.peers, tcp.attached, tcp.stats), ("tcp", 1, 1, peer.stats));
    assert_eq!(tcp.latencies, asks.latencies, "there is no other transport, and nobody waited for room");
    assert!(answers.peers[0].latencies.measured().next().is_none(), "nothing is asked of it");
    let [dialer] = &asks.endpoints[..] else { panic!("{asks:?}") };
    assert_eq!((dialer.dials, dialer.state, dialer.stats.connections), (true, EndpointState::Connected, 1));
    let [listener] = &answers.endpoints[..] else { panic!("{answers:?}") };
    assert_eq!((listener.dials, listener.state), (false, EndpointState::Listening));
    assert_eq!((asks.queues.peers, asks.queues.half_open), (1, 0));
}

#[tokio::test]
async fn those_who_are_gone_stay_in_the_sums_with_their_reason() {
    let push = PushSocket::new();
    let listener = push.listen("tcp://127.0.0.1:0").await.unwrap();
    for round in 1..=3 {
        let pull = PullSocket::new();
        pull.dial(listener.url()).await.unwrap();
        push.wait_peers(1).await.unwrap();
        push.send("a job").await.unwrap();
        pull.recv().await.unwrap();
        pull.close(LONG).await;
        until("it is gone", || push.stats().peers == 0).await;
        let all = push.snapshot();
        assert!(all.peers.is_empty());
        let [tcp] = &all.transports[..] else { panic!("{all:?}") };
        assert_eq!((tcp.peers, tcp.attached, tcp.stats.sent_messages), (0, round, round));
        assert_eq!(all.ledger.detached(DetachReason::PeerClosed), round);
        let lives = all.latencies.of(Latency::Connection);
        assert_eq!(lives.count(), round);
        assert_eq!(
            (all.lives.of(DetachReason::PeerClosed), tcp.latencies.of(Latency::Connection)),
            (lives, lives)
        );
        assert_eq!(all.lives.measured().count(), 1, "no other reason");
    }
    let sub = SubSocket::new();
    let refused = sub.dial(listener.url()).await;
    assert!(matches!(refused, Err(DialError::Refused { why: DetachReason::WrongProtocol, .. })));
    until("it is counted here too", || push.stats().ledger.refused_pipes == 1).await;
    assert_eq!(push.snapshot().ledger.refused(DetachReason::WrongProtocol), 1);
    assert_eq!(sub.snapshot().ledger.refused(DetachReason::WrongProtocol), 1);
    for all in [push.snapshot(), sub.snapshot()] {
        assert_eq!(all.refusals.of(DetachReason::WrongProtocol).count(), 1, "{all:?}");
        assert!(all.refusals.of(DetachReason::WrongProtocol).max() < LONG);
    }
}

#[tokio::test]
async fn answers_of_peers_that_are_gone_stay_with_their_transport_and_the_socket() {
    let survey = SurveySocket::new();
    let tcp = survey.listen("tcp://127.0.0.1:0").await.unwrap();
    let inproc = survey.listen("inproc://watching-answers").await.unwrap();
    let (near, far) = (RespondSocket::new(), RespondSocket::new());
    near.dial(inproc.url()).await.unwrap();
    far.dial(tcp.url()).await.unwrap();
    survey.wait_peers(2).await.unwrap();
    for _ in 0..3 {
        let mut answers = survey.survey("load?").await.unwrap().end_when_all_answered();
        for one in [&near, &far] {
            within(one.recv()).await.unwrap().reply("little").await.unwrap();
        }
        for _ in 0..2 {
            within(answers.next()).await.unwrap();
        }
    }
    let before = survey.snapshot();
    assert!(before.peers.iter().all(|peer| peer.latencies.of(Latency::Answer).count() == 3));
    near.close(LONG).await;
    until("one is left", || survey.stats().peers == 1).await;
    let after = survey.snapshot();
    for all in [&before, &after] {
        assert_eq!(all.latencies.of(Latency::Answer).count(), 6);
        for transport in &all.transports {
            assert_eq!(transport.latencies.of(Latency::Answer).count(), 3, "{}", transport.scheme);
        }
    }
    assert_eq!(before.latencies.of(Latency::Answer), after.latencies.of(Latency::Answer));
    assert_eq!(after.peers.len(), 1);
}

#[tokio::test]
async fn a_sender_without_room_is_seen_and_its_wait_is_measured() {
    for url in ["tcp://127.0.0.1:0", "inproc://watching-room"] {
        let options = Options { outbox_messages: 1, recv_messages: 1, ..Options::default() };
        let (push, pull) = (PushSocket::with(options.clone()), PullSocket::with(options));
        let listener = pull.listen(url).await.unwrap();
        push.dial(listener.url()).await.unwrap();
        let large = vec![0; 4 << 20];
        let filled = within(async {
            let mut sent = 0;
            while push.try_send(large.clone()).is_ok() {
                sent += 1;
                tokio::task::yield_now().await;
            }
            sent
        })
        .await;
        assert_eq!(push.snapshot().latencies.of(Latency::Room).count(), 0, "nobody has waited yet");
        assert!(push.snapshot().queues.outgoing.messages > 0);
        let mut sent = filled;
        let sender = loop {
            let (push, large) = (push.clone(), large.clone());
            let sender = tokio::spawn({
                let push = push.clone();
                async move { push.send(large).await }
            });
            let waits = || push.snapshot().queues.waiting_senders == 1;
            until("it waits or is gone", || sender.is_finished() || waits()).await;
            if !sender.is_finished() {
                break sender;
            }
            // The kernel had taken more meanwhile, so there was room.
            sent += 1;
        };
        until("something came", || pull.snapshot().queues.incoming.messages == 1).await;
        assert_eq!(pull.snapshot().queues.incoming.bytes, large.len());
        for _ in 0..=sent {
            within(pull.recv()).await.unwrap();
        }
        within(sender).await.unwrap().unwrap();
        let all = push.snapshot();
        let waited = all.latencies.of(Latency::Room).count();
        assert!(waited >= 1, "{url}");
        assert_eq!(all.waits.of(Lack::Full).count(), waited, "{url}");
        assert!(all.waits.of(Lack::NoPeer).is_empty(), "{url}");
        assert_eq!(all.queues.waiting_senders, 0, "{url}");
        // One who gives up has waited, too.
        push.disconnect(push.peers()[0].pipe);
        pull.close(LONG).await;
        until("nobody is there", || push.stats().peers == 0).await;
        assert!(push.send_timeout("nobody", Duration::from_millis(1)).await.is_err());
        let all = push.snapshot();
        assert_eq!(all.latencies.of(Latency::Room).count(), waited + 1, "{url}");
        assert_eq!(all.waits.of(Lack::NoPeer).count(), 1, "{url}");
        assert!(all.waits.of(Lack::NoPeer).max() >= Duration::from_millis(1), "{url}");
    }
}

#[tokio::test]
async fn drops_are_counted_for_the_peer_they_came_from() {
    let (publisher, sub) = (PubSocket::new(), SubSocket::new());
    let listener = publisher.listen("inproc://watching-drops").await.unwrap();
    sub.dial(listener.url()).await.unwrap();
    for _ in 0..5 {
        publisher.send("unwanted").await.unwrap();
    }
    until("all have come", || sub.stats().ledger.received_messages == 5).await;
    let all = sub.snapshot();
    assert_eq!(all.ledger.dropped(Dropped::NotSubscribed), 5);
    assert_eq!((all.peers[0].stats.dropped_messages, all.transports[0].stats.dropped_messages), (5, 5));
    assert_eq!(all.transports[0].scheme, "inproc");
}

#[tokio::test]
async fn answers_to_a_survey_are_measured_each() {
    let (asks, answers) = (SurveySocket::new(), RespondSocket::new());
    let listener = asks.listen("tcp://127.0.0.1:0").await.unwrap();
    answers.dial(listener.url()).await.unwrap();
    asks.wait_peers(1).await.unwrap();
    let mut survey = asks.survey("anybody?").await.unwrap();
    answers.recv().await.unwrap().reply("me").await.unwrap();
    assert_eq!(&survey.next().await.unwrap()[..], b"me");
    assert_eq!(asks.snapshot().latencies.of(Latency::Answer).count(), 1);
    assert_eq!(asks.snapshot().peers[0].stats.answers, 1);
}

#[tokio::test]
async fn each_transport_has_its_sum() {
    let pull = PullSocket::new();
    let mut schemes = Vec::new();
    for (scheme, rest) in
        [("tcp", "127.0.0.1:0"), ("abstract", ""), ("inproc", "sums"), ("ws", "127.0.0.1:0/x")]
    {
        let Ok(listener) = pull.listen(&format!("{scheme}://{rest}")).await else {
            assert!(scheme == "abstract" || !cfg!(feature = "ws"), "{scheme}");
            continue;
        };
        schemes.push(scheme);
        let push = PushSocket::new();
        push.dial(listener.url()).await.unwrap();
        push.send("a job").await.unwrap();
        within(pull.recv()).await.unwrap();
        let all = pull.snapshot();
        assert_eq!(all.transports.iter().map(|sum| &*sum.scheme).collect::<Vec<_>>(), schemes);
        assert!(all.transports.iter().all(|sum| (sum.attached, sum.stats.received_messages) == (1, 1)));
        assert_eq!(push.snapshot().transports[0].scheme, scheme);
        let took = push.snapshot().latencies;
        assert_eq!(took.of(Latency::Connect).count(), u64::from(scheme != "inproc"), "{scheme}");
    }
}

/// Lines of Prometheus text as a reader of it sees them: name and labels to value.
fn parse(text: &str) -> BTreeMap<String, f64> {
    let mut values = BTreeMap::new();
    let mut kinds = BTreeMap::new();
    for line in text.lines() {
        if let Some(head) = line.strip_prefix("# TYPE ") {
            let (name, kind) = head.split_once(' ').unwrap();
            assert!(kinds.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} twice");
            continue;
        }
        if line.starts_with("# HELP ") {
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        let name = series.split('{').next().unwrap();
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part));
        let headed = kinds.contains_key(name) || base.is_some_and(|base| kinds[base] == "histogram");
        assert!(headed, "{line}");
        assert!(series.ends_with('}'), "{line}");
        assert!(values.insert(series.to_owned(), value.parse().unwrap()).is_none(), "{series} twice");
    }
    values
}

/// What the text says must be what the socket says.
fn compare(values: &BTreeMap<String, f64>, socket: &Snapshot) {
    let labels = format!("socket=\"{}\",protocol=\"{}\"", socket.name, socket.protocol);
    let of = |series: &str, more: &str| {
        let key = format!("spanwire_{series}{{{labels}{more}}}");
        values.get(&key).copied().unwrap_or_else(|| panic!("no {key}"))
    };
    let ledger = &socket.ledger;
    assert_eq!(of("sent_messages_total", ""), ledger.sent_messages as f64);
    assert_eq!(of("sent_bytes_total", ""), ledger.sent_bytes as f64);
    assert_eq!(of("received_messages_total", ""), ledger.received_messages as f64);
    assert_eq!(of("delivered_messages_total", ""), ledger.delivered_messages as f64);
    assert_eq!(of("attached_pipes_total", ""), ledger.attached_pipes as f64);
    assert_eq!(of("peers", ""), socket.queues.peers as f64);
    for (why, count) in ledger.drops() {
        assert_eq!(of("dropped_messages_total", &format!(",reason=\"{}\"", why.name())), count as f64);
    }
    for (what, spans) in socket.latencies.measured() {
        let what = format!(",what=\"{}\"", what.name());
        assert_eq!(of("latency_seconds_count", &what), spans.count() as f64);
        assert_eq!(of("latency_seconds_bucket", &format!("{what},le=\"+Inf\"")), spans.count() as f64);
        assert!((of("latency_seconds_sum", &what) - spans.sum().as_secs_f64()).abs() < 1e-9);
    }
    for tcp in &socket.transports {
        let label = format!(",transport=\"{}\"", tcp.scheme);
        assert_eq!(of("transport_sent_messages_total", &label), tcp.stats.sent_messages as f64);
        for (what, spans) in tcp.latencies.measured() {
            let labels = format!("{label},what=\"{}\"", what.name());
            assert_eq!(of("transport_latency_seconds_count", &labels), spans.count() as f64);
        }
    }
    let by_reason = [("detached_after", &socket.lives), ("refused_after", &socket.refusals)];
    for (series, (why, spans)) in
        by_reason.iter().flat_map(|(s, all)| all.measured().map(move |one| (s, one)))
    {
        let label = format!(",reason=\"{}\"", why.name());
        assert_eq!(of(&format!("{series}_seconds_count"), &label), spans.count() as f64);
    }
}

#[tokio::test]
async fn a_program_is_looked_at_from_outside() {
    let (req, rep) = pair_up().await;
    exchange(&req, &rep, 20).await;
    watch::expose("outside req", &req).unwrap();
    watch::expose("outside rep", &rep).unwrap();
    let service = watch::serve("tcp://127.0.0.1:0").await.unwrap();
    let viewer = Viewer::connect(service.url()).await.unwrap();
    until("all is counted", || {
        req.peers()[0].stats.sent_messages == 20 && rep.peers()[0].stats.sent_messages == 20
    })
    .await;
    let report = viewer.report(LONG).await.unwrap();
    assert_eq!(report.process, std::process::id());
    assert!(report.program.starts_with("watching"), "{}", report.program);
    for (name, mut here) in [("outside req", req.snapshot()), ("outside rep", rep.snapshot())] {
        let there = report.sockets.iter().find(|socket| socket.name == name).unwrap();
        assert_eq!(there.ledger, here.ledger);
        assert_eq!(there.latencies, here.latencies);
        assert_eq!((&there.transports, &there.endpoints), (&here.transports, &here.endpoints));
        assert_eq!((&there.lives, &there.refusals, &there.waits), (&here.lives, &here.refusals, &here.waits));
        assert_eq!(there.peers[0].stats, here.peers[0].stats);
        assert_eq!(there.peers[0].latencies, here.peers[0].latencies);
        assert!(there.age <= here.age);
        let text = viewer.prometheus(Detail::Sockets, LONG).await.unwrap();
        here.name = name.into();
        compare(&parse(&text), &here);
    }
    let peers = viewer.prometheus(Detail::Peers, LONG).await.unwrap();
    for series in ["spanwire_peer_answers_total{", "spanwire_peer_latency_seconds_bucket{"] {
        assert!(parse(&peers).keys().any(|key| key.starts_with(series)), "{series}");
    }
    // A second look tells how much time has passed there.
    assert!(viewer.report(LONG).await.unwrap().at > report.at);
    rep.close(LONG).await;
    let report = viewer.report(LONG).await.unwrap();
    assert!(report.sockets.iter().all(|socket| socket.name != "outside rep"), "closed sockets are not shown");
}

#[tokio::test]
async fn a_question_that_makes_no_sense_is_answered_and_disturbs_nobody() {
    let service = watch::serve("tcp://127.0.0.1:0").await.unwrap();
    let asks = ReqSocket::new();
    asks.dial(service.url()).await.unwrap();
    for question in [&b""[..], b"report 2", &[0xff; 900]] {
        let answer = within(asks.request(question.to_vec())).await.unwrap();
        assert!(answer.starts_with(b"error: "), "{answer:?}");
    }
    // One that is too long ends its connection, and no other.
    let long = ReqSocket::with(Options { resend_time: None, ..Options::default() });
    long.dial(service.url()).await.unwrap();
    assert!(within(long.request(vec![0; 2_000])).await.is_err());
    let answer = within(asks.request("report 1")).await.unwrap();
    assert!(watch::decode(&answer).is_ok());
}

#[tokio::test]
async fn what_is_no_service_is_told_as_such() {
    let rep = RepSocket::new();
    let listener = rep.listen("tcp://127.0.0.1:0").await.unwrap();
    let viewer = Viewer::connect(listener.url()).await.unwrap();
    let said = async |reply: &'static str| {
        let (report, done) =
            tokio::join!(viewer.report(LONG), async { rep.recv().await.unwrap().reply(reply).await });
        done.unwrap();
        report.unwrap_err()
    };
    assert!(matches!(said("hello").await, ViewError::NotAReport(watch::ReportError::NotAReport)));
    assert!(matches!(said("spanwire-report 9\n").await, ViewError::NotAReport(watch::ReportError::Version)));
    assert!(matches!(said("error: no\n").await, ViewError::Refused(why) if &*why == "no"));
    let nobody = viewer.report(Duration::from_millis(1)).await;
    assert!(matches!(nobody, Err(ViewError::NoAnswer(_))), "{nobody:?}");
    assert!(Viewer::connect("tcp://127.0.0.1:1").await.is_err());
}

#[test]
fn a_program_without_a_runtime_is_looked_at_and_a_dropped_service_is_gone() {
    let pull = blocking::PullSocket::new();
    watch::expose("blocking pull", &pull).unwrap();
    let service = watch::serve_blocking("tcp://127.0.0.1:0").unwrap();
    let url = service.url().to_owned();
    let asks = blocking::ReqSocket::new();
    asks.dial(&url).unwrap();
    let report = watch::decode(&asks.request("report 1\n").unwrap()).unwrap();
    assert!(report.sockets.iter().any(|socket| socket.name == "blocking pull"));
    let events = asks.events();
    drop(service);
    assert!(
        events.into_iter().any(|event| matches!(event, Event::Detached(..))),
        "it closes with its handle"
    );
    assert!(watch::serve_blocking("nowhere").is_err());
}

#[tokio::test]
async fn a_report_of_what_a_program_chooses_needs_no_names() {
    let (req, rep) = pair_up().await;
    exchange(&req, &rep, 3).await;
    let mut report = watch::Report::default();
    report.sockets.push(req.snapshot());
    report.sockets[0].name = "mine".into();
    compare(&parse(&prometheus(&report, Detail::Sockets)), &report.sockets[0]);
}

#[test]
fn the_example_in_the_document_of_the_wire_is_a_report() {
    let document = std::fs::read_to_string("docs/watch-wire.md").unwrap();
    let example = document.split("```").find_map(|block| block.strip_prefix("text\n")).unwrap();
    let report = watch::decode(example.as_bytes()).unwrap();
    assert_eq!(watch::encode(&report), example);
    assert_eq!(report.sockets[0].peers.len(), 1);
}

#[tokio::test]
async fn one_who_asks_and_does_not_read_is_in_nobodys_way() {
    use std::io::{Read, Write};
    let service = watch::serve("tcp://127.0.0.1:0").await.unwrap();
    let address = service.url().strip_prefix("tcp://").unwrap();
    let sockets: Vec<_> = (0..50).map(|_| PullSocket::new()).collect();
    for (n, socket) in sockets.iter().enumerate() {
        watch::expose(&format!("unread {n}"), socket).unwrap();
    }
    let mut rude = std::net::TcpStream::connect(address).unwrap();
    rude.write_all(b"\0SP\0\0\x30\0\0").unwrap();
    rude.read_exact(&mut [0; 8]).unwrap();
    // Some 50 KB an answer: more than the kernel holds for one connection, several times over.
    let question = b"\0\0\0\0\0\0\0\x0e\x80\0\0\x01prometheus";
    let asking = tokio::task::spawn_blocking(move || {
        for _ in 0..1_000 {
            rude.write_all(question).unwrap();
        }
        rude
    });
    let viewer = Viewer::connect(service.url()).await.unwrap();
    for _ in 0..20 {
        viewer.report(LONG).await.unwrap();
    }
    let rude = within(asking).await.unwrap();
    assert_eq!(viewer.report(LONG).await.unwrap().process, std::process::id());
    drop(rude);
}
