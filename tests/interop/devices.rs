//! Devices of ours between foreign peers, and in chains with the devices of others.
//!
//! A message keeps its header through all of them: every device adds a tag on the way there, and
//! takes its own away on the way back.

use crate::Outcome;
use crate::address::Transport;
use crate::cases::{self, Case};
use crate::foreign::{Foreign, Library, same, within};
use crate::talk::bodies;
use Library::{Nanomsg, Nng, Pynng};
use spanwire::device::{Device, Direction};
use spanwire::{Protocol, RawSocket};
use std::sync::Mutex;
use std::time::Duration;

pub(crate) async fn run() {
    let cases = vec![
        Case::new("REQ of NNG, device, REP of nanomsg", [Nng, Nanomsg], requests(Nng, Nanomsg)),
        Case::new("REQ of nanomsg, device, REP of pynng", [Nanomsg, Pynng], requests(Nanomsg, Pynng)),
        Case::new("REQ of pynng, device, REP of NNG", [Pynng, Nng], requests(Pynng, Nng)),
        Case::new("REQ, two devices, raw REP of NNG", [Nanomsg, Nng], tags_arrive_as_they_were_made()),
        Case::new("REQ, our, NNG's, nanomsg's and our device, REP", [Nng, Nanomsg, Pynng], mixed_chain()),
        Case::new("SURVEYOR, device, RESPONDENTs", [Nng, Nanomsg, Pynng], surveys()),
        Case::new("PUB, device, SUBs", [Nng, Nanomsg, Pynng], publications()),
        Case::new("PUSH, device, PULL", [Nanomsg, Nng], pipeline(Nanomsg, Nng)),
        Case::new("PUSH, device, PULL the other way", [Pynng, Nanomsg], pipeline(Pynng, Nanomsg)),
        Case::new("PAIR v0, device, PAIR v0", [Nanomsg, Pynng], pairs(Protocol::Pair0, Nanomsg, Pynng)),
        Case::new("PAIR v1, device, PAIR v1", [Nng, Pynng], pairs(Protocol::Pair1, Nng, Pynng)),
        Case::new("BUS, device, BUS", [Nng, Nanomsg], buses()),
        Case::new("hops of PAIR v1 are counted", [Nng, Pynng], hops_of_a_pair()),
    ];
    cases::run("devices", cases).await;
}

/// A request and its reply through one device: two tags there, the same two tags back.
async fn requests(asks: Library, answers: Library) -> Outcome {
    let (mut asker, mut answerer) = (Foreign::again(asks).await?, Foreign::again(answers).await?);
    asker.open("req", "req").await?;
    answerer.open("rep", "rep").await?;
    let [front, back] = raw([Protocol::Rep, Protocol::Req]);
    asker.dial("req", &listen(&front, Transport::Tcp).await?).await?;
    dial(&back, &answerer.listen("rep", &Transport::Ipc.fresh()).await?).await?;

    let seen = through(&front, &back, async {
        for (question, answer) in bodies(1).zip(bodies(2)) {
            asker.send("req", &question).await?;
            answerer.expect("rep", &question).await?;
            answerer.send("rep", &answer).await?;
            asker.expect("req", &answer).await?;
        }
        Ok(())
    })
    .await?;
    for turn in seen.chunks(2) {
        let [(Direction::Forth, forth), (Direction::Back, back)] = turn else {
            return Err(format!("the device saw {turn:?}").into());
        };
        if forth != back || tags(forth)? != 2 {
            return Err(format!("{forth} came back as {back}").into());
        }
    }
    match seen.len() {
        8 => Ok(()),
        other => Err(format!("{other} messages went through instead of 8").into()),
    }
}

