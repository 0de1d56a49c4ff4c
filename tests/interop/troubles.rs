//! What goes wrong between libraries, and what has to come of it.

use crate::Outcome;
use crate::address::Transport;
use crate::cases::{self, Case};
use crate::foreign::{Foreign, Library, Received, same, within};
use crate::sockets::Socket;
use crate::talk::{body, expect};
use Library::{Nanomsg, Nng, Pynng};
use spanwire::{
    DetachReason, DialError, DialOptions, Dropped, Event, Events, Options, Pair0Socket, Pair1Socket,
    Protocol, PullSocket, RawSocket, RepSocket, ReqSocket, RespondSocket, Start,
};
use std::time::Duration;

pub(crate) async fn run() {
    let mut cases = Vec::new();
    for library in Library::ALL {
        let name = library.name();
        for (ours, theirs) in STRANGERS.iter().copied().filter(|(_, theirs)| is_known(library, theirs)) {
            let refused = they_dial_the_wrong_pattern(library, ours, theirs);
            cases.push(Case::new(format!("{name}: {theirs} dials our {ours}"), [library], refused));
            let refused = we_dial_the_wrong_pattern(library, ours, theirs);
            cases.push(Case::new(format!("{name}: our {ours} dials {theirs}"), [library], refused));
        }
        let one = [library];
        cases.extend([
            Case::new(format!("{name}: a killed replier"), one, their_replier_dies(library)),
            Case::new(format!("{name}: a closed replier of ours"), one, our_replier_goes(library)),
            Case::new(format!("{name}: we repeat a request"), one, we_repeat_a_request(library)),
            Case::new(format!("{name}: they repeat a request"), one, they_repeat_a_request(library)),
            Case::new(format!("{name}: a second PAIR v0"), one, second_pair(library, "pair0")),
            Case::new(format!("{name}: their PAIR v0 has its peer"), one, their_pair_is_taken(library)),
            Case::new(format!("{name}: a message over our limit"), one, too_large(library)),
        ]);
        if library != Nanomsg {
            cases.push(Case::new(format!("{name}: a second PAIR v1"), one, second_pair(library, "pair1")));
        }
    }
    cases.extend([
        Case::new("a request of eight and of nine hops", [Nng], hops_of_a_request()),
        Case::new("a survey of eight and of nine hops", [Nng], hops_of_a_survey()),
        Case::new("a PAIR v1 message of eight and of nine hops", [Nng], hops_of_a_pair()),
    ]);
    cases::run("troubles", cases).await;
}

/// Ours and theirs that do not belong together.
const STRANGERS: &[(Protocol, &str)] = &[
    (Protocol::Rep, "push"),
    (Protocol::Req, "req"),
    (Protocol::Sub, "pull"),
    (Protocol::Surveyor, "rep"),
    (Protocol::Bus, "pair0"),
    (Protocol::Pair0, "pair1"),
    (Protocol::Pair1, "pair0"),
];

fn is_known(library: Library, pattern: &str) -> bool {
    library != Nanomsg || pattern != "pair1"
}

/// We refuse, and say why; whoever fits is served.
async fn they_dial_the_wrong_pattern(library: Library, ours: Protocol, theirs: &str) -> Outcome {
    let mut peer = Foreign::again(library).await?;
    let socket = RawSocket::new(ours);
    let mut events = socket.events();
    let url = listen(&socket, Transport::Tcp).await?;
    peer.open("wrong", theirs).await?;
    // Some learn that they were refused while they dial, others dial on for ever.
    let _ = peer.dial("wrong", &url).await;
    until(&mut events, |event| {
        matches!(event, Event::Refused(_, DetachReason::WrongProtocol)).then_some(Ok(()))
    })
    .await?;
    let friend = RawSocket::new(ours.peer());
    dial(&friend, &url).await?;
    within("a friend to attach", socket.wait_peers(1)).await?;
    match socket.peers().len() {
        1 => Ok(()),
        other => Err(format!("{other} peers").into()),
    }
}

