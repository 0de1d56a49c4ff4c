//! async-nats with a server of its own, which the end that listens starts and stops.

use crate::kind::Kind;
use crate::port;
use crate::tasks::{self, Library};
use anyhow::{Context, Result, anyhow, bail};
use async_nats::{Client, ConnectOptions, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What `list` says.
pub(crate) const SETTINGS: &str = "the server in a process of its own, on the CPU of the end that \
    listens, with max_pending of 1 GB so that it hangs up on nobody; subscriptions keep up to 16 million \
    messages instead of dropping what exceeds 65536; client.request for req, publish with replies to one \
    inbox for flight and load; written when nothing more is queued, as the client does by itself; CPU \
    time without the server's";

/// The client, and where the server is.
#[derive(Clone)]
pub(crate) struct Nats {
    program: PathBuf,
}

impl Nats {
    pub(crate) fn new() -> Result<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        // Debian has it where only root looks.
        let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
        let program = folders.map(|folder| folder.join("nats-server")).find(|program| program.is_file());
        Ok(Self { program: program.context("nats-server is not installed")? })
    }

    /// Of the client and of the server.
    pub(crate) fn version(&self, client: &str) -> Result<String> {
        let said = Command::new(&self.program).arg("--version").output().context("asking nats-server")?;
        Ok(format!("{client} with {}", String::from_utf8_lossy(&said.stdout).trim()))
    }
}

impl Library for Nats {
    type Socket = Socket;
    const CLOSE_DELIVERS: bool = true;

    fn loses(_: Kind) -> bool {
        true
    }

    async fn open(&self, kind: Kind) -> Result<Socket> {
        Ok(Socket {
            kind,
            program: self.program.clone(),
            client: None,
            subscriber: None,
            inbox: None,
            server: None,
        })
    }
}

/// A client with what it is for.
pub(crate) struct Socket {
    kind: Kind,
    program: PathBuf,
    client: Option<Client>,
    subscriber: Option<Subscriber>,
    /// Where answers go.
    inbox: Option<String>,
    server: Option<Arc<Server>>,
}

impl Socket {
    async fn start(&mut self, url: &str) -> Result<()> {
        let options = ConnectOptions::new().subscription_capacity(16 << 20);
        let client = options.connect(url).await?;
        let subject = match self.kind {
            Kind::Rep | Kind::Router => Some(ASKED.to_owned()),
            Kind::Pull | Kind::Sub => Some(SENT.to_owned()),
            Kind::Dealer => {
                self.inbox = Some(client.new_inbox());
                self.inbox.clone()
            }
            Kind::Req | Kind::Push | Kind::Pub | Kind::LossyPub => None,
        };
        if let Some(subject) = subject {
            self.subscriber = Some(client.subscribe(subject).await?);
            // Before the server has answered this, it may not know the subscription.
            client.flush().await?;
        }
        self.client = Some(client);
        Ok(())
    }

    fn client(&self) -> Result<&Client> {
        self.client.as_ref().context("not connected")
    }

    async fn next(&mut self) -> Result<async_nats::Message> {
        let subscriber = self.subscriber.as_mut().context("such a socket does not receive")?;
        subscriber.next().await.context("the subscription is over")
    }
}

impl tasks::Socket for Socket {
    async fn listen(&mut self, url: &str) -> Result<String> {
        let url = port::free(url)?;
        let address = url.strip_prefix("tcp://").context("nats is for tcp")?.to_owned();
        let server = Server::start(&self.program, &address)?;
        let deadline = Instant::now() + SERVER_DEADLINE;
        while let Err(error) = tokio::net::TcpStream::connect(&address).await {
            if Instant::now() > deadline {
                bail!("nats-server does not listen: {error}");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.server = Some(Arc::new(server));
        let url = format!("nats://{address}");
        self.start(&url).await?;
        Ok(url)
    }

    async fn dial(&mut self, url: &str) -> Result<()> {
        self.start(url).await
    }

    async fn send(&mut self, body: Bytes) -> Result<()> {
        let client = self.client()?;
        match &self.inbox {
            Some(inbox) => client.publish_with_reply(ASKED, inbox.clone(), body).await?,
            None => client.publish(SENT, body).await?,
        }
        Ok(())
    }

    async fn recv(&mut self) -> Result<Bytes> {
        Ok(self.next().await?.payload)
    }

    async fn ask(&mut self, body: Bytes) -> Result<Bytes> {
        Ok(self.client()?.request(ASKED, body).await?.payload)
    }

    async fn echo(&mut self) -> Result<usize> {
        let request = self.next().await?;
        let length = request.payload.len();
        let asker = request.reply.ok_or_else(|| anyhow!("a request without an inbox came"))?;
        self.client()?.publish(asker, request.payload).await?;
        Ok(length)
    }

    fn share(&self) -> Option<Self> {
        let (kind, program, client) = (self.kind, self.program.clone(), self.client.clone());
        Some(Self { kind, program, client, subscriber: None, inbox: self.inbox.clone(), server: None })
    }

    async fn close(self) -> Result<()> {
        Ok(self.client()?.flush().await?)
    }
}

/// A server process. It ends with us, even if we are killed: a shell waits for the end of its input, which is
/// ours to close.
struct Server {
    shell: Child,
}

impl Server {
    fn start(program: &Path, address: &str) -> Result<Self> {
        let (host, port) = address.rsplit_once(':').context("an address has a port")?;
        let configuration = std::env::temp_dir().join(format!("spanwire-peer-nats-{}", std::process::id()));
        // There is no option for these.
        std::fs::write(&configuration, "max_pending: 1GB\nmax_payload: 64MB\nwrite_deadline: \"60s\"\n")?;
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT]).arg(program).args([host, port]).arg(&configuration);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self { shell: command.spawn().context("cannot start nats-server")? })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        // It fails harmlessly when nobody is there any more.
        let _ = self.shell.wait();
    }
}

/// Program, host, port, configuration. A shell gives what it starts in the background no input, so that the
/// server holds none of ours.
const SCRIPT: &str = r#"
"$0" -a "$1" -p "$2" -c "$3" & cat; kill $!; rm -f "$3"
"#;

const SENT: &str = "bench.one-way";
const ASKED: &str = "bench.asked";
const SERVER_DEADLINE: Duration = Duration::from_secs(10);
