//! The patterns of the tour: who is there, who joins whom, and what one round is.

use super::grid::Pattern;
use super::payload::{Way, make};
use super::stage::{Stage, Trouble};
use spanwire::device::Device;
use spanwire::{
    BusSocket, Pair0Socket, Pair1Socket, PolySocket, Protocol, PubSocket, PullSocket, PushSocket, RawSocket,
    RepSocket, ReqSocket, RespondSocket, SubSocket, SurveySocket,
};
use std::cell::Cell;
use std::convert::Infallible;
use tokio::sync::Notify;

type Played = Result<(), Trouble>;
/// What those do who answer for ever.
type Forever = Result<Infallible, Trouble>;

/// Plays one pattern.
pub(super) async fn play(pattern: Pattern, stage: &Stage<'_>) -> Played {
    match pattern {
        Pattern::ReqRep => req_rep(stage).await,
        Pattern::PubSub => pub_sub(stage).await,
        Pattern::PushPull => push_pull(stage).await,
        Pattern::Survey => survey(stage).await,
        Pattern::Bus => bus(stage).await,
        Pattern::Pair0 => pair0(stage).await,
        Pattern::Pair1 => pair1(stage).await,
        Pattern::Poly => poly(stage).await,
        Pattern::Device => device(stage).await,
    }
}

async fn req_rep(stage: &Stage<'_>) -> Played {
    let (req, rep) = (ReqSocket::new(), RepSocket::new());
    stage.join(&rep, &[&req]).await?;
    stage.play(ask(stage, &req), answer(stage, &rep)).await
}

async fn ask(stage: &Stage<'_>, req: &ReqSocket) -> Played {
    stage
        .rounds(async |number, size| {
            let reply = req.request(make("", number, Way::There, size)).await?;
            stage.take_answer("", number, reply.body())
        })
        .await
}

async fn answer(stage: &Stage<'_>, rep: &RepSocket) -> Forever {
    loop {
        let request = rep.recv().await?;
        let number = stage.take("", Way::There, request.message().body())?;
        let size = request.len();
        request.reply(make("", number, Way::Back, size)).await?;
    }
}

/// Questions pass through a forwarder, answers find their way back through it.
async fn device(stage: &Stage<'_>) -> Played {
    let (req, rep) = (ReqSocket::new(), RepSocket::new());
    let (front, back) = (RawSocket::new(Protocol::Rep), RawSocket::new(Protocol::Req));
    stage.join(&front, &[&req]).await?;
    stage.join(&rep, &[&back]).await?;
    let passed = Cell::new(0_u64);
    let tapped = std::sync::atomic::AtomicU64::new(0);
    let device = Device::new(front, back)?.tap(|_, _| {
        tapped.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    });
    let forward = async { Err::<Infallible, _>(Trouble::new(device.run().await.to_string())) };
    let others = async { tokio::try_join!(forward, answer(stage, &rep)).map(|(never, _)| never) };
    let rounds = async {
        stage
            .rounds(async |number, size| {
                let reply = req.request(make("", number, Way::There, size)).await?;
                passed.set(passed.get() + 2);
                stage.take_answer("", number, reply.body())
            })
            .await
    };
    stage.play(rounds, others).await?;
    match tapped.load(std::sync::atomic::Ordering::Relaxed) {
        seen if seen == passed.get() => Ok(()),
        seen => Err(Trouble::new(format!("the tap saw {seen} of {} messages", passed.get()))),
    }
}

/// One publishes to two subscribers, who publish what they think of it.
async fn pub_sub(stage: &Stage<'_>) -> Played {
    const NEWS: &str = "news.";
    const ECHO: &str = "echo.";
    let (paper, letters) = (PubSocket::new(), SubSocket::new());
    let readers = [(); 2].map(|()| (SubSocket::new(), PubSocket::new()));
    letters.subscribe(ECHO);
    stage.join(&paper, &[&readers[0].0, &readers[1].0]).await?;
    for (news, echo) in &readers {
        news.subscribe(NEWS);
        stage.join(echo, &[&letters]).await?;
    }
    let read = async |(news, echo): &(SubSocket, PubSocket)| -> Forever {
        loop {
            let message = news.recv().await?;
            let number = stage.take(NEWS, Way::There, message.body())?;
            echo.send(make(ECHO, number, Way::Back, message.len() - NEWS.len())).await?;
        }
    };
    let others = async { tokio::try_join!(read(&readers[0]), read(&readers[1])).map(|(never, _)| never) };
    let rounds = stage.rounds(async |number, size| {
        // Nobody subscribed to this; if it arrived, it would be taken for damage.
        paper.send(make("gossip.", number, Way::There, size)).await?;
        paper.send(make(NEWS, number, Way::There, size)).await?;
        for _ in &readers {
            stage.take_answer(ECHO, number, letters.recv().await?.body())?;
        }
        Ok(())
    });
    stage.play(rounds, others).await
}