/// Our dial fails, and says why.
async fn we_dial_the_wrong_pattern(library: Library, ours: Protocol, theirs: &str) -> Outcome {
    let mut peer = Foreign::again(library).await?;
    peer.open("wrong", theirs).await?;
    let url = peer.listen("wrong", &Transport::Ipc.fresh()).await?;
    let socket = RawSocket::new(ours);
    let dialed = within("our dial", async { Ok::<_, &str>(socket.dial(&url).await) }).await?;
    match dialed {
        Err(DialError::Refused { why: DetachReason::WrongProtocol, .. }) if socket.peers().is_empty() => {
            Ok(())
        }
        other => Err(format!("our dial gave {other:?}").into()),
    }
}

/// Our request goes to another foreign replier when the first is killed with it in its hands.
async fn their_replier_dies(library: Library) -> Outcome {
    let ours = ReqSocket::new();
    let mut repliers = Vec::new();
    for transport in [Transport::Tcp, Transport::Ipc] {
        let mut replier = Foreign::again(library).await?;
        replier.open("rep", "rep").await?;
        dial(&ours, &replier.listen("rep", &transport.fresh()).await?).await?;
        repliers.push(replier);
    }
    within("both to attach", ours.wait_peers(2)).await?;
    let question = body(1000, 1);
    let serve = async {
        let at = whoever_has_it(&mut repliers, &question).await?;
        repliers.remove(at).kill().await?;
        let other = &mut repliers[0];
        other.expect("rep", &question).await?;
        other.send("rep", b"it was me").await
    };
    let (reply, served) = tokio::join!(within("our request", ours.request(question.clone())), serve);
    served?;
    same("we", &reply?, b"it was me")?;
    match ours.stats().ledger.resent_messages {
        1 => Ok(()),
        other => Err(format!("{other} requests were sent again").into()),
    }
}

/// Asks all until one has the message.
async fn whoever_has_it(repliers: &mut [Foreign], question: &[u8]) -> Outcome<usize> {
    let found = async {
        loop {
            for (at, replier) in repliers.iter_mut().enumerate() {
                if let Ok(got) = replier.recv_within("rep", Duration::from_millis(50)).await {
                    same("a replier", &got.body, question)?;
                    return Outcome::Ok(at);
                }
            }
        }
    };
    within("the first replier", found).await
}

/// Their request goes to another replier of ours when the first is closed with it in its hands.
async fn our_replier_goes(library: Library) -> Outcome {
    let mut peer = Foreign::again(library).await?;
    peer.open("req", "req").await?;
    let repliers = [RepSocket::new(), RepSocket::new()];
    for replier in &repliers {
        peer.dial("req", &listen(replier, Transport::Tcp).await?).await?;
        within("their request socket", replier.wait_peers(1)).await?;
    }
    let question = body(1000, 2);
    peer.send("req", &question).await?;
    let [one, other] = &repliers;
    let (first, second, request) = tokio::select! {
        request = within("the first replier", one.recv()) => (one, other, request?),
        request = within("the first replier", other.recv()) => (other, one, request?),
    };
    same("the first", &request, &question)?;
    drop(request);
    first.close(Duration::from_secs(1)).await;
    let request = within("the second replier", second.recv()).await?;
    same("the second", &request, &question)?;
    within("our reply", request.reply("it was me")).await?;
    peer.expect("req", b"it was me").await.map(drop)
}

/// A foreign replier that drops a request gets it again after the resend time.
async fn we_repeat_a_request(library: Library) -> Outcome {
    let mut peer = Foreign::again(library).await?;
    peer.open("rep", "rep").await?;
    let ours = ReqSocket::with(Options { resend_time: Some(OFTEN), ..Options::default() });
    dial(&ours, &peer.listen("rep", &Transport::Tcp.fresh()).await?).await?;
    let serve = async {
        for _ in 0..3 {
            peer.expect("rep", b"again?").await?;
        }
        peer.send("rep", b"enough").await
    };
    let (reply, served) = tokio::join!(within("our request", ours.request("again?")), serve);
    served?;
    same("we", &reply?, b"enough")
}

