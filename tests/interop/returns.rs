//! Peers that go away and come back, and addresses that are taken or left behind.

use crate::Outcome;
use crate::address::Transport;
use crate::cases::{self, Case};
use crate::foreign::{Foreign, Library, same, within};
use spanwire::{ListenError, Pair0Socket, PullSocket, RepSocket, ReqSocket};
use std::time::Duration;

pub(crate) async fn run() {
    let mut cases = Vec::new();
    for library in Library::ALL {
        let (name, one) = (library.name(), [library]);
        cases.extend([
            Case::new(format!("{name}: we find them again"), one, we_find_them_again(library)),
            Case::new(format!("{name}: they find us again"), one, they_find_us_again(library)),
            Case::new(format!("{name}: a file of the dead"), one, we_take_the_file_of_the_dead(library)),
            Case::new(format!("{name}: their file"), one, we_leave_their_file_alone(library)),
            Case::new(format!("{name}: our file"), one, they_leave_our_file_alone(library)),
            Case::new(format!("{name}: who they are"), one, we_know_who_they_are(library)),
        ]);
    }
    cases::run("returns", cases).await;
}

/// A listener is killed with our request, and another takes its address: it gets the request.
async fn we_find_them_again(library: Library) -> Outcome {
    let mut first = Foreign::again(library).await?;
    let mut second = Foreign::again(library).await?;
    first.open("rep", "rep").await?;
    second.open("rep", "rep").await?;
    let url = first.listen("rep", &Transport::Ipc.fresh()).await?;
    let ours = ReqSocket::new();
    within("our dial", ours.dial(&url)).await?;
    let serve = async {
        first.expect("rep", b"who?").await?;
        first.kill().await?;
        second.listen("rep", &url).await?;
        second.expect("rep", b"who?").await?;
        second.send("rep", b"the second").await
    };
    let (reply, served) = tokio::join!(within("our request", ours.request("who?")), serve);
    served?;
    same("we", &reply?, b"the second")
}

/// Our listener goes with a request, and another of ours takes its port at once.
async fn they_find_us_again(library: Library) -> Outcome {
    let mut peer = Foreign::again(library).await?;
    peer.open("req", "req").await?;
    let first = RepSocket::new();
    let url = within("our listen", first.listen(&Transport::Tcp.fresh())).await?.url().to_owned();
    peer.dial("req", &url).await?;
    peer.send("req", b"who?").await?;
    drop(within("our recv", first.recv()).await?);
    first.close(Duration::from_secs(1)).await;
    let second = RepSocket::new();
    within("our second listen", second.listen(&url)).await?;
    let request = within("the request again", second.recv()).await?;
    same("the second", &request, b"who?")?;
    within("our reply", request.reply("the second")).await?;
    peer.expect("req", b"the second").await.map(drop)
}

/// The socket file of a killed process is in nobody's way.
async fn we_take_the_file_of_the_dead(library: Library) -> Outcome {
    let (mut dead, mut peer) = (Foreign::again(library).await?, Foreign::again(library).await?);
    dead.open("pull", "pull").await?;
    let url = dead.listen("pull", &Transport::Ipc.fresh()).await?;
    dead.kill().await?;
    let ours = PullSocket::new();
    within("our listen", ours.listen(&url)).await?;
    peer.open("push", "push").await?;
    peer.dial("push", &url).await?;
    peer.send("push", b"here").await?;
    crate::talk::expect(&ours, b"here").await.map(drop)
}

/// The socket file of a living one stays where it is.
async fn we_leave_their_file_alone(library: Library) -> Outcome {
    let mut peer = Foreign::again(library).await?;
    peer.open("rep", "rep").await?;
    let url = peer.listen("rep", &Transport::Ipc.fresh()).await?;
    // We dial first. To find out whether somebody lives, we connect and say nothing, as all libraries
    // do; NNG 1.5 then takes no connection in for 100 ms, and forgets those that were made meanwhile.
    let ours = ReqSocket::new();
    within("our dial", ours.dial(&url)).await?;
    match within("our listen", async { Ok::<_, &str>(RepSocket::new().listen(&url).await) }).await? {
        Err(ListenError::Bind { error, .. }) if error.kind() == std::io::ErrorKind::AddrInUse => {}
        other => return Err(format!("our listen gave {other:?}").into()),
    }
    if !std::fs::exists(url.trim_start_matches("ipc://"))? {
        return Err("their file is gone".into());
    }
    let serve = async {
        peer.expect("rep", b"still there?").await?;
        peer.send("rep", b"yes").await
    };
    let (reply, served) = tokio::join!(within("our request", ours.request("still there?")), serve);
    served?;
    same("we", &reply?, b"yes")
}

/// They find out that we live by connecting, and saying nothing: that costs us nothing.
async fn they_leave_our_file_alone(library: Library) -> Outcome {
    let mut peer = Foreign::again(library).await?;
    let ours = RepSocket::new();
    let url = within("our listen", ours.listen(&Transport::Ipc.fresh())).await?.url().to_owned();
    peer.open("rep", "rep").await?;
    if peer.listen("rep", &url).await.is_ok() {
        return Err("they took our address".into());
    }
    peer.open("req", "req").await?;
    peer.dial("req", &url).await?;
    peer.send("req", b"still there?").await?;
    within("our reply", within("our recv", ours.recv()).await?.reply("yes")).await?;
    peer.expect("req", b"yes").await.map(drop)
}

/// The kernel tells the process behind an ipc connection.
async fn we_know_who_they_are(library: Library) -> Outcome {
    let mut peer = Foreign::again(library).await?;
    peer.open("pair", "pair0").await?;
    let ours = Pair0Socket::new();
    let url = within("our listen", ours.listen(&Transport::Ipc.fresh())).await?.url().to_owned();
    peer.dial("pair", &url).await?;
    within("a peer to attach", ours.wait_peers(1)).await?;
    let known = ours.peers()[0].ends.credentials;
    match known.and_then(|known| known.pid) {
        Some(pid) if Some(pid as u32) == peer.pid() => Ok(()),
        _ => Err(format!("{known:?} is not process {:?}", peer.pid()).into()),
    }
}
