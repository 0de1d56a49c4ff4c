//! What is said in one cell of the matrix: bodies of every size in every direction that the pattern
//! has, compared byte for byte where they arrive.

use crate::Outcome;
use crate::foreign::{Foreign, STEP, same, within};
use crate::matrix::{Cell, Listens, Ours};
use crate::sockets::{Receives, Sends, Socket};
use spanwire::{
    BusSocket, Message, Pair0Socket, Pair1Socket, PipeId, PolySocket, PubSocket, PullSocket, PushSocket,
    RecvError, RepSocket, ReqSocket, Request, RespondSocket, SubSocket, SurveySocket,
};
use std::time::Duration;

/// What the foreign socket is called.
const THEM: &str = "them";

/// How long we wait for the answer to one knock before we knock again.
const KNOCK: Duration = Duration::from_millis(50);

/// Runs a cell.
pub(crate) async fn talk(cell: &Cell, peer: &mut Foreign) -> Outcome {
    peer.open(THEM, cell.ours.theirs()).await?;
    match cell.ours {
        Ours::Req => {
            let ours = ReqSocket::new();
            join(&ours, cell, peer).await?;
            ask(&ours, peer).await?;
            leave(ours).await
        }
        Ours::Rep => {
            let ours = RepSocket::new();
            join(&ours, cell, peer).await?;
            answer(&ours, peer).await?;
            leave(ours).await
        }
        Ours::Pub => {
            peer.subscribe(THEM, b"").await?;
            let ours = PubSocket::new();
            join(&ours, cell, peer).await?;
            tell(&ours, peer).await?;
            publish_by_topic(&ours, peer).await?;
            leave(ours).await
        }
        Ours::Sub => {
            let ours = SubSocket::new();
            ours.subscribe("");
            join(&ours, cell, peer).await?;
            knock(&ours, peer).await?;
            hear(&ours, peer).await?;
            subscribe_by_topic(&ours, peer).await?;
            ours.close(Duration::from_secs(1)).await;
            Ok(())
        }
        Ours::Push => {
            let ours = PushSocket::new();
            join(&ours, cell, peer).await?;
            tell(&ours, peer).await?;
            leave(ours).await
        }
        Ours::Pull => {
            let ours = PullSocket::new();
            join(&ours, cell, peer).await?;
            hear(&ours, peer).await?;
            leave(ours).await
        }
        Ours::Surveyor => {
            let ours = SurveySocket::new();
            join(&ours, cell, peer).await?;
            survey(&ours, peer).await?;
            leave(ours).await
        }
        Ours::Respondent => {
            peer.set(THEM, "surveyor:survey-time", STEP).await?;
            let ours = RespondSocket::new();
            join(&ours, cell, peer).await?;
            respond(&ours, peer).await?;
            ours.close(Duration::from_secs(1)).await;
            Ok(())
        }
        Ours::Bus => {
            let ours = BusSocket::new();
            join(&ours, cell, peer).await?;
            knock(&ours, peer).await?;
            hear(&ours, peer).await?;
            tell(&ours, peer).await?;
            leave(ours).await
        }
        Ours::Pair0 => {
            let ours = Pair0Socket::new();
            join(&ours, cell, peer).await?;
            tell(&ours, peer).await?;
            hear(&ours, peer).await?;
            leave(ours).await
        }
        Ours::Pair1 => {
            let ours = Pair1Socket::new();
            join(&ours, cell, peer).await?;
            tell(&ours, peer).await?;
            hear(&ours, peer).await?;
            leave(ours).await
        }
        Ours::Poly => two_of_theirs(cell, peer).await,
        Ours::Pair1OfPoly => two_of_ours(cell, peer).await,
    }
}

/// Connects, in the direction that the cell says.
async fn join(ours: &impl Socket, cell: &Cell, peer: &mut Foreign) -> Outcome {
    let url = cell.transport.fresh();
    match cell.listens {
        Listens::We => {
            let listener = within("our listen", ours.listen(&url)).await?;
            peer.dial(THEM, listener.url()).await?;
        }
        Listens::They => {
            let url = peer.listen(THEM, &url).await?;
            within("our dial", ours.dial(&url)).await?;
        }
    }
    within("a peer to attach", ours.wait_peers(1)).await
}

/// Closes; in the cells that end with this nothing may have been lost on our side.
async fn leave(ours: impl Socket) -> Outcome {
    let drops: Vec<_> = ours.stats().ledger.drops().collect();
    let report =
        within("our close", async { Ok::<_, &str>(ours.close(Duration::from_secs(1)).await) }).await?;
    match drops.is_empty() && report.abandoned == 0 {
        true => Ok(()),
        false => Err(format!("we dropped {drops:?}, and at the end {report:?}").into()),
    }
}

