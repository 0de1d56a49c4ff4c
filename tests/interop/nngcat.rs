//! The program `nngcat` itself at the other end: its command line, its certificates, its exit status.
//!
//! The library it stands on is in the matrix. This is what a person tries first.

use crate::Outcome;
use crate::address::{Transport, tls_folder};
use crate::cases;
use crate::certificates::{Authority, HERE, dialing, listening};
use crate::foreign::{STEP, same, within};
use crate::matrix::{Listens, Ours};
use crate::sockets::{Receives, Sends, Socket};
use crate::talk::{body, expect};
use crate::tally::Tally;
use spanwire::tls::TlsError;
use spanwire::{
    DialError, Event, Message, Pair0Socket, Pair1Socket, PubSocket, PullSocket, PushSocket, RepSocket,
    ReqSocket, SubSocket, UpgradeError,
};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpSocket, lookup_host};
use tokio::process::{Child, Command};

const PROGRAM: &str = "nngcat";
const TOPIC: &[u8] = b"news";

/// Long enough for several records of TLS and the longest length of a WebSocket frame, and below the limit
/// that nngcat has unless told otherwise.
const BODY_BYTES: usize = 100_000;

const TRANSPORTS: [Transport; 3] = [Transport::Tls, Transport::Ws, Transport::Wss];

const ROLES: [Ours; 8] =
    [Ours::Push, Ours::Pull, Ours::Req, Ours::Rep, Ours::Pub, Ours::Sub, Ours::Pair0, Ours::Pair1];

/// What the other one shows instead of a certificate that we accept, and who notices.
#[derive(Copy, Clone, Debug)]
enum Wrong {
    /// It dials and knows another authority than ours.
    DialerTrustsOthers,
    /// It dials and shows nothing.
    DialerIsNobody,
    /// It listens with a certificate of another authority.
    ListenerIsAnother,
}

/// Runs every conversation, as far as there is an `nngcat` and it was built with TLS.
pub(crate) async fn run() {
    let is_there = installed();
    let knows_tls = is_there && knows_tls().await;
    if !is_there {
        eprintln!("no {PROGRAM}: apt-get install nng-utils");
    } else if !knows_tls {
        eprintln!("this {PROGRAM} was built without TLS: only its ws:// is tried");
    }
    let can_run = |transport| is_there && (knows_tls || transport == Transport::Ws);
    let (mut cases, mut skipped) = (Vec::new(), 0);
    let mut add = |transport, name: String, run: cases::Running| match can_run(transport) {
        true => cases.push((name, run)),
        false => skipped += 1,
    };
    for transport in TRANSPORTS {
        for listens in [Listens::We, Listens::They] {
            for ours in ROLES {
                let name = format!("{PROGRAM} with {ours:?} over {transport:?}, {listens:?} listen");
                add(transport, name, Box::pin(converse(Line { transport, listens }, ours)));
            }
        }
    }
    for transport in [Transport::Tls, Transport::Wss] {
        for wrong in [Wrong::DialerTrustsOthers, Wrong::DialerIsNobody, Wrong::ListenerIsAnother] {
            add(
                transport,
                format!("{PROGRAM}, {wrong:?} over {transport:?}"),
                Box::pin(refuse(transport, wrong)),
            );
        }
    }
    let tally = Tally::new(PROGRAM, cases.len() + skipped);
    tally.skipped(skipped);
    cases::run_all(&tally, cases).await;
    tally.end();
}

/// How the two are joined.
#[derive(Copy, Clone, Debug)]
struct Line {
    transport: Transport,
    listens: Listens,
}

impl Line {
    /// Joins `ours` with an `nngcat` that has these arguments, those of its address and its certificate aside.
    async fn join(self, ours: &impl Socket, args: &[&str]) -> Outcome<Nngcat> {
        let scheme = self.transport.scheme();
        let nngcat = match self.listens {
            Listens::We => {
                // By this name, as nngcat checks no address against a certificate.
                let url = format!("{scheme}://localhost:0");
                let listener = within("our listen", ours.listen(&url)).await?;
                Nngcat::start(&["--dial", listener.url()], &Files::good(), args)?
            }
            Listens::They => {
                let port = Port::reserve().await?;
                let url = port.url(scheme);
                let nngcat = Nngcat::start(&["--listen", &url], &Files::good(), args)?;
                within("our dial", ours.dial_in_time(&url)).await?;
                nngcat
            }
        };
        within("a peer to attach", ours.wait_peers(1)).await?;
        Ok(nngcat)
    }
}