/// Since 1.7, NNG sends an overdue request again and again with the same id. Every copy may be
/// answered; the asker takes one answer, and the next request gets its own.
async fn they_repeat_a_request(library: Library) -> Outcome {
    let mut peer = Foreign::again(library).await?;
    peer.open("req", "req").await?;
    peer.set("req", "req:resend-time", OFTEN).await?;
    if library == Pynng {
        // The others have no such option; it says how often NNG looks for overdue requests.
        peer.set("req", "req:resend-tick", OFTEN).await?;
    }
    let ours = RepSocket::new();
    peer.dial("req", &listen(&ours, Transport::Tcp).await?).await?;
    for question in [&b"first"[..], b"second"] {
        peer.send("req", question).await?;
        let mut copies = Vec::new();
        while copies.len() < 3 {
            let request = within("a copy of the request", ours.recv()).await?;
            // Copies of the first may still come when the second is asked.
            if request[..] == *question {
                copies.push(request);
            }
        }
        for copy in copies {
            within("our reply", copy.reply(question)).await?;
        }
        peer.expect("req", question).await?;
    }
    Ok(())
}

const OFTEN: Duration = Duration::from_millis(50);

/// Our PAIR keeps its first peer and refuses the second.
async fn second_pair(library: Library, pattern: &str) -> Outcome {
    let mut peer = Foreign::again(library).await?;
    peer.open("first", pattern).await?;
    peer.open("second", pattern).await?;
    let (pair0, pair1) = (Pair0Socket::new(), Pair1Socket::new());
    let is_v0 = pattern == "pair0";
    let mut events = if is_v0 { pair0.events() } else { pair1.events() };
    let url = match is_v0 {
        true => listen(&pair0, Transport::Tcp).await?,
        false => listen(&pair1, Transport::Tcp).await?,
    };
    peer.dial("first", &url).await?;
    until(&mut events, |event| matches!(event, Event::Attached(_)).then_some(Ok(()))).await?;
    let _ = peer.dial("second", &url).await;
    until(&mut events, |event| match event {
        Event::Refused(_, DetachReason::Busy) => Some(Ok(())),
        Event::Attached(peer) => Some(Err(format!("{peer:?} was attached"))),
        _ => None,
    })
    .await?;
    peer.send("first", b"still here").await?;
    match is_v0 {
        true => expect(&pair0, b"still here").await.map(drop),
        false => expect(&pair1, b"still here").await.map(drop),
    }
}

/// Their PAIR keeps its first peer; our second one is told that it was sent away.
async fn their_pair_is_taken(library: Library) -> Outcome {
    let mut peer = Foreign::again(library).await?;
    peer.open("pair", "pair0").await?;
    let url = peer.listen("pair", &Transport::Tcp.fresh()).await?;
    let (first, second) = (Pair0Socket::new(), Pair0Socket::new());
    dial(&first, &url).await?;
    within("our send", first.send("first")).await?;
    peer.expect("pair", b"first").await?;
    let mut events = second.events();
    let background = DialOptions { start: Start::Background, ..DialOptions::default() };
    within("our dial", second.dial_with(&url, background)).await?;
    until(&mut events, |event| match event {
        Event::Detached(_, why) | Event::Refused(_, why) if why.is_transient() => Some(Ok(())),
        Event::Detached(_, why) | Event::Refused(_, why) => Some(Err(format!("sent away: {why}"))),
        _ => None,
    })
    .await?;
    peer.send("pair", b"still here").await?;
    expect(&first, b"still here").await.map(drop)
}

/// A message over our limit costs its sender the connection, and is counted; one at the limit passes.
async fn too_large(library: Library) -> Outcome {
    let mut peer = Foreign::again(library).await?;
    let ours = PullSocket::with(Options { max_message_bytes: 1000, ..Options::default() });
    let mut events = ours.events();
    let url = listen(&ours, Transport::Ipc).await?;
    for (name, length) in [("over", 1001), ("at", 1000)] {
        peer.open(name, "push").await?;
        peer.dial(name, &url).await?;
        peer.send(name, &body(length, 1)).await?;
    }
    expect(&ours, &body(1000, 1)).await?;
    until(&mut events, |event| {
        matches!(event, Event::Detached(_, DetachReason::MessageTooLarge)).then_some(Ok(()))
    })
    .await?;
    match ours.stats().ledger.dropped(Dropped::TooLarge) {
        1 => Ok(()),
        other => Err(format!("{other} messages were too large").into()),
    }
}