/// What arrives behind two devices is what the second of them sent, under the tag of the receiver.
async fn tags_arrive_as_they_were_made() -> Outcome {
    let (mut asker, mut answerer) = (Foreign::again(Nanomsg).await?, Foreign::again(Nng).await?);
    asker.open("req", "req").await?;
    answerer.open("rep", "rep raw").await?;
    let [front, between] = raw([Protocol::Rep, Protocol::Req]);
    let [next, back] = raw([Protocol::Rep, Protocol::Req]);
    dial(&next, &listen(&between, Transport::Tcp).await?).await?;
    asker.dial("req", &listen(&front, Transport::Ipc).await?).await?;
    answerer.dial("rep", &listen(&back, Transport::Abstract).await?).await?;

    let first = Device::new(front, between)?;
    let headers = Mutex::new(Vec::new());
    let seen = tokio::select! {
        why = first.run() => return Err(why.into()),
        seen = through(&next, &back, async {
            for (question, answer) in bodies(1).zip(bodies(2)) {
                asker.send("req", &question).await?;
                let request = answerer.expect("rep", &question).await?;
                answerer.send_raw("rep", &request.header, &answer).await?;
                headers.lock().unwrap().push(request.header);
                asker.expect("req", &answer).await?;
            }
            Ok(())
        }) => seen?,
    };
    for (turn, arrived) in seen.chunks(2).zip(headers.into_inner()?) {
        // Eight digits are a tag; the first is the pipe of the raw REP that received it.
        if turn[0].1 != turn[1].1 || turn[0].1 != arrived[8..] || tags(&arrived)? != 4 {
            return Err(format!("{arrived} arrived, and the device saw {turn:?}").into());
        }
    }
    Ok(())
}

/// Devices of every library one behind the other.
async fn mixed_chain() -> Outcome {
    let mut asker = Foreign::again(Nng).await?;
    let mut nng = Foreign::again(Nng).await?;
    let mut nanomsg = Foreign::again(Nanomsg).await?;
    let mut answerer = Foreign::again(Pynng).await?;
    let [front, between] = raw([Protocol::Rep, Protocol::Req]);
    let [next, back] = raw([Protocol::Rep, Protocol::Req]);

    asker.open("req", "req").await?;
    asker.dial("req", &listen(&front, Transport::Tcp).await?).await?;
    nng.open("rep", "rep raw").await?;
    nng.open("req", "req raw").await?;
    dial(&between, &nng.listen("rep", &Transport::Ipc.fresh()).await?).await?;
    nanomsg.open("rep", "rep raw").await?;
    nanomsg.open("req", "req raw").await?;
    nng.dial("req", &nanomsg.listen("rep", &Transport::Tcp.fresh()).await?).await?;
    dial(&next, &nanomsg.listen("req", &Transport::Ipc.fresh()).await?).await?;
    answerer.open("rep", "rep").await?;
    answerer.dial("rep", &listen(&back, Transport::Tcp).await?).await?;
    nng.device("rep", "req").await?;
    nanomsg.device("rep", "req").await?;

    let first = Device::new(front, between)?;
    let seen = tokio::select! {
        why = first.run() => return Err(why.into()),
        seen = through(&next, &back, async {
            for (question, answer) in bodies(1).zip(bodies(2)) {
                asker.send("req", &question).await?;
                answerer.expect("rep", &question).await?;
                answerer.send("rep", &answer).await?;
                asker.expect("req", &answer).await?;
            }
            Ok(())
        }) => seen?,
    };
    for turn in seen.chunks(2) {
        if turn[0].1 != turn[1].1 || tags(&turn[0].1)? != 5 {
            return Err(format!("the last device saw {turn:?}").into());
        }
    }
    Ok(())
}

async fn surveys() -> Outcome {
    let mut asker = Foreign::again(Pynng).await?;
    asker.open("surveyor", "surveyor").await?;
    asker.set("surveyor", "surveyor:survey-time", crate::foreign::STEP).await?;
    let [front, back] = raw([Protocol::Respondent, Protocol::Surveyor]);
    asker.dial("surveyor", &listen(&front, Transport::Tcp).await?).await?;
    let mut answerers = [Foreign::again(Nng).await?, Foreign::again(Nanomsg).await?];
    for answerer in &mut answerers {
        answerer.open("respondent", "respondent").await?;
        dial(&back, &answerer.listen("respondent", &Transport::Tcp.fresh()).await?).await?;
    }
    within("both to attach", back.wait_peers(2)).await?;

    through(&front, &back, async {
        // A survey asks only those whom the surveyor knows.
        let first = &mut answerers[0];
        let asked = async {
            loop {
                asker.send("surveyor", b"knock").await?;
                if first.recv_within("respondent", KNOCK).await.is_ok() {
                    return Outcome::Ok(());
                }
            }
        };
        within("the first survey", asked).await?;
        for question in bodies(1) {
            asker.send("surveyor", &question).await?;
            let mut wanted = Vec::new();
            for answerer in &mut answerers {
                let mut got = answerer.recv("respondent").await?;
                while got.body == b"knock" {
                    got = answerer.recv("respondent").await?;
                }
                same("a respondent", &got.body, &question)?;
                let answer = [answerer.library.name().as_bytes(), &question].concat();
                answerer.send("respondent", &answer).await?;
                wanted.push(answer);
            }
            for _ in 0..2 {
                let got = asker.recv("surveyor").await?.body;
                let at = wanted.iter().position(|answer| *answer == got).ok_or("an answer of nobody")?;
                wanted.remove(at);
            }
        }
        Ok(())
    })
    .await
    .map(drop)
}

