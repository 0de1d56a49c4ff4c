//! A connection that breaks again and again, at any byte: what is told of each message is true.

use super::support::within;
use spanwire::mux::{Account, Channel, Connection, MuxOptions};
use std::collections::HashMap;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// How often it breaks: 1,000 times where `SPANWIRE_SOAK_SECONDS` asks for long tests.
fn rounds() -> u64 {
    if std::env::var_os("SPANWIRE_SOAK_SECONDS").is_some() { 1_000 } else { 100 }
}

/// Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Carries one connection to `to`, and cuts it when `budget` bytes have gone through it.
async fn carry(from: TcpListener, to: SocketAddr, mut budget: usize, resets: bool) {
    let (mut a, _) = from.accept().await.unwrap();
    let mut b = TcpStream::connect(to).await.unwrap();
    let (mut there, mut back) = (vec![0; 8_000], vec![0; 8_000]);
    while budget > 0 {
        tokio::select! {
            count = a.read(&mut there) => match count {
                Ok(count @ 1..) => {
                    let count = count.min(budget);
                    budget -= count;
                    if b.write_all(&there[..count]).await.is_err() {
                        return;
                    }
                }
                _ => return,
            },
            count = b.read(&mut back) => match count {
                Ok(count @ 1..) => {
                    let count = count.min(budget);
                    budget -= count;
                    if a.write_all(&back[..count]).await.is_err() {
                        return;
                    }
                }
                _ => return,
            },
        }
    }
    if resets {
        let _ = (a.set_zero_linger(), b.set_zero_linger());
    }
}

/// What was sent on a channel in one direction: how many were accepted, and what became of them.
type Sent = (Way, u64, Account);
/// What came on one: messages 0, 1, 2 and so on, each once.
type Got = (Way, u64);
/// The id of a channel, and whether it is its opener that sends.
type Way = (String, bool);

/// Sends until there is nobody any more.
async fn push(channel: Channel, opener: bool, bytes: usize) -> Sent {
    let mut accepted = 0_u64;
    loop {
        let mut body = accepted.to_be_bytes().to_vec();
        body.resize(bytes.max(8), 7);
        if channel.send(body).await.is_err() {
            return ((channel.id().to_string(), opener), accepted, channel.account());
        }
        accepted += 1;
        if accepted % 32 == 0 {
            // So that something is known in the end.
            let _ = channel.flush().await;
        }
    }
}

/// Receives until there is nobody any more.
async fn pull(channel: Channel, from_opener: bool) -> Got {
    let mut got = 0_u64;
    while let Ok(message) = channel.recv().await {
        assert_eq!(message[..8], got.to_be_bytes(), "in order, each once");
        got += 1;
    }
    ((channel.id().to_string(), from_opener), got)
}

#[tokio::test]
async fn after_each_of_many_cuts_each_message_is_accounted_for() {
    let mut random = Random(0x5eed);
    let (mut delivered, mut unknown, mut abandoned) = (0, 0, 0);
    for round in 0..rounds() {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("tcp://{}", proxy.local_addr().unwrap());
        let budget = random.below(300_000) as usize + 1;
        let resets = random.below(2) == 0;
        let carried = tokio::spawn(carry(proxy, server.local_addr().unwrap(), budget, resets));
        let (mut senders, mut receivers) = (JoinSet::new(), JoinSet::new());
        let serve = async {
            let (stream, _) = server.accept().await.unwrap();
            let there = Connection::wrap(stream, MuxOptions::default());
            let (mut senders, mut receivers) = (JoinSet::new(), JoinSet::new());
            // What had come before the end can still be accepted.
            while let Ok(channel) = there.accept("").await {
                senders.spawn(push(channel.clone(), false, 700));
                receivers.spawn(pull(channel, true));
            }
            (senders.join_all().await, receivers.join_all().await)
        };
        let ask = async {
            let Ok(here) = Connection::connect(&url, MuxOptions::default()).await else { return };
            for (number, bytes) in [10, 1_000, 30_000, 200_000].into_iter().enumerate() {
                let Ok(channel) = here.open(&number.to_string()).await else { return };
                senders.spawn(push(channel.clone(), true, bytes));
                receivers.spawn(pull(channel, false));
            }
            here.ended().await;
        };
        let ((mut sent, mut got), ()) = within(async { tokio::join!(serve, ask) }).await;
        within(carried).await.unwrap();
        sent.extend(within(senders.join_all()).await);
        got.extend(within(receivers.join_all()).await);
        let got: HashMap<Way, u64> = got.into_iter().collect();
        for (way, accepted, account) in sent {
            let got = got.get(&way).copied().unwrap_or_default();
            let Account { delivered: known, unknown: lost, abandoned: left, .. } = account;
            let told = format!("round {round}, {budget} bytes, {way:?}: {account:?}, and {got} came");
            assert_eq!(account.accepted, accepted, "{told}");
            assert_eq!(known + lost + left, accepted, "{told}");
            assert!(known <= got && got <= known + lost, "{told}");
            (delivered, unknown, abandoned) = (delivered + known, unknown + lost, abandoned + left);
        }
    }
    println!("{delivered} delivered, {unknown} unknown, {abandoned} abandoned");
    assert!(delivered > 1_000 && unknown > 0 && abandoned > 0);
}