/// Our REP takes a request of eight tags, its id among them, sends all of them back, and drops one
/// of nine.
async fn hops_of_a_request() -> Outcome {
    let mut peer = Foreign::again(Nng).await?;
    peer.open("req", "req raw").await?;
    let ours = RepSocket::new();
    peer.dial("req", &listen(&ours, Transport::Tcp).await?).await?;
    peer.send_raw("req", &backtrace(9), b"too far").await?;
    peer.send_raw("req", &backtrace(8), b"far").await?;
    let request = within("our recv", ours.recv()).await?;
    same("we", &request, b"far")?;
    within("our reply", request.reply("well")).await?;
    has_header(&peer.expect("req", b"well").await?, &backtrace(8))?;
    dropped_for_its_hops(&ours)
}

async fn hops_of_a_survey() -> Outcome {
    let mut peer = Foreign::again(Nng).await?;
    peer.open("surveyor", "surveyor raw").await?;
    let ours = RespondSocket::new();
    dial(&ours, &peer.listen("surveyor", &Transport::Ipc.fresh()).await?).await?;
    // A raw surveyor asks only those whom it knows.
    let asked = async {
        loop {
            peer.send_raw("surveyor", &backtrace(1), b"knock").await?;
            if ours.recv_timeout(OFTEN).await.is_ok() {
                return Outcome::Ok(());
            }
        }
    };
    within("the first survey", asked).await?;
    peer.send_raw("surveyor", &backtrace(9), b"too far").await?;
    peer.send_raw("surveyor", &backtrace(8), b"far").await?;
    let mut survey = within("our recv", ours.recv()).await?;
    while survey[..] == *b"knock" {
        survey = within("our recv", ours.recv()).await?;
    }
    same("we", &survey, b"far")?;
    within("our answer", survey.reply("well")).await?;
    has_header(&peer.expect("surveyor", b"well").await?, &backtrace(8))?;
    dropped_for_its_hops(&ours)
}

async fn hops_of_a_pair() -> Outcome {
    let mut peer = Foreign::again(Nng).await?;
    peer.open("pair", "pair1 raw").await?;
    let ours = Pair1Socket::new();
    peer.dial("pair", &listen(&ours, Transport::Tcp).await?).await?;
    // It adds one itself.
    peer.send_raw("pair", "00000008", b"too far").await?;
    peer.send_raw("pair", "00000007", b"far").await?;
    expect(&ours, b"far").await?;
    within("our send", ours.send("well")).await?;
    has_header(&peer.expect("pair", b"well").await?, "00000001")?;
    dropped_for_its_hops(&ours)
}

/// A backtrace of so many tags in hex, the id included.
fn backtrace(tags: u32) -> String {
    let hops = (1..tags).map(|hop| format!("{:08x}", hop * 0x0102_0304));
    hops.chain(["8badf00d".to_owned()]).collect()
}

fn has_header(received: &Received, header: &str) -> Outcome {
    match received.header == header {
        true => Ok(()),
        false => Err(format!("it came back with {} instead of {header}", received.header).into()),
    }
}

fn dropped_for_its_hops(ours: &impl Socket) -> Outcome {
    match ours.stats().ledger.dropped(Dropped::HopLimit) {
        1 => Ok(()),
        other => Err(format!("{other} messages were dropped for their hops").into()),
    }
}

/// Waits for the event that `wanted` decides about.
async fn until(events: &mut Events, wanted: impl Fn(&Event) -> Option<Result<(), String>>) -> Outcome {
    let found = async {
        loop {
            let event = events.next().await.ok_or("the socket was closed")?;
            if let Some(found) = wanted(&event) {
                return found;
            }
        }
    };
    within("an event", found).await
}

async fn listen(socket: &impl Socket, transport: Transport) -> Outcome<String> {
    Ok(within("our listen", socket.listen(&transport.fresh())).await?.url().to_owned())
}

async fn dial(socket: &impl Socket, url: &str) -> Outcome {
    within("our dial", socket.dial(url)).await.map(drop)
}
