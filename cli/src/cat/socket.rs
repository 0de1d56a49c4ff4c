//! [`AnySocket`]: the sockets of all patterns behind one type, cooked or raw.

use super::settings::Plan;
use bytes::Bytes;
use spanwire::{
    BusSocket, CloseReport, DialError, DialOptions, Dialer, Header, ListenError, ListenOptions, Listener,
    Message, Options, Pair0Socket, Pair1Socket, Protocol, PubSocket, PullSocket, PushSocket, RawSocket,
    RecvError, RepContext, RepSocket, ReqContext, ReqSocket, RespondSocket, SendError, SubSocket,
    SurveyContext, SurveySocket,
};
use std::time::{Duration, SystemTime};

/// A socket of the protocol that the command line chose.
pub(crate) enum AnySocket {
    Pair0(Pair0Socket),
    Pair1(Pair1Socket),
    Pub(PubSocket),
    Sub(SubSocket),
    Req(ReqSocket, ReqContext),
    Rep(RepSocket, RepContext),
    Push(PushSocket),
    Pull(PullSocket),
    Surveyor(SurveySocket, SurveyContext),
    Respondent(RespondSocket, RepContext),
    Bus(BusSocket),
    Raw(Raw),
}

/// Calls the same method of whatever socket it is.
macro_rules! each {
    ($any:expr, $socket:ident => $call:expr) => {
        match $any {
            AnySocket::Pair0($socket) => $call,
            AnySocket::Pair1($socket) => $call,
            AnySocket::Pub($socket) => $call,
            AnySocket::Sub($socket) => $call,
            AnySocket::Req($socket, _) => $call,
            AnySocket::Rep($socket, _) => $call,
            AnySocket::Push($socket) => $call,
            AnySocket::Pull($socket) => $call,
            AnySocket::Surveyor($socket, _) => $call,
            AnySocket::Respondent($socket, _) => $call,
            AnySocket::Bus($socket) => $call,
            AnySocket::Raw(Raw { socket: $socket, .. }) => $call,
        }
    };
}

impl AnySocket {
    /// A socket for this plan, with nobody attached yet.
    pub(crate) fn open(plan: &Plan) -> Self {
        let options = Options {
            send_timeout: plan.send_timeout,
            max_message_bytes: plan.max_message_bytes,
            ..Options::default()
        };
        if plan.raw_socket {
            let socket = RawSocket::with(plan.protocol, options);
            return Self::Raw(Raw { socket, protocol: plan.protocol, id: first_id(), latest: Header::EMPTY });
        }
        match plan.protocol {
            Protocol::Pair0 => Self::Pair0(Pair0Socket::with(options)),
            Protocol::Pair1 => Self::Pair1(Pair1Socket::with(options)),
            Protocol::Pub => Self::Pub(PubSocket::with(options)),
            Protocol::Sub => Self::Sub(subscriber(plan, options)),
            Protocol::Req => {
                let socket = ReqSocket::with(options);
                let context = socket.context();
                Self::Req(socket, context)
            }
            Protocol::Rep => {
                let socket = RepSocket::with(options);
                let context = socket.context();
                Self::Rep(socket, context)
            }
            Protocol::Push => Self::Push(PushSocket::with(options)),
            Protocol::Pull => Self::Pull(PullSocket::with(options)),
            Protocol::Surveyor => {
                let socket = SurveySocket::with(options);
                let context = socket.context();
                Self::Surveyor(socket, context)
            }
            Protocol::Respondent => {
                let socket = RespondSocket::with(options);
                let context = socket.context();
                Self::Respondent(socket, context)
            }
            Protocol::Bus => Self::Bus(BusSocket::with(options)),
        }
    }

    /// Listens at an address.
    pub(crate) async fn listen(&self, url: &str, options: ListenOptions) -> Result<Listener, ListenError> {
        each!(self, socket => socket.listen_with(url, options).await)
    }