/// Says what a pair of protocols has to say, both ways where it has two.
async fn converse(line: Line, ours: Ours) -> Outcome {
    let (forth, back) = (body(BODY_BYTES, 1), [TOPIC, &body(BODY_BYTES, 2)].concat());
    let file = Scratch::new(&back)?;
    match ours {
        Ours::Push => {
            let ours = PushSocket::new();
            let mut nngcat = line.join(&ours, &["--pull0", "--raw", "--count", "2"]).await?;
            send(&ours, &forth).await?;
            send(&ours, &back).await?;
            nngcat.prints(&forth).await?;
            nngcat.prints(&back).await?;
            nngcat.succeeds().await?;
            leave(ours).await
        }
        Ours::Pull => {
            let ours = PullSocket::new();
            let nngcat = line.join(&ours, &["--push0", "--count", "2", "--file", file.path()]).await?;
            expect(&ours, &back).await?;
            expect(&ours, &back).await?;
            nngcat.succeeds().await?;
            leave(ours).await
        }
        Ours::Req => {
            let ours = ReqSocket::new();
            let mut nngcat = line.join(&ours, &["--rep0", "--raw", "--file", file.path()]).await?;
            // It replies once it has printed the request, which is more than a pipe holds.
            let request = within("our request", ours.request(Message::from(forth.clone())));
            let (reply, printed) = tokio::join!(request, nngcat.prints(&forth));
            printed?;
            same("we", &reply?, &back)?;
            leave(ours).await
        }
        Ours::Rep => {
            let ours = RepSocket::new();
            let mut nngcat = line.join(&ours, &["--req0", "--raw", "--file", file.path()]).await?;
            let request = within("our recv", ours.recv()).await?;
            same("we", &request, &back)?;
            within("our reply", request.reply(Message::from(forth.clone()))).await?;
            nngcat.prints(&forth).await?;
            nngcat.succeeds().await?;
            leave(ours).await
        }
        Ours::Pub => {
            let ours = PubSocket::new();
            let args = ["--sub0", "--raw", "--count", "1", "--subscribe", std::str::from_utf8(TOPIC)?];
            let mut nngcat = line.join(&ours, &args).await?;
            send(&ours, &forth).await?;
            send(&ours, &back).await?;
            nngcat.prints(&back).await?;
            nngcat.succeeds().await?;
            leave(ours).await
        }
        Ours::Sub => {
            let ours = SubSocket::new();
            ours.subscribe(TOPIC);
            // Again and again, as the first one goes out before we are there.
            let _nngcat = line.join(&ours, &["--pub0", "--interval", "1", "--file", file.path()]).await?;
            expect(&ours, &back).await?;
            leave(ours).await
        }
        Ours::Pair0 => {
            let ours = Pair0Socket::new();
            let args = ["--pair0", "--raw", "--interval", "1", "--file", file.path()];
            let mut nngcat = line.join(&ours, &args).await?;
            exchange(&ours, &mut nngcat, &forth, &back).await?;
            leave(ours).await
        }
        Ours::Pair1 => {
            let ours = Pair1Socket::new();
            let args = ["--pair1", "--raw", "--interval", "1", "--file", file.path()];
            let mut nngcat = line.join(&ours, &args).await?;
            exchange(&ours, &mut nngcat, &forth, &back).await?;
            leave(ours).await
        }
        other => Err(format!("no conversation for {other:?}").into()),
    }
}

async fn send(ours: &impl Sends, body: &[u8]) -> Outcome {
    within("our send", ours.send(body.to_vec().into())).await
}

async fn exchange(ours: &(impl Sends + Receives), nngcat: &mut Nngcat, forth: &[u8], back: &[u8]) -> Outcome {
    expect(ours, back).await?;
    send(ours, forth).await?;
    nngcat.prints(forth).await
}

/// Closes; nothing that we sent may have been left.
async fn leave(ours: impl Socket) -> Outcome {
    let report = within("our close", async { Ok::<_, &str>(ours.close(SECOND).await) }).await?;
    match report.abandoned {
        0 => Ok(()),
        _ => Err(format!("at the end {report:?}").into()),
    }
}

/// A certificate that will not do ends the connection on both sides, and ours says why.
async fn refuse(transport: Transport, wrong: Wrong) -> Outcome {
    let others = Authority::new("others");
    let (trusted, theirs) = (Scratch::new(others.pem.as_bytes())?, others.issue(HERE));
    let own = Scratch::new((theirs.certificate + &theirs.key).as_bytes())?;
    let scheme = transport.scheme();
    let (files, expected) = match wrong {
        Wrong::DialerTrustsOthers => (
            Files { authority: trusted.path().into(), ..Files::good() },
            TlsError::Alert { name: "unknown_ca" },
        ),
        Wrong::DialerIsNobody => (Files { own: None, ..Files::good() }, TlsError::NoCertificate),
        Wrong::ListenerIsAnother => {
            (Files { own: Some(own.path().into()), ..Files::good() }, TlsError::UnknownAuthority)
        }
    };
    let said = match wrong {
        Wrong::ListenerIsAnother => {
            let port = Port::reserve().await?;
            let url = port.url(scheme);
            let _nngcat = Nngcat::start(&["--listen", &url], &files, &["--pull0"])?;
            let push = PushSocket::new();
            let said = within("a refusal", dial_until_refused(&push, &url)).await?;
            push.close(SECOND).await;
            said
        }
        Wrong::DialerTrustsOthers | Wrong::DialerIsNobody => {
            let pull = PullSocket::new();
            let mut events = pull.events();
            let url = format!("{scheme}://localhost:0");
            let listener = within("our listen", pull.listen_with(&url, listening())).await?;
            let nngcat = Nngcat::start(&["--dial", listener.url()], &files, &["--push0", "--data", "x"])?;
            let said = within("a refusal", async {
                loop {
                    let event = events.next().await.ok_or("the socket is closed")?;
                    if let Event::UpgradeFailed { error, .. } = event {
                        return Ok::<_, &str>(error);
                    }
                }
            })
            .await?;
            nngcat.fails().await?;
            if pull.stats().ledger.attached_pipes != 0 {
                return Err("it was let in".into());
            }
            pull.close(SECOND).await;
            said
        }
    };
    match &said {
        UpgradeError::Tls(cause) if *cause == expected => Ok(()),
        other => Err(format!("{other:?} instead of {expected:?}").into()),
    }
}