/// The bodies of one direction: every length, and bytes that differ from any other body's.
pub(crate) fn bodies(direction: u64) -> impl Iterator<Item = Vec<u8>> {
    LENGTHS.iter().map(move |&length| body(length, direction))
}

const LENGTHS: [usize; 4] = [0, 1, 64 * 1024, 1024 * 1024];

const FORTH: u64 = 1;
const BACK: u64 = 2;

/// Bytes that look random and depend on their place, so that no swapped or repeated part of them
/// goes unseen.
pub(crate) fn body(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed ^ length as u64;
    let words = std::iter::repeat_with(|| {
        // Knuth's MMIX generator; its high half is the good one.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 32) as u32).to_be_bytes()
    });
    let mut bytes: Vec<u8> = words.take(length.div_ceil(4)).flatten().collect();
    bytes.truncate(length);
    bytes
}

/// We send, they receive.
async fn tell(ours: &impl Sends, peer: &mut Foreign) -> Outcome {
    for body in bodies(FORTH) {
        within("our send", ours.send(body.clone().into())).await?;
        peer.expect(THEM, &body).await?;
    }
    Ok(())
}

/// They send, we receive.
async fn hear(ours: &impl Receives, peer: &mut Foreign) -> Outcome {
    for body in bodies(BACK) {
        peer.send(THEM, &body).await?;
        expect(ours, &body).await?;
    }
    Ok(())
}

pub(crate) async fn expect(ours: &impl Receives, body: &[u8]) -> Outcome<Message> {
    let message = within("our recv", ours.recv(STEP)).await?;
    same("we", &message, body)?;
    Ok(message)
}

/// A peer that sends to whoever is there may not know yet that we are: it sends until something
/// arrives, then a last word, and everything up to that is taken away.
pub(crate) async fn knock_on(ours: &impl Receives, peer: &mut Foreign, name: &str) -> Outcome {
    let heard = async {
        loop {
            peer.send(name, b"knock").await?;
            match ours.recv(KNOCK).await {
                Ok(_) => break,
                Err(RecvError::TimedOut) => {}
                Err(error) => return Err(error.into()),
            }
        }
        peer.send(name, b"in").await?;
        while ours.recv(STEP).await?[..] != *b"in" {}
        Outcome::Ok(())
    };
    within("the first message", heard).await
}

async fn knock(ours: &impl Receives, peer: &mut Foreign) -> Outcome {
    knock_on(ours, peer, THEM).await
}

async fn ask(ours: &ReqSocket, peer: &mut Foreign) -> Outcome {
    for (question, answer) in bodies(FORTH).zip(bodies(BACK)) {
        let serve = async {
            peer.expect(THEM, &question).await?;
            peer.send(THEM, &answer).await
        };
        let request = within("our request", ours.request(question.clone()));
        let (reply, served) = tokio::join!(request, serve);
        served?;
        same("we", &reply?, &answer)?;
    }
    Ok(())
}

async fn answer(ours: &RepSocket, peer: &mut Foreign) -> Outcome {
    for (question, answer) in bodies(BACK).zip(bodies(FORTH)) {
        peer.send(THEM, &question).await?;
        let request = within("our recv", ours.recv()).await?;
        same("we", &request, &question)?;
        within("our reply", request.reply(answer.clone())).await?;
        peer.expect(THEM, &answer).await?;
    }
    Ok(())
}

async fn survey(ours: &SurveySocket, peer: &mut Foreign) -> Outcome {
    for (question, answer) in bodies(FORTH).zip(bodies(BACK)) {
        let survey = within("our survey", ours.survey_within(question.clone(), STEP)).await?;
        peer.expect(THEM, &question).await?;
        peer.send(THEM, &answer).await?;
        let answers = survey.end_when_all_answered().collect();
        let answers = within("the answers", async { Ok::<_, &str>(answers.await) }).await?;
        let [got] = &answers[..] else { return Err(format!("{} answers", answers.len()).into()) };
        same("we", got, &answer)?;
    }
    Ok(())
}