    /// Dials an address.
    pub(crate) async fn dial(&self, url: &str, options: DialOptions) -> Result<Dialer, DialError> {
        each!(self, socket => socket.dial_with(url, options).await)
    }

    /// Sends `body`; on a socket that was asked something, as the answer.
    pub(crate) async fn send(&mut self, body: Bytes) -> Result<(), SendError> {
        match self {
            Self::Pair0(socket) => socket.send(body).await,
            Self::Pair1(socket) => socket.send(body).await,
            Self::Pub(socket) => socket.send(body).await,
            Self::Req(_, context) => context.send(body).await,
            Self::Rep(_, context) | Self::Respondent(_, context) => context.send(body).await,
            Self::Push(socket) => socket.send(body).await,
            Self::Surveyor(_, context) => context.send(body).await,
            Self::Bus(socket) => socket.send(body).await,
            Self::Raw(raw) => raw.send(body).await,
            Self::Sub(_) | Self::Pull(_) => Err(SendError::State(Message::new(body))),
        }
    }

    /// Receives a message, waiting no longer than `timeout`.
    pub(crate) async fn recv(&mut self, timeout: Option<Duration>) -> Result<Message, RecvError> {
        let Some(timeout) = timeout else { return self.recv_for_ever().await };
        tokio::time::timeout(timeout, self.recv_for_ever()).await.unwrap_or(Err(RecvError::TimedOut))
    }

    async fn recv_for_ever(&mut self) -> Result<Message, RecvError> {
        match self {
            Self::Pair0(socket) => socket.recv().await,
            Self::Pair1(socket) => socket.recv().await,
            Self::Sub(socket) => socket.recv().await,
            Self::Req(_, context) => context.recv().await,
            Self::Rep(_, context) | Self::Respondent(_, context) => context.recv().await,
            Self::Pull(socket) => socket.recv().await,
            Self::Surveyor(_, context) => context.recv().await,
            Self::Bus(socket) => socket.recv().await,
            Self::Raw(raw) => raw.recv().await,
            Self::Pub(_) | Self::Push(_) => Err(RecvError::State),
        }
    }

    /// Exposes the socket under a name.
    pub(crate) fn expose(&self, name: &str) {
        each!(self, socket => crate::stats::expose(name, socket));
    }

    /// Sends what waits and closes the socket.
    pub(crate) async fn close(&self, deadline: Duration) -> CloseReport {
        each!(self, socket => socket.close(deadline).await)
    }
}

/// A subscriber to the topics of `plan`, or to everything if there are none.
fn subscriber(plan: &Plan, options: Options) -> SubSocket {
    let socket = SubSocket::with(options);
    match plan.topics.as_slice() {
        [] => socket.subscribe(""),
        topics => topics.iter().for_each(|topic| socket.subscribe(topic)),
    }
    socket
}

/// A raw socket, with the headers that its protocol demands.
///
/// A question gets a new id, an answer the header of the latest question, a PAIR v1 message a hop
/// count of zero.
pub(crate) struct Raw {
    socket: RawSocket,
    protocol: Protocol,
    id: u32,
    latest: Header,
}

impl Raw {
    async fn send(&mut self, body: Bytes) -> Result<(), SendError> {
        let header = match self.protocol {
            Protocol::Req | Protocol::Surveyor => {
                self.id = self.id.wrapping_add(1);
                Header::tag(self.id | LAST_TAG)
            }
            Protocol::Rep | Protocol::Respondent => self.latest.clone(),
            Protocol::Pair1 => Header::tag(0),
            _ => Header::EMPTY,
        };
        self.socket.send(Message::with_header(header, body)).await
    }

    async fn recv(&mut self) -> Result<Message, RecvError> {
        let message = self.socket.recv().await?;
        self.latest = message.header().clone();
        Ok(message)
    }
}

/// The bit that ends a backtrace.
const LAST_TAG: u32 = 0x8000_0000;

/// Where ids start: anywhere, so that two runs do not share them.
fn first_id() -> u32 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since.subsec_nanos() ^ std::process::id().rotate_left(16)
}