/// Dials until somebody listens, and then is refused.
async fn dial_until_refused(push: &PushSocket, url: &str) -> Outcome<UpgradeError> {
    loop {
        match push.dial_with(url, dialing()).await {
            Err(DialError::Connect { error, .. })
                if error.kind() == std::io::ErrorKind::ConnectionRefused =>
            {
                tokio::task::yield_now().await;
            }
            Err(DialError::Upgrade { error, .. }) => return Ok(error),
            other => return Err(format!("{other:?}").into()),
        }
    }
}

/// A port of localhost that is ours until somebody listens there: bound, and not listened at.
struct Port {
    address: SocketAddr,
    _bound: TcpSocket,
}

impl Port {
    async fn reserve() -> Outcome<Self> {
        // Where nngcat listens, too.
        let address = lookup_host(("localhost", 0)).await?.next().ok_or("localhost has no address")?;
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(Self { address: socket.local_addr()?, _bound: socket })
    }

    fn url(&self, scheme: &str) -> String {
        format!("{scheme}://localhost:{}", self.address.port())
    }
}

/// What nngcat proves who it is by, and whom it believes.
struct Files {
    authority: PathBuf,
    /// A certificate and its key.
    own: Option<PathBuf>,
}

impl Files {
    /// Those that our side accepts.
    fn good() -> Self {
        let folder = tls_folder();
        Self { authority: folder.join("authority.pem"), own: Some(folder.join("own.pem")) }
    }
}

/// A running `nngcat`. It dies with this value.
struct Nngcat(Child);

impl Nngcat {
    /// Starts it. What does not secure its connections has no use for the files, and takes them.
    fn start(address: &[&str], files: &Files, args: &[&str]) -> Outcome<Self> {
        let mut command = Command::new(PROGRAM);
        command.args(address).args(args).arg("--cacert").arg(&files.authority);
        if let Some(own) = &files.own {
            command.arg("--cert").arg(own).arg("--key").arg(own);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        Ok(Self(command.spawn()?))
    }

    /// It prints this next.
    async fn prints(&mut self, body: &[u8]) -> Outcome {
        let mut printed = vec![0; body.len()];
        let stdout = self.0.stdout.as_mut().ok_or("its output is piped")?;
        within("what it prints", stdout.read_exact(&mut printed)).await?;
        same(PROGRAM, &printed, body)
    }

    /// It ends by itself, satisfied, and has nothing to add.
    async fn succeeds(self) -> Outcome {
        let Output { status, stdout, stderr } = within("its end", self.0.wait_with_output()).await?;
        match status.success() && stdout.is_empty() {
            true => Ok(()),
            false => Err(format!("{status}, {} bytes left, {}", stdout.len(), stderr.escape_ascii()).into()),
        }
    }

    /// It ends by itself, and says that TLS is why.
    async fn fails(self) -> Outcome {
        let Output { status, stderr, .. } = within("its end", self.0.wait_with_output()).await?;
        let said = String::from_utf8_lossy(&stderr);
        // What it calls a certificate that will not do on its own side and on the other.
        let known = ["Cryptographic error", "Peer could not be authenticated", "Connection shutdown"];
        match !status.success() && known.iter().any(|words| said.contains(words)) {
            true => Ok(()),
            false => Err(format!("{status}, {said}").into()),
        }
    }
}

/// A file, removed when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(content: &[u8]) -> Outcome<Self> {
        let path = crate::address::fresh_path();
        std::fs::write(&path, content)?;
        Ok(Self(path))
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("its name is ASCII")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn installed() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| Path::new(&folder).join(PROGRAM).is_file())
}

/// Whether it can listen with TLS; what it cannot it refuses at once.
async fn knows_tls() -> bool {
    let listening = ["--listen", "tls+tcp://localhost:0"];
    let nngcat = Nngcat::start(&listening, &Files::good(), &["--pull0", "--recv-timeout", "1"]);
    let nngcat = nngcat.expect("it is installed");
    tokio::time::timeout(STEP, nngcat.succeeds()).await.is_ok_and(|ended| ended.is_ok())
}

const SECOND: Duration = Duration::from_secs(1);
