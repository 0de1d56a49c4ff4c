//! [`Machine`]: rustls over bytes in memory, for either side.

use crate::tls::TlsError;
use rustls::CommonState;
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus};
use std::ops::Deref;

/// The state of TLS on one connection. It decrypts records where they lie, and writes records into a buffer of
/// the caller's.
///
/// What the peer has sent and is not used up has to come again, in front of what comes next: while a message
/// of the handshake is in many records, rustls remembers where they lie.
pub(super) enum Machine {
    Client(Box<UnbufferedClientConnection>),
    Server(Box<UnbufferedServerConnection>),
}

/// What became of one step.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It has done something, and may do more with the same bytes.
    More,
    /// It needs more bytes from the peer.
    Rest,
    /// The peer has said that nothing more will come (close_notify).
    Closed,
}

/// One record holds at most so much of what it carries.
pub(super) const RECORD_BYTES: usize = 16 * 1024;

/// A record is at most so much larger than what it carries: 5 bytes of head; the type and a tag of 16 bytes, or
/// a nonce of 8 and the tag.
pub(super) const RECORD_OVERHEAD: usize = 32;

/// A new key goes before the record for which the old one was too old.
const KEY_UPDATE_BYTES: usize = 64;

impl Machine {
    /// One step on what the peer has sent: what it says goes to `plain`, what is to be sent to `replies`. Also
    /// how many bytes at the front of `sealed` are used up.
    pub(super) fn step(
        &mut self,
        sealed: &mut [u8],
        plain: impl FnMut(&[u8]),
        replies: &mut Vec<u8>,
    ) -> (usize, Result<Step, TlsError>) {
        match self {
            Self::Client(connection) => step(connection.process(sealed), plain, replies),
            Self::Server(connection) => step(connection.process(sealed), plain, replies),
        }
    }

    /// After a step that failed: the alert that tells the peer why, if there is one. Nothing else may be asked of the
    /// machine from then on.
    pub(super) fn last_words(&mut self, replies: &mut Vec<u8>) {
        // While it has something to send it looks at nothing that the peer has sent: looking at it again would be
        // the same failure again.
        while self.wants_write() {
            if self.step(&mut [], |_| {}, replies) != (0, Ok(Step::More)) {
                break;
            }
        }
    }

    /// Adds `plain` to `sealed` in records. `rest` is what the peer has sent and is not used up.
    pub(super) fn seal(
        &mut self,
        rest: &mut [u8],
        plain: &[u8],
        sealed: &mut Sealing<'_>,
    ) -> Result<(), TlsError> {
        match self {
            Self::Client(connection) => seal(&mut **connection, rest, What::Data(plain), sealed),
            Self::Server(connection) => seal(&mut **connection, rest, What::Data(plain), sealed),
        }
    }

    /// Adds to `sealed` that nothing more will come (close_notify).
    pub(super) fn close(&mut self, rest: &mut [u8], sealed: &mut Sealing<'_>) -> Result<(), TlsError> {
        match self {
            Self::Client(connection) => seal(&mut **connection, rest, What::Close, sealed),
            Self::Server(connection) => seal(&mut **connection, rest, What::Close, sealed),
        }
    }
}

/// What both sides know of the connection.
impl Deref for Machine {
    type Target = CommonState;

    fn deref(&self) -> &CommonState {
        match self {
            Self::Client(connection) => connection,
            Self::Server(connection) => connection,
        }
    }
}

/// A buffer whose first `used` bytes are records. It keeps its length, so that it is cleared only once.
pub(super) struct Sealing<'a> {
    pub(super) buffer: &'a mut Vec<u8>,
    pub(super) used: usize,
}

impl Sealing<'_> {
    /// Adds records that were sealed before.
    pub(super) fn add(&mut self, records: &[u8]) {
        self.free(records.len())[..records.len()].copy_from_slice(records);
        self.used += records.len();
    }

    /// The free part, at least `count` bytes of it.
    fn free(&mut self, count: usize) -> &mut [u8] {
        let wanted = self.used + count;
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        }
        &mut self.buffer[self.used..]
    }
}

