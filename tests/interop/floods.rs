//! Many messages, many peers, and peers that do not read: order, routing and back-pressure.

use crate::Outcome;
use crate::address::Transport;
use crate::cases::{self, Case};
use crate::foreign::{Foreign, Library, STEP, same, within};
use crate::talk::{body, expect};
use futures_util::future::try_join_all;
use spanwire::{Options, Pair0Socket, PubSocket, PullSocket, PushSocket, RepSocket, ReqSocket, SendError};
use std::time::Duration;

pub(crate) async fn run() {
    let mut cases = Vec::new();
    for library in Library::ALL {
        let (name, one) = (library.name(), [library]);
        cases.extend([
            Case::new(format!("{name}: we push many"), one, we_push_many(library)),
            Case::new(format!("{name}: they push many"), one, they_push_many(library)),
            Case::new(format!("{name}: many both ways"), one, both_ways(library)),
            Case::new(format!("{name}: many requests of ours at once"), one, many_of_our_requests(library)),
            Case::new(format!("{name}: many askers"), one, many_askers(library)),
            Case::new(format!("{name}: many subscribers"), one, many_subscribers(library)),
            Case::new(format!("{name}: many workers"), one, many_workers(library)),
            Case::new(format!("{name}: a worker that does not read"), one, nobody_reads(library)),
            Case::new(format!("{name}: we close behind our messages"), one, close_sends_the_rest(library)),
            Case::new(format!("{name}: large ones"), one, large_ones(library)),
        ]);
    }
    cases::run("floods", cases).await;
}

const MANY: usize = 1000;

/// Lengths that put frame borders into every place of a read.
fn nth(n: usize) -> Vec<u8> {
    let mut bytes = body(n * 37 % 701, n as u64);
    bytes.extend((n as u32).to_be_bytes());
    bytes
}

async fn we_push_many(library: Library) -> Outcome {
    let mut peer = Foreign::again(library).await?;
    peer.open("pull", "pull").await?;
    let ours = PushSocket::new();
    within("our dial", ours.dial(&peer.listen("pull", &Transport::Tcp.fresh()).await?)).await?;
    let send = async {
        within("our sends", ours.send_many((0..MANY).map(nth))).await?;
        Outcome::Ok(())
    };
    let receive = async {
        for n in 0..MANY {
            peer.expect("pull", &nth(n)).await?;
        }
        Ok(())
    };
    let (sent, received) = tokio::join!(send, receive);
    received.and(sent)
}

async fn they_push_many(library: Library) -> Outcome {
    let mut peer = Foreign::again(library).await?;
    peer.open("push", "push").await?;
    let ours = PullSocket::new();
    let listener = within("our listen", ours.listen(&Transport::Ipc.fresh())).await?;
    peer.dial("push", listener.url()).await?;
    // All of them are sent before the first is taken.
    for n in 0..MANY {
        peer.send("push", &nth(n)).await?;
    }
    for n in 0..MANY {
        expect(&ours, &nth(n)).await?;
    }
    Ok(())
}

async fn both_ways(library: Library) -> Outcome {
    let mut peer = Foreign::again(library).await?;
    peer.open("pair", "pair0").await?;
    let ours = Pair0Socket::new();
    let listener = within("our listen", ours.listen(&Transport::Tcp.fresh())).await?;
    peer.dial("pair", listener.url()).await?;
    let send = async {
        within("our sends", ours.send_many((0..MANY).map(nth))).await?;
        Outcome::Ok(())
    };
    let receive = async {
        for n in 0..MANY {
            expect(&ours, &nth(n)).await?;
        }
        Outcome::Ok(())
    };
    let theirs = async {
        for n in 0..MANY {
            peer.send("pair", &nth(n)).await?;
            peer.expect("pair", &nth(n)).await?;
        }
        Outcome::Ok(())
    };
    let (sent, received, theirs) = tokio::join!(send, receive, theirs);
    theirs.and(sent).and(received)
}

/// They all are in flight while the other side answers one after the other.
async fn many_of_our_requests(library: Library) -> Outcome {
    const REQUESTS: usize = 100;
    let mut peer = Foreign::again(library).await?;
    peer.open("rep", "rep").await?;
    let ours = ReqSocket::new();
    within("our dial", ours.dial(&peer.listen("rep", &Transport::Tcp.fresh()).await?)).await?;
    let ask = try_join_all((0..REQUESTS).map(|n| {
        let ours = &ours;
        async move {
            let reply = within("a request", ours.request(nth(n))).await?;
            same("a request", &reply, &nth(n))
        }
    }));
    let serve = async {
        for _ in 0..REQUESTS {
            let request = peer.recv("rep").await?.body;
            peer.send("rep", &request).await?;
        }
        Outcome::Ok(())
    };
    let (asked, served) = tokio::join!(ask, serve);
    served.and(asked.map(drop))
}

