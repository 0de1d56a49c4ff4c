//! The exchange of messages that a [`Plan`] describes.
//!
//! | shape | who | what |
//! | --- | --- | --- |
//! | send | PUSH, PUB | sends |
//! | listen | PULL, SUB; REP, RESPONDENT, PAIR and BUS without data | prints what arrives |
//! | reply | REP, RESPONDENT with data | prints a question, answers it |
//! | converse | REQ, SURVEYOR; PAIR and BUS with data | sends, prints what arrives until the round is over |

use super::format::{Dialect, Format};
use super::settings::{End, Plan};
use super::socket::AnySocket;
use crate::failure::Failure;
use crate::secure::Unusable;
use bytes::Bytes;
use spanwire::watch::{self, Service};
use spanwire::{DialOptions, Message, Protocol, RecvError, SendError, Start};
use std::io::{self, Write};
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

/// Does what the plan says, until it is done.
pub(crate) fn run(plan: Plan) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::socket(format!("cannot start: {error}")))?;
    runtime.block_on(async {
        let mut session = Session { socket: AnySocket::open(&plan), plan, out: Vec::new() };
        let _service = session.show().await?;
        session.attach().await?;
        session.exchange().await?;
        session.close().await;
        Ok(())
    })
}

fn tls_failure(error: Unusable) -> Failure {
    Failure::socket(error.to_string())
}

/// Prints `text` at once.
pub(crate) fn say(text: &str) -> Result<(), Failure> {
    put(text.as_bytes())
}

fn put(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let done = out.write_all(bytes).and_then(|()| out.flush());
    done.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::Pipe,
        _ => Failure::File(format!("cannot write to standard output: {error}")),
    })
}

struct Session {
    plan: Plan,
    socket: AnySocket,
    /// What is about to be printed; kept to save its memory for the next message.
    out: Vec<u8>,
}

impl Session {
    /// Shows the socket where the command line says, for as long as what is returned is kept.
    async fn show(&self) -> Result<Option<Service>, Failure> {
        let Some(url) = &self.plan.stats else { return Ok(None) };
        self.socket.expose("cat");
        let options = self.plan.secure.listening(url).map_err(tls_failure)?;
        let service = watch::serve_with(url, options).await;
        let service = service.map_err(|error| Failure::socket(error.to_string()))?;
        if self.plan.verbose {
            say(&format!("Stats at: {}\n", service.url()))?;
        }
        Ok(Some(service))
    }

    /// Listens and dials, in the order of the command line.
    async fn attach(&mut self) -> Result<(), Failure> {
        let start = if self.plan.background { Start::Background } else { Start::Wait };
        for (end, url) in &self.plan.endpoints {
            let done = match end {
                End::Listen => {
                    let options = self.plan.secure.listening(url).map_err(tls_failure)?;
                    let listener = self.socket.listen(url, options).await;
                    let listener = listener.map_err(|error| Failure::socket(error.to_string()))?;
                    format!("Listening at: {}\n", listener.url())
                }
                End::Dial => {
                    let secured = self.plan.secure.dialing(url).map_err(tls_failure)?;
                    let options = DialOptions { start, ..secured };
                    let dialer = self.socket.dial(url, options).await;
                    let dialer = dialer.map_err(|error| Failure::socket(error.to_string()))?;
                    format!("Connected to: {}\n", dialer.url())
                }
            };
            if self.plan.verbose {
                say(&done)?;
            }
        }
        Ok(())
    }

    async fn exchange(&mut self) -> Result<(), Failure> {
        if self.plan.dialect == Dialect::Nanocat {
            self.wait_delay().await;
        }
        let data = self.plan.data.clone();
        match (self.plan.protocol, data) {
            (Protocol::Push | Protocol::Pub, Some(data)) => self.send_all(data).await,
            (Protocol::Rep | Protocol::Respondent, Some(data)) => self.reply(data).await,
            (_, Some(data)) => self.converse(data).await,
            (_, None) => self.listen().await,
        }
    }

    async fn wait_delay(&mut self) {
        if let Some(delay) = self.plan.delay.take() {
            sleep(delay).await;
        }
    }

    async fn send_all(&mut self, data: Bytes) -> Result<(), Failure> {
        self.wait_delay().await;
        let mut rounds = self.rounds();
        loop {
            let started = Instant::now();
            self.send(&data).await?;
            if rounds.over() {
                return Ok(());
            }
            if let Some(interval) = self.plan.interval {
                sleep_until(started + interval).await;
            }
        }
    }

    async fn listen(&mut self) -> Result<(), Failure> {
        let mut left = self.plan.count;
        while left != Some(0) {
            match self.recv(self.plan.recv_timeout).await? {
                Some(message) => self.print(&message)?,
                None => break,
            }
            left = left.map(|left| left - 1);
        }
        Ok(())
    }

