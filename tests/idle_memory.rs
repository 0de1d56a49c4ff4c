//! How much memory a connection costs on which nothing happens.
//!
//! One test, since it counts what the whole process has. The peers are plain sockets, so that nothing is
//! counted but one end of each connection.
#![cfg(unix)]

#[path = "support/counting.rs"]
mod counting;
mod support;

use counting::IN_USE;
use spanwire::*;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::atomic::Ordering::Relaxed;
use support::within;
use tokio::runtime::Builder;

/// How many connections there are when counting begins, and how many in the end. Lists that double have no
/// room to spare then.
const FIRST: usize = 128;
const ALL: usize = 512;

/// The most that one may cost in bytes, as they were asked for; the allocator needs some two hundred more.
const MOST: usize = 1_900;

const PUSH: [u8; 8] = [0, b'S', b'P', 0, 0, 0x50, 0, 0];
const REQ: [u8; 8] = [0, b'S', b'P', 0, 0, 0x30, 0, 0];

#[test]
fn an_idle_connection_costs_little_memory() {
    let file = std::env::temp_dir().join(format!("spanwire-idle-{}", std::process::id()));
    let url = format!("ipc://{}", file.display());
    let tcp = |url: &str| TcpStream::connect(url.strip_prefix("tcp://").unwrap()).unwrap();
    let ipc = |_: &str| UnixStream::connect(&file).unwrap();
    let any_port = "tcp://127.0.0.1:0";
    let measured = Builder::new_current_thread().enable_all().build().unwrap().block_on(within(async {
        let (pull, rep) = (PullSocket::new(), RepSocket::new());
        let listener = pull.listen(any_port).await.unwrap();
        let over_tcp = cost(PUSH, || tcp(listener.url()), async |count| pull.wait_peers(count).await).await;
        let listener = rep.listen(any_port).await.unwrap();
        let of_rep = cost(REQ, || tcp(listener.url()), async |count| rep.wait_peers(count).await).await;
        let pull = PullSocket::new();
        pull.listen(&url).await.unwrap();
        let over_ipc = cost(PUSH, || ipc(&url), async |count| pull.wait_peers(count).await).await;
        [("PULL, tcp", over_tcp), ("REP, tcp", of_rep), ("PULL, ipc", over_ipc)]
    }));
    let wrong: Vec<_> = measured.iter().filter(|(_, each)| *each > MOST).collect();
    println!("{measured:?}");
    assert!(wrong.is_empty(), "more than {MOST} bytes: {wrong:?}");
}

/// What each connection costs, of those that `connect` makes.
async fn cost<S: Write>(
    header: [u8; 8],
    connect: impl Fn() -> S,
    wait_peers: impl AsyncFn(usize) -> Result<(), RecvError>,
) -> usize {
    let mut peers = Vec::with_capacity(ALL);
    let mut before = 0;
    while peers.len() < ALL {
        if peers.len() == FIRST {
            before = IN_USE.load(Relaxed);
        }
        let mut peer = connect();
        peer.write_all(&header).unwrap();
        peers.push(peer);
        wait_peers(peers.len()).await.unwrap();
    }
    (IN_USE.load(Relaxed) - before) / (ALL - FIRST)
}