async fn publications() -> Outcome {
    let mut publisher = Foreign::again(Nng).await?;
    publisher.open("pub", "pub").await?;
    let [front, back] = raw([Protocol::Sub, Protocol::Pub]);
    dial(&front, &publisher.listen("pub", &Transport::Abstract.fresh()).await?).await?;
    let mut subscribers = [Foreign::again(Nanomsg).await?, Foreign::again(Pynng).await?];
    let url = listen(&back, Transport::Tcp).await?;
    for subscriber in &mut subscribers {
        subscriber.open("sub", "sub").await?;
        subscriber.subscribe("sub", b"").await?;
        subscriber.dial("sub", &url).await?;
    }
    within("both to attach", back.wait_peers(2)).await?;
    through(&front, &back, async {
        for subscriber in &mut subscribers {
            rouse((&mut publisher, "pub"), (subscriber, "sub")).await?;
        }
        // What was sent to rouse the second has reached the first as well.
        subscribers[0].subscribe("sub", b"news").await?;
        subscribers[0].unsubscribe("sub", b"").await?;
        for body in bodies(1) {
            let news = [b"news", &body[..]].concat();
            publisher.send("pub", &news).await?;
            for subscriber in &mut subscribers {
                let mut got = subscriber.recv("sub").await?;
                while !got.body.starts_with(b"news") {
                    got = subscriber.recv("sub").await?;
                }
                same(subscriber.library.name(), &got.body, &news)?;
            }
        }
        Ok(())
    })
    .await
    .map(drop)
}

async fn pipeline(sends: Library, receives: Library) -> Outcome {
    let (mut push, mut pull) = (Foreign::again(sends).await?, Foreign::again(receives).await?);
    push.open("push", "push").await?;
    pull.open("pull", "pull").await?;
    let [front, back] = raw([Protocol::Pull, Protocol::Push]);
    push.dial("push", &listen(&front, Transport::Ipc).await?).await?;
    dial(&back, &pull.listen("pull", &Transport::Tcp.fresh()).await?).await?;
    through(&front, &back, async {
        for body in bodies(1) {
            push.send("push", &body).await?;
            pull.expect("pull", &body).await?;
        }
        Ok(())
    })
    .await
    .map(drop)
}

async fn pairs(protocol: Protocol, one: Library, other: Library) -> Outcome {
    let (mut one, mut other) = (Foreign::again(one).await?, Foreign::again(other).await?);
    let pattern = if protocol == Protocol::Pair0 { "pair0" } else { "pair1" };
    one.open("pair", pattern).await?;
    other.open("pair", pattern).await?;
    let [front, back] = raw([protocol, protocol]);
    one.dial("pair", &listen(&front, Transport::Tcp).await?).await?;
    dial(&back, &other.listen("pair", &Transport::Ipc.fresh()).await?).await?;
    through(&front, &back, async {
        for (forth, back) in bodies(1).zip(bodies(2)) {
            one.send("pair", &forth).await?;
            other.expect("pair", &forth).await?;
            other.send("pair", &back).await?;
            one.expect("pair", &back).await?;
        }
        Ok(())
    })
    .await
    .map(drop)
}