async fn respond(ours: &RespondSocket, peer: &mut Foreign) -> Outcome {
    let next = async |timeout| -> Result<Request, RecvError> { ours.recv_timeout(timeout).await };
    // A survey asks only those whom the surveyor knows.
    let asked = async {
        loop {
            peer.send(THEM, b"knock").await?;
            match next(KNOCK).await {
                Ok(_) => break,
                Err(RecvError::TimedOut) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Outcome::Ok(())
    };
    within("the first survey", asked).await?;
    for (question, answer) in bodies(BACK).zip(bodies(FORTH)) {
        peer.send(THEM, &question).await?;
        let survey = loop {
            let survey = within("our recv", next(STEP)).await?;
            // Knocks that were on their way.
            if survey[..] != *b"knock" {
                break survey;
            }
        };
        same("we", &survey, &question)?;
        within("our answer", survey.reply(answer.clone())).await?;
        peer.expect(THEM, &answer).await?;
    }
    Ok(())
}

/// They subscribe: what does not match never gets past them.
async fn publish_by_topic(ours: &PubSocket, peer: &mut Foreign) -> Outcome {
    peer.subscribe(THEM, b"topic/\0\xff").await?;
    peer.unsubscribe(THEM, b"").await?;
    for unwanted in [&b"topic/"[..], b"other", b""] {
        within("our send", ours.send(unwanted)).await?;
    }
    within("our send", ours.send(&b"topic/\0\xff and more"[..])).await?;
    peer.expect(THEM, b"topic/\0\xff and more").await.map(drop)
}

/// We subscribe.
async fn subscribe_by_topic(ours: &SubSocket, peer: &mut Foreign) -> Outcome {
    ours.subscribe(b"topic/\0\xff");
    ours.unsubscribe("")?;
    for unwanted in [&b"topic/"[..], b"other", b""] {
        peer.send(THEM, unwanted).await?;
    }
    peer.send(THEM, b"topic/\0\xff and more").await?;
    expect(ours, b"topic/\0\xff and more").await?;
    match ours.stats().ledger.dropped(spanwire::Dropped::NotSubscribed) {
        3 => Ok(()),
        other => Err(format!("{other} messages were not subscribed, instead of 3").into()),
    }
}

/// Our polyamorous socket tells its two peers apart, and each gets what is meant for it.
async fn two_of_theirs(cell: &Cell, peer: &mut Foreign) -> Outcome {
    const OTHER: &str = "other";
    peer.open(OTHER, "pair1").await?;
    let ours = PolySocket::new();
    join(&ours, cell, peer).await?;
    let url = cell.transport.fresh();
    match cell.listens {
        Listens::We => {
            let listener = within("our listen", Socket::listen(&ours, &url)).await?;
            peer.dial(OTHER, listener.url()).await?;
        }
        Listens::They => {
            let url = peer.listen(OTHER, &url).await?;
            within("our dial", Socket::dial(&ours, &url)).await?;
        }
    }
    within("both peers to attach", ours.wait_peers(2)).await?;
    let mut pipes: Vec<PipeId> = Vec::new();
    for name in [THEM, OTHER] {
        peer.send(name, name.as_bytes()).await?;
        pipes.extend(expect(&ours, name.as_bytes()).await?.pipe());
    }
    let [them, other] = pipes[..] else { return Err("a message without its pipe".into()) };
    for (mine, yours) in bodies(FORTH).zip(bodies(BACK)) {
        within("our send", ours.send(Message::from(mine.clone()).to(them))).await?;
        within("our send", ours.send(Message::from(yours.clone()).to(other))).await?;
        peer.expect(THEM, &mine).await?;
        peer.expect(OTHER, &yours).await?;
    }
    for (name, pipe) in [(THEM, them), (OTHER, other)] {
        for body in bodies(BACK) {
            peer.send(name, &body).await?;
            let from = expect(&ours, &body).await?.pipe();
            if from != Some(pipe) {
                return Err(format!("a message of {pipe:?} came from {from:?}").into());
            }
        }
    }
    // Whoever was attached first gets what is for nobody in particular.
    within("our send", ours.send("whoever")).await?;
    peer.expect(THEM, b"whoever").await?;
    leave(ours).await
}

/// Their polyamorous socket, and two plain ones of ours that do not know.
async fn two_of_ours(cell: &Cell, peer: &mut Foreign) -> Outcome {
    let (first, second) = (Pair1Socket::new(), Pair1Socket::new());
    let mut pipes = Vec::new();
    for ours in [&first, &second] {
        join(ours, cell, peer).await?;
        within("our send", ours.send("here I am")).await?;
        pipes.push(peer.expect(THEM, b"here I am").await?.pipe);
    }
    for (ours, pipe) in [(&first, pipes[0]), (&second, pipes[1])] {
        tell(ours, peer).await?;
        for body in bodies(BACK) {
            peer.send_to(THEM, pipe, &body).await?;
            expect(ours, &body).await?;
        }
    }
    leave(first).await?;
    leave(second).await
}