    async fn reply(&mut self, data: Bytes) -> Result<(), Failure> {
        let mut left = self.plan.count;
        while left != Some(0) {
            let Some(message) = self.recv(self.plan.recv_timeout).await? else {
                return Err(Failure::socket("nobody asked in time: --recv-timeout says how long to wait"));
            };
            self.print(&message)?;
            match self.socket.send(data.clone()).await {
                // As in nngcat, an asker that left is no reason to end.
                Err(SendError::NoSuchPeer(_)) => self.warn("whoever asked is gone; the answer is lost"),
                done => done.map_err(|error| self.not_sent(&error))?,
            }
            left = left.map(|left| left - 1);
        }
        Ok(())
    }

    async fn converse(&mut self, data: Bytes) -> Result<(), Failure> {
        self.wait_delay().await;
        let mut rounds = self.rounds();
        let one_answer = self.one_answer();
        loop {
            let started = Instant::now();
            self.send(&data).await?;
            let deadline = self.plan.interval.map(|interval| started + interval);
            while let Some(message) = self.recv(self.patience(deadline)).await? {
                self.print(&message)?;
                if one_answer {
                    break;
                }
            }
            if rounds.over() {
                return Ok(());
            }
            if let Some(deadline) = deadline {
                sleep_until(deadline).await;
            }
        }
    }

    /// Whether a round ends with the first message, since nothing else would end it.
    fn one_answer(&self) -> bool {
        let endless = match self.plan.protocol {
            Protocol::Req | Protocol::Surveyor => self.plan.raw_socket,
            _ => self.plan.count.is_some(),
        };
        endless && self.plan.interval.is_none()
    }

    /// How long to wait for the next message of a round.
    fn patience(&self, deadline: Option<Instant>) -> Option<Duration> {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        match (left, self.plan.recv_timeout) {
            (Some(left), Some(timeout)) => Some(left.min(timeout)),
            (left, timeout) => left.or(timeout),
        }
    }

    /// How often to send: `--count` times, for ever at an `--interval`, else once.
    fn rounds(&self) -> Rounds {
        match (self.plan.count, self.plan.interval) {
            (None, None) => Rounds(Some(1)),
            (count, _) => Rounds(count),
        }
    }

    async fn send(&mut self, data: &Bytes) -> Result<(), Failure> {
        let sent = self.socket.send(data.clone()).await;
        sent.map_err(|error| self.not_sent(&error))
    }

    fn not_sent(&self, error: &SendError) -> Failure {
        Failure::socket(match error {
            SendError::TimedOut(_) => "cannot send: no peer took the message within --send-timeout".into(),
            error => format!("cannot send: {error}"),
        })
    }

    /// The next message; `None` when there is none in time, or nothing left to wait for.
    async fn recv(&mut self, timeout: Option<Duration>) -> Result<Option<Message>, Failure> {
        match self.socket.recv(timeout).await {
            Ok(message) => Ok(Some(message)),
            Err(RecvError::TimedOut | RecvError::State) => Ok(None),
            Err(error) => Err(Failure::socket(format!("cannot receive: {error}"))),
        }
    }

    fn print(&mut self, message: &Message) -> Result<(), Failure> {
        self.out.clear();
        if self.plan.raw_socket && self.plan.verbose {
            self.out.extend_from_slice(b"Header: ");
            Format::Hex.print(self.plan.dialect, message.header().as_slice(), &mut self.out);
        }
        self.plan.format.print(self.plan.dialect, message.body(), &mut self.out);
        if self.out.is_empty() { Ok(()) } else { put(&self.out) }
    }

    /// Gets rid of what waits, and says so if that fails. A request counts as abandoned until it is
    /// answered; that it was not is seen already.
    async fn close(&self) {
        let report = self.socket.close(LINGER).await;
        if report.abandoned > 0 && self.plan.protocol != Protocol::Req {
            let count = report.abandoned;
            self.warn(&format!("messages that no peer took in time, and that are lost: {count}"));
        }
    }

    /// Says what is no failure.
    fn warn(&self, text: &str) {
        if !self.plan.silent {
            crate::complain(text);
        }
    }
}

/// How long messages may still take when everything else is done.
const LINGER: Duration = Duration::from_secs(1);

/// How many rounds are left; `None` is for ever.
struct Rounds(Option<u32>);

impl Rounds {
    /// Counts a round; whether it was the last one.
    fn over(&mut self) -> bool {
        self.0 = self.0.map(|left| left - 1);
        self.0 == Some(0)
    }
}