/// We hold all requests, and answer the last one first: each answer finds its asker.
async fn many_askers(library: Library) -> Outcome {
    let mut peer = Foreign::again(library).await?;
    let ours = RepSocket::new();
    let listener = within("our listen", ours.listen(&Transport::Tcp.fresh())).await?;
    let mut requests = Vec::new();
    for n in 0..ASKERS {
        let name = format!("req{n}");
        peer.open(&name, "req").await?;
        peer.dial(&name, listener.url()).await?;
        peer.send(&name, &nth(n)).await?;
        requests.push(within("our recv", ours.recv()).await?);
    }
    for request in requests.into_iter().rev() {
        let reply = request.to_vec();
        within("our reply", request.reply(reply)).await?;
    }
    for n in 0..ASKERS {
        peer.expect(&format!("req{n}"), &nth(n)).await?;
    }
    Ok(())
}

const ASKERS: usize = 20;

async fn many_subscribers(library: Library) -> Outcome {
    // Fewer than the 128 that wait in a SUB of NNG.
    const MESSAGES: usize = 100;
    let mut peer = Foreign::again(library).await?;
    let ours = PubSocket::new();
    let listener = within("our listen", ours.listen(&Transport::Ipc.fresh())).await?;
    let names: Vec<_> = (0..5).map(|n| format!("sub{n}")).collect();
    for name in &names {
        peer.open(name, "sub").await?;
        peer.subscribe(name, b"").await?;
        peer.dial(name, listener.url()).await?;
    }
    within("all to attach", ours.wait_peers(names.len())).await?;
    within("our sends", ours.send_many((0..MESSAGES).map(nth))).await?;
    for name in &names {
        for n in 0..MESSAGES {
            peer.expect(name, &nth(n)).await?;
        }
    }
    Ok(())
}

/// Every job goes to exactly one worker.
async fn many_workers(library: Library) -> Outcome {
    const JOBS: usize = 90;
    let mut peer = Foreign::again(library).await?;
    let ours = PushSocket::new();
    let listener = within("our listen", ours.listen(&Transport::Tcp.fresh())).await?;
    let names = ["pull0", "pull1", "pull2"];
    for name in names {
        peer.open(name, "pull").await?;
        peer.dial(name, listener.url()).await?;
    }
    within("all to attach", ours.wait_peers(names.len())).await?;
    within("our sends", ours.send_many((0..JOBS).map(nth))).await?;
    let mut missing: Vec<_> = (0..JOBS).map(nth).collect();
    let receive = async {
        while !missing.is_empty() {
            for name in names {
                while let Ok(got) = peer.recv_within(name, Duration::from_millis(20)).await {
                    let at = missing.iter().position(|job| *job == got.body).ok_or("a job done twice")?;
                    missing.remove(at);
                }
            }
        }
        Outcome::Ok(())
    };
    within("all jobs", receive).await
}

/// We stop when the other side is full, and what we sent until then arrives.
async fn nobody_reads(library: Library) -> Outcome {
    let mut peer = Foreign::again(library).await?;
    peer.open("pull", "pull").await?;
    let patience = Some(Duration::from_millis(300));
    let ours = PushSocket::with(Options { send_timeout: patience, ..Options::default() });
    within("our dial", ours.dial(&peer.listen("pull", &Transport::Ipc.fresh()).await?)).await?;
    let job = |n| body(100_000, n);
    let mut sent = 0;
    let flood = async {
        loop {
            match ours.send(job(sent)).await {
                Ok(()) => sent += 1,
                Err(SendError::TimedOut(_)) => return Outcome::Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    };
    tokio::time::timeout(STEP, flood).await.map_err(|_| "they took more than anybody has room for")??;
    for n in 0..sent {
        peer.expect("pull", &job(n)).await?;
    }
    // And it goes on from there.
    within("our send", ours.send("more")).await?;
    peer.expect("pull", b"more").await.map(drop)
}

/// What we accepted before we close still arrives.
async fn close_sends_the_rest(library: Library) -> Outcome {
    const JOBS: usize = 100;
    let mut peer = Foreign::again(library).await?;
    peer.open("pull", "pull").await?;
    let ours = PushSocket::new();
    within("our dial", ours.dial(&peer.listen("pull", &Transport::Tcp.fresh()).await?)).await?;
    within("our sends", ours.send_many((0..JOBS).map(nth))).await?;
    let receive = async {
        for n in 0..JOBS {
            peer.expect("pull", &nth(n)).await?;
        }
        Outcome::Ok(())
    };
    let (report, received) = tokio::join!(ours.close(STEP), receive);
    received?;
    match (report.abandoned, report.unknown) {
        (0, 0) => Ok(()),
        _ => Err(format!("all arrived, and we report {report:?}").into()),
    }
}

/// Larger than every buffer on the way, in both directions at once.
async fn large_ones(library: Library) -> Outcome {
    let mut peer = Foreign::again(library).await?;
    peer.open("pair", "pair0").await?;
    let ours = Pair0Socket::new();
    let listener = within("our listen", ours.listen(&Transport::Tcp.fresh())).await?;
    peer.dial("pair", listener.url()).await?;
    let (forth, back) = (body(12_000_001, 1), body(11_000_003, 2));
    let ours = async {
        let (sent, received) =
            tokio::join!(within("our send", ours.send(forth.clone())), expect(&ours, &back));
        sent.and(received.map(drop))
    };
    let theirs = async {
        peer.send("pair", &back).await?;
        peer.expect("pair", &forth).await.map(drop)
    };
    let (ours, theirs) = tokio::join!(ours, theirs);
    theirs.and(ours)
}
