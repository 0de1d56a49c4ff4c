//! Messages arrive as they were sent, of any size and in order.

use crate::transport::Transport;
use bytes::Bytes;
use spanwire::{
    Message, Pair0Socket, Protocol, RawSocket, RepSocket, ReqSocket, RespondSocket, SurveySocket,
};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Around the size up to which bodies are copied, the size of a read, and far beyond both.
const SIZES: &[usize] = &[
    0,
    1,
    4 * 1024 - 1,
    4 * 1024,
    4 * 1024 + 1,
    64 * 1024 - 1,
    64 * 1024,
    64 * 1024 + 1,
    1024 * 1024,
    3 * 1024 * 1024,
];

/// Bytes of which no two stretches are alike.
fn pattern(size: usize) -> Bytes {
    (0..size).map(|n| (n * 31 + n / 251 + n / 65_521) as u8).collect()
}

pub(crate) async fn a_message_comes_back(t: &Transport) {
    let (a, b) = (Pair0Socket::new(), Pair0Socket::new());
    t.meet(&a, &b).await;
    for n in 0..100_u8 {
        a.send(vec![n; 10]).await.unwrap();
        let echo = b.recv().await.unwrap();
        assert_eq!(echo.pipe(), Some(b.peers()[0].pipe));
        assert!(echo.arrived().is_some());
        b.send(echo.into_body()).await.unwrap();
        assert_eq!(a.recv().await.unwrap()[..], [n; 10]);
    }
    assert_eq!(a.close(SECOND).await.abandoned, 0);
    b.close(SECOND).await;
}

pub(crate) async fn every_size_arrives(t: &Transport) {
    let (a, b) = (Pair0Socket::new(), Pair0Socket::new());
    t.meet(&a, &b).await;
    // One at a time, and then all at once behind each other.
    for size in SIZES {
        a.send(pattern(*size)).await.unwrap();
        let there = b.recv().await.unwrap();
        assert!(there.body() == &pattern(*size), "{size} bytes were changed");
        b.send(there.into_body()).await.unwrap();
        assert!(a.recv().await.unwrap().body() == &pattern(*size), "{size} bytes were changed");
    }
    let send = async {
        for size in SIZES.iter().chain(SIZES.iter().rev()) {
            a.send(pattern(*size)).await.unwrap();
        }
    };
    let recv = async {
        for size in SIZES.iter().chain(SIZES.iter().rev()) {
            assert!(b.recv().await.unwrap().body() == &pattern(*size), "{size} bytes were changed");
        }
    };
    tokio::join!(send, recv);
    a.close(SECOND).await;
    b.close(SECOND).await;
}

pub(crate) async fn order_is_kept(t: &Transport) {
    const COUNT: u32 = 20_000;
    let (a, b) = (Pair0Socket::new(), Pair0Socket::new());
    t.meet(&a, &b).await;
    let send = |socket: Pair0Socket| async move {
        for n in 0..COUNT {
            // Mostly small ones, and now and then one that is not copied.
            let size = if n % 1_000 == 0 { 10_000 } else { 4 + n as usize % 60 };
            let mut body = vec![0; size];
            body[..4].copy_from_slice(&n.to_be_bytes());
            socket.send(body).await.unwrap();
        }
    };
    let recv = |socket: Pair0Socket| async move {
        for n in 0..COUNT {
            let message = socket.recv().await.unwrap();
            assert_eq!(message[..4], n.to_be_bytes());
            assert_eq!(message.len(), if n % 1_000 == 0 { 10_000 } else { 4 + n as usize % 60 });
        }
    };
    let work = [
        tokio::spawn(send(a.clone())),
        tokio::spawn(send(b.clone())),
        tokio::spawn(recv(a.clone())),
        tokio::spawn(recv(b.clone())),
    ];
    for work in work {
        work.await.unwrap();
    }
    a.close(SECOND).await;
    b.close(SECOND).await;
}

pub(crate) async fn requests_and_surveys_find_their_way(t: &Transport) {
    let (req, rep) = (ReqSocket::new(), RepSocket::new());
    t.meet(&rep, &req).await;
    let serve = async {
        for _ in 0..100 {
            let request = rep.recv().await.unwrap();
            let mut answer = request.to_vec();
            answer.reverse();
            request.reply(answer).await.unwrap();
        }
    };
    let ask = async {
        for n in 0..100_u8 {
            assert_eq!(req.request(vec![n, 1, 2]).await.unwrap()[..], [2, 1, n]);
        }
    };
    tokio::join!(serve, ask);
    req.close(SECOND).await;
    rep.close(SECOND).await;

    let (surveyor, respondent) = (SurveySocket::new(), RespondSocket::new());
    t.meet(&surveyor, &respondent).await;
    let survey = surveyor.survey_within("who?", SECOND * 30).await.unwrap().end_when_all_answered();
    respondent.recv().await.unwrap().reply("me").await.unwrap();
    let answers = survey.collect().await;
    assert_eq!(answers.len(), 1);
    assert_eq!(&answers[0][..], b"me");
    surveyor.close(SECOND).await;
    respondent.close(SECOND).await;
}

pub(crate) async fn headers_travel_between_raw_sockets(t: &Transport) {
    let (req, rep) = (RawSocket::new(Protocol::Req), RawSocket::new(Protocol::Rep));
    t.meet(&req, &rep).await;
    let id = 0x8000_0001_u32.to_be_bytes();
    req.send(Message::with_header(&id[..], "question")).await.unwrap();
    let question = rep.recv().await.unwrap();
    assert_eq!(&question[..], b"question");
    let tag = rep.peers()[0].pipe.get().to_be_bytes();
    assert_eq!(question.header().as_slice(), [tag, id].concat(), "the pipe is put in front");
    rep.send(Message::with_header(question.header().as_slice(), "answer")).await.unwrap();
    let answer = req.recv().await.unwrap();
    assert_eq!(&answer[..], b"answer");
    assert_eq!(answer.header().as_slice(), id, "and taken away on the way back");
    req.close(SECOND).await;
    rep.close(SECOND).await;

    let (a, b) = (RawSocket::new(Protocol::Pair1), RawSocket::new(Protocol::Pair1));
    t.meet(&a, &b).await;
    a.send(Message::with_header(&[0, 0, 0, 3][..], vec![7; 100_000])).await.unwrap();
    let hop = b.recv().await.unwrap();
    assert_eq!((hop.header().as_slice(), hop.body().len()), (&[0, 0, 0, 4][..], 100_000));
    a.close(SECOND).await;
    b.close(SECOND).await;
}
