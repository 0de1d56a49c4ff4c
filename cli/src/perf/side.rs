//! [`Side`]: one of the two sockets of a measurement, whatever its pattern, async or blocking.
//!
//! The blocking one has async functions too, so that a measurement is written once; they never wait
//! in any other way than by blocking their thread, which is what is to be measured.

use super::{GOODBYE, lost};
use crate::complaint::Complaint;
use crate::secure::Secure;
use crate::stats::Stats;
use bytes::Bytes;
use spanwire::watch::Service;
use spanwire::{
    CloseReport, DialError, DialOptions, ListenError, ListenOptions, Listener, Options, RecvError,
    RequestError, SendError,
};
use std::time::Duration;

/// What a side does.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Req,
    Rep,
    Push,
    Pull,
    Pair0,
    Pair1,
}

/// A socket that asks, answers, sends or receives.
pub(super) trait Side: Sized {
    fn open(kind: Kind, options: Options) -> Self;

    async fn listen(&self, url: &str, options: ListenOptions) -> Result<Listener, ListenError>;

    async fn dial(&self, url: &str, options: DialOptions) -> Result<(), DialError>;

    async fn wait_for_peer(&self) -> Result<(), Complaint>;

    /// Sends a message and waits for one; returns how long that is.
    async fn ask(&self, body: Bytes) -> Result<usize, Complaint>;

    /// Waits for a message of this size, and sends it back.
    async fn answer(&self, size: usize) -> Result<(), Complaint>;

    async fn send(&self, body: Bytes) -> Result<(), Complaint>;

    /// Waits for a message; returns how long it is.
    async fn recv(&self) -> Result<usize, Complaint>;

    /// `work`, or the reason why its peer is not there any more: a measurement across a lost
    /// connection would measure something else.
    #[allow(clippy::await_holding_refcell_ref)] // see below
    async fn while_connected<T>(
        &self,
        work: impl Future<Output = Result<T, Complaint>>,
    ) -> Result<T, Complaint>;

    /// Shows the socket where `stats` says, for as long as what is returned is kept.
    async fn show(&self, stats: &Stats, secure: &Secure) -> Result<Option<Service>, Complaint>;

    async fn close(&self) -> CloseReport;
}

/// A side of async sockets.
pub(super) use asynchronous::Socket as Async;
/// A side of blocking sockets.
pub(super) use blocking::Socket as Blocking;

/// How often a blocking call looks up, to see whether there is still somebody to wait for.
const LOOK_UP: Duration = Duration::from_secs(1);
/// A blocking request cannot look up without being given up. No peer takes so long to answer.
const NO_ANSWER: Duration = Duration::from_secs(20);