/// Jobs go to one of two workers; results are collected.
async fn push_pull(stage: &Stage<'_>) -> Played {
    let (jobs, results) = (PushSocket::new(), PullSocket::new());
    let workers = [(); 2].map(|()| (PullSocket::new(), PushSocket::new(), Cell::new(0_u32)));
    stage.join(&jobs, &[&workers[0].0, &workers[1].0]).await?;
    stage.join(&results, &[&workers[0].1, &workers[1].1]).await?;
    let work = async |(jobs, results, done): &(PullSocket, PushSocket, Cell<u32>)| -> Forever {
        loop {
            let job = jobs.recv().await?;
            let number = stage.take("", Way::There, job.body())?;
            results.send(make("", number, Way::Back, job.len())).await?;
            done.set(done.get() + 1);
        }
    };
    let others = async { tokio::try_join!(work(&workers[0]), work(&workers[1])).map(|(never, _)| never) };
    let rounds = stage.rounds(async |number, size| {
        jobs.send(make("", number, Way::There, size)).await?;
        stage.take_answer("", number, results.recv().await?.body())
    });
    stage.play(rounds, others).await?;
    match workers.iter().all(|worker| worker.2.get() > 0) {
        true => Ok(()),
        false => Err(Trouble::new("one worker got all the jobs")),
    }
}

/// One asks two, and goes on once both have answered.
async fn survey(stage: &Stage<'_>) -> Played {
    let surveyor = SurveySocket::new();
    let asked = [(); 2].map(|()| RespondSocket::new());
    stage.join(&surveyor, &[&asked[0], &asked[1]]).await?;
    let respond = async |respondent: &RespondSocket| -> Forever {
        loop {
            let request = respondent.recv().await?;
            let number = stage.take("", Way::There, request.message().body())?;
            let size = request.len();
            request.reply(make("", number, Way::Back, size)).await?;
        }
    };
    let others = async { tokio::try_join!(respond(&asked[0]), respond(&asked[1])).map(|(never, _)| never) };
    let rounds = stage.rounds(async |number, size| {
        let mut survey = surveyor.survey(make("", number, Way::There, size)).await?.end_when_all_answered();
        let mut answers = 0;
        while let Some(answer) = survey.next().await {
            stage.take_answer("", number, answer.body())?;
            answers += 1;
        }
        match answers {
            2 => Ok(()),
            _ => Err(Trouble::new(format!("{answers} of 2 respondents answered"))),
        }
    });
    stage.play(rounds, others).await
}

/// Three neighbours, all joined. One speaks, the others answer, and everybody hears everybody.
async fn bus(stage: &Stage<'_>) -> Played {
    let [first, second, third] = [(); 3].map(|()| BusSocket::new());
    stage.join(&first, &[&second, &third]).await?;
    stage.join(&second, &[&third]).await?;
    // What one neighbour answers is heard by the other one too.
    let (overheard, more) = (Cell::new(0), Notify::new());
    let neighbour = async |bus: &BusSocket| -> Forever {
        loop {
            let message = bus.recv().await?;
            // Which comes first, question or answer, is open.
            if stage.take("", Way::Back, message.body()).is_ok() {
                overheard.set(overheard.get() + 1);
                more.notify_one();
            } else {
                let number = stage.take("", Way::There, message.body())?;
                bus.send(make("", number, Way::Back, message.len())).await?;
            }
        }
    };
    let others = async { tokio::try_join!(neighbour(&second), neighbour(&third)).map(|(never, _)| never) };
    let sent = Cell::new(0);
    let rounds = async {
        stage
            .rounds(async |number, size| {
                first.send(make("", number, Way::There, size)).await?;
                sent.set(sent.get() + 1);
                for _ in 0..2 {
                    stage.take_answer("", number, first.recv().await?.body())?;
                }
                Ok(())
            })
            .await?;
        while overheard.get() < 2 * sent.get() {
            more.notified().await;
        }
        Ok(())
    };
    stage.play(rounds, others).await
}

/// Two that talk to each other and nobody else.
macro_rules! pair {
    ($name:ident, $one:ty, $other:ty) => {
        async fn $name(stage: &Stage<'_>) -> Played {
            let (one, other) = (<$one>::new(), <$other>::new());
            stage.join(&one, &[&other]).await?;
            let others = async {
                loop {
                    let message = other.recv().await?;
                    let number = stage.take("", Way::There, message.body())?;
                    other.send(make("", number, Way::Back, message.len())).await?;
                }
            };
            let rounds = stage.rounds(async |number, size| {
                one.send(make("", number, Way::There, size)).await?;
                stage.take_answer("", number, one.recv().await?.body())
            });
            stage.play(rounds, others).await
        }
    };
}

pair!(pair0, Pair0Socket, Pair0Socket);
pair!(pair1, Pair1Socket, Pair1Socket);

/// One socket with two peers, which it addresses by their pipes.
async fn poly(stage: &Stage<'_>) -> Played {
    let server = PolySocket::new();
    let clients = [(); 2].map(|()| Pair1Socket::new());
    stage.join(&server, &[&clients[0], &clients[1]]).await?;
    let others = async {
        loop {
            let message = server.recv().await?;
            let number = stage.take("", Way::There, message.body())?;
            let pipe = message.pipe().ok_or_else(|| Trouble::new("a message came from nowhere"))?;
            let answer = spanwire::Message::new(make("", number, Way::Back, message.len()));
            server.send(answer.to(pipe)).await?;
        }
    };
    let rounds = stage.rounds(async |number, size| {
        // Each in turn; an answer to the wrong one would leave this one waiting.
        let client = &clients[number as usize % 2];
        client.send(make("", number, Way::There, size)).await?;
        stage.take_answer("", number, client.recv().await?.body())
    });
    stage.play(rounds, others).await
}