async fn buses() -> Outcome {
    let (mut one, mut other) = (Foreign::again(Nng).await?, Foreign::again(Nanomsg).await?);
    one.open("bus", "bus").await?;
    other.open("bus", "bus").await?;
    let [front, back] = raw([Protocol::Bus, Protocol::Bus]);
    one.dial("bus", &listen(&front, Transport::Tcp).await?).await?;
    other.dial("bus", &listen(&back, Transport::Ipc).await?).await?;
    within("one to attach", front.wait_peers(1)).await?;
    within("the other to attach", back.wait_peers(1)).await?;
    through(&front, &back, async {
        rouse((&mut one, "bus"), (&mut other, "bus")).await?;
        rouse((&mut other, "bus"), (&mut one, "bus")).await?;
        for (forth, back) in bodies(1).zip(bodies(2)) {
            one.send("bus", &forth).await?;
            other.expect("bus", &forth).await?;
            other.send("bus", &back).await?;
            one.expect("bus", &back).await?;
        }
        Ok(())
    })
    .await
    .map(drop)
}

/// A raw PAIR v1 of NNG sees that a message made two hops.
async fn hops_of_a_pair() -> Outcome {
    let (mut one, mut other) = (Foreign::again(Pynng).await?, Foreign::again(Nng).await?);
    one.open("pair", "pair1").await?;
    other.open("pair", "pair1 raw").await?;
    let [front, back] = raw([Protocol::Pair1, Protocol::Pair1]);
    one.dial("pair", &listen(&front, Transport::Tcp).await?).await?;
    dial(&back, &other.listen("pair", &Transport::Ipc.fresh()).await?).await?;
    let seen = through(&front, &back, async {
        one.send("pair", b"hop").await?;
        match &*other.expect("pair", b"hop").await?.header {
            "00000002" => Ok(()),
            header => Err(format!("it arrived with {header}").into()),
        }
    })
    .await?;
    match &*seen[0].1 {
        "00000001" => Ok(()),
        header => Err(format!("our device saw {header}").into()),
    }
}

/// Runs a device while `talk` goes on; returns which way each message went, and its header in hex.
async fn through(
    front: &RawSocket,
    back: &RawSocket,
    talk: impl Future<Output = Outcome>,
) -> Outcome<Vec<(Direction, String)>> {
    let seen = Mutex::new(Vec::new());
    let device = Device::new(front.clone(), back.clone())?.tap(|direction, message| {
        seen.lock().unwrap().push((direction, hex(message.header().as_slice())));
    });
    tokio::select! {
        why = device.run() => return Err(why.into()),
        done = talk => done?,
    }
    drop(device);
    let deadline = Duration::from_secs(1);
    tokio::join!(front.close(deadline), back.close(deadline));
    Ok(seen.into_inner()?)
}

/// Sends until something arrives, and takes all of it away.
async fn rouse(from: (&mut Foreign, &str), to: (&mut Foreign, &str)) -> Outcome {
    let heard = async {
        loop {
            from.0.send(from.1, b"knock").await?;
            if to.0.recv_within(to.1, KNOCK).await.is_ok() {
                break;
            }
        }
        from.0.send(from.1, b"in").await?;
        while to.0.recv(to.1).await?.body != b"in" {}
        Outcome::Ok(())
    };
    within("the first message", heard).await
}

const KNOCK: Duration = Duration::from_millis(50);

fn raw(protocols: [Protocol; 2]) -> [RawSocket; 2] {
    protocols.map(RawSocket::new)
}

async fn listen(socket: &RawSocket, transport: Transport) -> Outcome<String> {
    let listener = within("our listen", socket.listen(&transport.fresh())).await?;
    Ok(listener.url().to_owned())
}

async fn dial(socket: &RawSocket, url: &str) -> Outcome {
    within("our dial", socket.dial(url)).await.map(drop)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// How many tags there are in a backtrace: only the last may have its top bit set, and must.
fn tags(header: &str) -> Outcome<usize> {
    let tags: Vec<u32> = (0..header.len() / 8)
        .map(|n| u32::from_str_radix(&header[8 * n..8 * n + 8], 16))
        .collect::<Result<_, _>>()?;
    let ends = tags.iter().position(|tag| tag >> 31 == 1);
    match ends {
        Some(at) if at + 1 == tags.len() && header.len() % 8 == 0 => Ok(tags.len()),
        _ => Err(format!("{header} is no backtrace").into()),
    }
}