/// How the two sides of rustls are alike.
trait Unbuffered {
    type Data;
    fn process<'c, 'i>(&'c mut self, sealed: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;
}

impl Unbuffered for UnbufferedClientConnection {
    type Data = ClientConnectionData;
    fn process<'c, 'i>(&'c mut self, sealed: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(sealed)
    }
}

impl Unbuffered for UnbufferedServerConnection {
    type Data = ServerConnectionData;
    fn process<'c, 'i>(&'c mut self, sealed: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(sealed)
    }
}

fn step<D>(
    status: UnbufferedStatus<'_, '_, D>,
    mut plain: impl FnMut(&[u8]),
    replies: &mut Vec<u8>,
) -> (usize, Result<Step, TlsError>) {
    let UnbufferedStatus { discard: mut done, state } = status;
    let step = match state {
        Ok(ConnectionState::ReadTraffic(mut traffic)) => {
            while let Some(record) = traffic.next_record() {
                match record {
                    Ok(record) => {
                        done += record.discard;
                        plain(record.payload);
                    }
                    Err(error) => return (done, Err(error.into())),
                }
            }
            Ok(Step::More)
        }
        Ok(ConnectionState::EncodeTlsData(mut reply)) => {
            let start = replies.len();
            let result = encode(
                |free| reply.encode(free),
                |count| {
                    replies.resize(start + count, 0);
                    &mut replies[start..]
                },
            );
            replies.truncate(start + *result.as_ref().unwrap_or(&0));
            result.map(|_| Step::More)
        }
        // Whoever has the replies will send them.
        Ok(ConnectionState::TransmitTlsData(sent)) => {
            sent.done();
            Ok(Step::More)
        }
        Ok(ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_)) => Ok(Step::Rest),
        Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => Ok(Step::Closed),
        // Early data is never allowed.
        Ok(state) => Err(TlsError::Protocol { why: format!("{state:?} came up") }),
        Err(error) => Err(error.into()),
    };
    (done, step)
}

/// Lets rustls write into a buffer of the size that it asks for.
fn encode<'a>(
    mut encode: impl FnMut(&mut [u8]) -> Result<usize, EncodeError>,
    room: impl FnOnce(usize) -> &'a mut [u8],
) -> Result<usize, TlsError> {
    let result = match encode(&mut []) {
        Err(EncodeError::InsufficientSize(size)) => encode(room(size.required_size)),
        result => result,
    };
    result.map_err(|error| TlsError::Failed { why: error.to_string() })
}

enum What<'a> {
    Data(&'a [u8]),
    Close,
}

fn seal<C: Unbuffered>(
    connection: &mut C,
    rest: &mut [u8],
    what: What<'_>,
    sealed: &mut Sealing<'_>,
) -> Result<(), TlsError> {
    let failed = |why: String| Err(TlsError::Failed { why });
    // What is in its queue comes first: a handful of replies, which only reading adds to.
    loop {
        match connection.process(rest).state {
            Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                let result = match what {
                    What::Data(plain) => {
                        let records = plain.len().div_ceil(RECORD_BYTES);
                        let free = sealed.free(plain.len() + records * RECORD_OVERHEAD + KEY_UPDATE_BYTES);
                        traffic.encrypt(plain, free)
                    }
                    What::Close => {
                        traffic.queue_close_notify(sealed.free(RECORD_OVERHEAD + KEY_UPDATE_BYTES))
                    }
                };
                return match result {
                    Ok(count) => {
                        sealed.used += count;
                        Ok(())
                    }
                    // With TLS 1.2 there are no new ones.
                    Err(EncryptError::EncryptExhausted) => failed("the keys are used up".into()),
                    Err(error) => failed(error.to_string()),
                };
            }
            Ok(ConnectionState::EncodeTlsData(mut reply)) => {
                let count = encode(|free| reply.encode(free), |count| sealed.free(count))?;
                sealed.used += count;
            }
            Ok(ConnectionState::TransmitTlsData(sent)) => sent.done(),
            Ok(state) => return failed(format!("{state:?} came up")),
            Err(error) => return Err(error.into()),
        }
    }
}