/// Both kinds are written the same, but for what stands behind each call that may wait.
macro_rules! side {
    ($module:ident, $($sockets:ident)::+, [$($wait:tt)*], $options:expr, $while_connected:item) => {
        mod $module {
            use super::*;
            use $($sockets)::+::{
                Events, Pair0Socket, Pair1Socket, PullSocket, PushSocket, RepSocket, ReqSocket,
            };
            use std::cell::RefCell;

            pub(in crate::perf) struct Socket {
                pattern: Pattern,
                /// What happened, for those who wait too long.
                events: RefCell<Option<Events>>,
            }

            enum Pattern {
                Req(ReqSocket),
                Rep(RepSocket),
                Push(PushSocket),
                Pull(PullSocket),
                Pair0(Pair0Socket),
                Pair1(Pair1Socket),
            }

            macro_rules! each {
                ($pattern:expr, $socket:ident => $call:expr) => {
                    match &$pattern {
                        Pattern::Req($socket) => $call,
                        Pattern::Rep($socket) => $call,
                        Pattern::Push($socket) => $call,
                        Pattern::Pull($socket) => $call,
                        Pattern::Pair0($socket) => $call,
                        Pattern::Pair1($socket) => $call,
                    }
                };
            }

            impl Socket {
                fn look_up(&self) -> Result<(), Complaint> {
                    // Somebody else may have taken them, to look at them all the time.
                    let mut events = self.events.borrow_mut();
                    while let Some(event) = events.as_mut().and_then(Events::try_next) {
                        lost(&event)?;
                    }
                    Ok(())
                }
            }

            impl Side for Socket {
                fn open(kind: Kind, options: Options) -> Self {
                    let options = $options(kind, options);
                    let pattern = match kind {
                        Kind::Req => Pattern::Req(ReqSocket::with(options)),
                        Kind::Rep => Pattern::Rep(RepSocket::with(options)),
                        Kind::Push => Pattern::Push(PushSocket::with(options)),
                        Kind::Pull => Pattern::Pull(PullSocket::with(options)),
                        Kind::Pair0 => Pattern::Pair0(Pair0Socket::with(options)),
                        Kind::Pair1 => Pattern::Pair1(Pair1Socket::with(options)),
                    };
                    let events = RefCell::new(Some(each!(pattern, socket => socket.events())));
                    Self { pattern, events }
                }

                async fn listen(&self, url: &str, options: ListenOptions) -> Result<Listener, ListenError> {
                    each!(self.pattern, socket => socket.listen_with(url, options)$($wait)*)
                }

                async fn dial(&self, url: &str, options: DialOptions) -> Result<(), DialError> {
                    each!(self.pattern, socket => socket.dial_with(url, options)$($wait)*).map(drop)
                }

                async fn show(&self, stats: &Stats, secure: &Secure) -> Result<Option<Service>, Complaint> {
                    each!(self.pattern, socket => stats.show(secure, [("perf", socket)]).await)
                }

                async fn wait_for_peer(&self) -> Result<(), Complaint> {
                    each!(self.pattern, socket => socket.wait_peers(1)$($wait)*).map_err(failed)
                }

                async fn ask(&self, body: Bytes) -> Result<usize, Complaint> {
                    let Pattern::Req(socket) = &self.pattern else {
                        self.send(body).await?;
                        return self.recv().await;
                    };
                    match socket.request(body)$($wait)* {
                        Ok(reply) => Ok(reply.body().len()),
                        Err(error) => {
                            if let RequestError::Recv(RecvError::TimedOut) = &error {
                                self.look_up()?;
                            }
                            Err(failed(error))
                        }
                    }
                }

                async fn answer(&self, size: usize) -> Result<(), Complaint> {
                    let Pattern::Rep(socket) = &self.pattern else {
                        let got = self.recv_body().await?;
                        super::super::check_size(size, got.len())?;
                        return self.send(got).await;
                    };
                    loop {
                        match socket.recv()$($wait)* {
                            Ok(request) => {
                                super::super::check_size(size, request.len())?;
                                let body = request.message().body().clone();
                                return request.reply(body)$($wait)*.map_err(failed);
                            }
                            Err(RecvError::TimedOut) => self.look_up()?,
                            Err(error) => return Err(failed(error)),
                        }
                    }
                }

                async fn send(&self, body: Bytes) -> Result<(), Complaint> {
                    let mut message = spanwire::Message::new(body);
                    loop {
                        let sent = match &self.pattern {
                            Pattern::Push(socket) => socket.send(message)$($wait)*,
                            Pattern::Pair0(socket) => socket.send(message)$($wait)*,
                            Pattern::Pair1(socket) => socket.send(message)$($wait)*,
                            _ => unreachable!("only those send that can"),
                        };
                        match sent {
                            Ok(()) => return Ok(()),
                            Err(SendError::TimedOut(back)) => message = back,
                            Err(error) => return Err(failed(error)),
                        }
                        self.look_up()?;
                    }
                }

                async fn recv(&self) -> Result<usize, Complaint> {
                    self.recv_body().await.map(|body| body.len())
                }

                $while_connected

                async fn close(&self) -> CloseReport {
                    each!(self.pattern, socket => socket.close(GOODBYE)$($wait)*)
                }
            }

            impl Socket {
                async fn recv_body(&self) -> Result<Bytes, Complaint> {
                    loop {
                        let received = match &self.pattern {
                            Pattern::Pull(socket) => socket.recv()$($wait)*,
                            Pattern::Pair0(socket) => socket.recv()$($wait)*,
                            Pattern::Pair1(socket) => socket.recv()$($wait)*,
                            _ => unreachable!("only those receive that can"),
                        };
                        match received {
                            Ok(message) => return Ok(message.into_body()),
                            Err(RecvError::TimedOut) => self.look_up()?,
                            Err(error) => return Err(failed(error)),
                        }
                    }
                }
            }
        }
    };
}

side!(
    asynchronous,
    spanwire,
    [.await],
    |_, options| options,
    #[allow(clippy::await_holding_refcell_ref)] // see below
    async fn while_connected<T>(
        &self,
        work: impl Future<Output = Result<T, Complaint>>,
    ) -> Result<T, Complaint> {
        // Without timeouts, no call looks up.
        let mut events = self.events.borrow_mut().take();
        let watch = async {
            while let Some(events) = &mut events {
                let Some(event) = events.next().await else { break };
                lost(&event)?;
            }
            Err(failed(RecvError::Closed))
        };
        tokio::select! {
            biased;
            done = work => done,
            gone = watch => gone,
        }
    }
);

side!(
    blocking,
    spanwire::blocking,
    [],
    |kind, options| {
        let patience = if kind == Kind::Req { NO_ANSWER } else { LOOK_UP };
        Options { send_timeout: Some(LOOK_UP), recv_timeout: Some(patience), ..options }
    },
    #[allow(clippy::await_holding_refcell_ref)] // see below
    async fn while_connected<T>(
        &self,
        work: impl Future<Output = Result<T, Complaint>>,
    ) -> Result<T, Complaint> {
        // The calls look up themselves.
        work.await
    }
);

fn failed(error: impl std::error::Error) -> Complaint {
    Complaint::new(error.to_string())
}
