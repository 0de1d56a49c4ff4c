//! What a frame means.

use super::{End, Link, State};
use crate::framing::link::{Control, Head, Kind, Layer, LinkError, Reason, STREAMED};
use crate::link::calls::Failure;
use crate::link::options::LinkOptions;
use crate::link::parcel::Parcel;
use crate::time::Time;
use bytes::Bytes;

impl Link {
    /// A frame has come, without its length.
    pub fn frame(&mut self, frame: Bytes, now: Time) {
        self.pulse.heard(now);
        if let Err(error) = self.try_frame(frame, now) {
            self.violated(error);
        }
    }

    pub(super) fn try_frame(&mut self, mut frame: Bytes, now: Time) -> Result<(), LinkError> {
        let whole = frame.len();
        if whole > self.max_frame_bytes() {
            return Err(LinkError::TooLarge { claimed: whole as u64 });
        }
        if self.state == State::Greeting {
            return self.greeted(frame);
        }
        let head = Head::decode(&mut frame)?;
        match self.state {
            State::Open | State::Draining { .. } => match head.layer {
                Layer::Application => self.content(head, frame),
                Layer::Session => self.heard(Control::decode(head, frame)?, now),
            },
            State::Confirming | State::Judging { .. } | State::Greeting => {
                match Control::decode(head, frame)? {
                    Control::Ack { proof } if self.state == State::Confirming => {
                        self.proof = proof;
                        self.enter(State::Judging { ack: true });
                        Ok(())
                    }
                    Control::Refuse { reason, text } => {
                        self.finish(End::RefusedByPeer { reason, text });
                        Ok(())
                    }
                    Control::Goodbye { reason, text, .. } => {
                        self.finish(End::ClosedByPeer { reason, text });
                        Ok(())
                    }
                    _ => Err(LinkError::Unexpected("message in the handshake")),
                }
            }
            State::Over(_) => {
                match head.layer {
                    Layer::Application => self.stats.discarded_messages += 1,
                    // What we have said last crosses what the peer has: how much it had is news.
                    Layer::Session => {
                        if let Ok(Control::Goodbye { received, .. }) = Control::decode(head, frame) {
                            self.confirmed = Some(received);
                        }
                    }
                }
                Ok(())
            }
        }
    }

    /// A message of the session.
    pub(super) fn heard(&mut self, control: Control, now: Time) -> Result<(), LinkError> {
        if matches!(
            control,
            Control::Ping { .. } | Control::Pong { .. } | Control::Metadata(_) | Control::Cancel { .. }
        ) && !self.controls_rate.take(1, now)
        {
            self.refuse(Reason::TooFast, "too many messages about the connection");
            return Ok(());
        }
        match control {
            Control::Ack { .. } => return Err(LinkError::Unexpected("Ack")),
            Control::Refuse { .. } => return Err(LinkError::Unexpected("Refuse")),
            Control::Metadata(metadata) => {
                if let Some(theirs) = &mut self.theirs {
                    theirs.metadata = metadata;
                    self.changes.metadata = true;
                }
            }
            Control::Ping { token } => self.push_control(Control::Pong { token }),
            Control::Pong { token } => {
                self.pulse.pong(token, now);
            }
            Control::Goodbye { reason, received, text } => self.parted(reason, received, text),
            Control::Grant { messages, bytes } => {
                if !self.allowance.granted(messages, bytes) {
                    return Err(LinkError::BadField("grant"));
                }
            }
            Control::Begin { transfer, head, length, .. } => self.begun(transfer, head, length)?,
            Control::Chunk { transfer, data } => {
                let count = data.len() as u64;
                if self.gather.chunk(transfer, data)? {
                    self.stats.received_bytes += count;
                    self.changes.streams = true;
                    self.comes(0, count);
                }
            }
            Control::End { transfer } => match self.gather.end(transfer)? {
                Some((head, payload)) => self.whole(head, payload)?,
                None => self.changes.streams = true,
            },
            Control::Abort { transfer } => match self.gather.abort(transfer)? {
                Some(length) => self.discard(length),
                None => self.changes.streams = true,
            },
            Control::Stop { transfer } => self.stopped(transfer)?,
            Control::Widen { transfer, bytes } => match self.outgoing.get_mut(&transfer) {
                // It may cross our end of the stream and the peer's word that it has had all.
                None => {}
                Some(stream) => {
                    let window = self.theirs.as_ref().map_or(0, |theirs| theirs.stream_window_bytes);
                    if bytes > stream.sent.saturating_add(window.into()) {
                        return Err(LinkError::BadField("widen"));
                    }
                    stream.granted = stream.granted.max(bytes);
                    self.changes.room = true;
                }
            },
            Control::Request { .. } | Control::Reply { .. } => {
                let (fields, body) = control.encode();
                self.credited((fields.len() + body.len()) as u64)?;
                self.asked_or_answered(control)?;
            }
            Control::Failure { id, code, text } => self.answered(id, Err(Failure { code, text })),
            Control::Cancel { id } => {
                if let Some(parcel) = self.asked.cancel(id) {
                    self.discard(12 + parcel.body.len() as u64);
                }
            }
        }
        Ok(())
    }

    pub(super) fn begun(&mut self, transfer: u32, head: Head, length: u64) -> Result<(), LinkError> {
        let is_content = head.layer == Layer::Application
            || head == Head::session(Kind::Request)
            || head == Head::session(Kind::Reply);
        if !is_content || (length == STREAMED && head.layer != Layer::Application) {
            return Err(LinkError::BadField("head"));
        }
        if length != STREAMED {
            // A request has twelve bytes of its own, which its sender does not count.
            let limit = self.options.max_message_bytes.saturating_add(12);
            if length > limit {
                return Err(LinkError::TooLarge { claimed: length });
            }
            self.credited(length)?;
        }
        let LinkOptions { streams, stream_bytes, .. } = self.options;
        self.gather.begin(transfer, head, length, streams, stream_bytes)?;
        if length == STREAMED {
            self.streams.push_back((transfer, head));
            self.changes.streams = true;
        }
        Ok(())
    }

    /// A message of the application, in one frame.
    pub(super) fn content(&mut self, head: Head, body: Bytes) -> Result<(), LinkError> {
        self.credited(body.len() as u64)?;
        self.whole(head, body)
    }

    /// A message is whole.
    pub(super) fn whole(&mut self, head: Head, payload: Bytes) -> Result<(), LinkError> {
        if head.layer == Layer::Session {
            return self.asked_or_answered(Control::decode(head, payload)?);
        }
        if !self.is_open() {
            self.discard(payload.len() as u64);
            return Ok(());
        }
        self.stats.received_messages += 1;
        self.stats.received_bytes += payload.len() as u64;
        self.received.push_back(Parcel::new(head.protocol, head.message, payload));
        self.changes.messages = true;
        Ok(())
    }

    /// The oldest message that came.
    pub fn recv(&mut self) -> Option<Parcel> {
        let parcel = self.received.pop_front()?;
        self.taken(parcel.body.len() as u64);
        Some(parcel)
    }

    /// Whether a message could be taken.
    pub fn has_message(&self) -> bool {
        !self.received.is_empty()
    }
}
