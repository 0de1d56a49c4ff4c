//! A connection's life: handshake bytes in any cuts, and inputs in any order.
//!
//! Input: our protocol, then records. A record is a byte: its low half says what happens, and for
//! handshake bytes (0) its high half says how many follow.

use spanwire_core::framing::sp::{HANDSHAKE_BYTES, Protocol};
use spanwire_core::session::state::{Input, Session, State, Step};
use spanwire_core::{DetachReason, Time};

/// It attaches once, and detaches exactly when it had attached.
///
/// # Panics
///
/// It does not.
pub fn handshake(data: &[u8]) {
    let Some((&first, mut data)) = data.split_first() else { return };
    let ours = Protocol::ALL[usize::from(first) % Protocol::ALL.len()];
    let deadline = |at: u8| Time::from_nanos(u64::from(at));
    let mut session = Session::new(ours, deadline(u8::MAX));
    let mut received: Vec<u8> = Vec::new();
    let (mut attaches, mut drops, mut accepted) = (0, 0, false);
    while let Some((&record, rest)) = data.split_first() {
        data = rest;
        let before = session.state();
        let step = match record & 0x0f {
            0 => {
                let (bytes, rest) = data.split_at(data.len().min(usize::from(record >> 4)));
                data = rest;
                let used = bytes.len().min(session.handshake_missing());
                if before == State::Handshaking {
                    received.extend(&bytes[..used]);
                }
                session.handshake(bytes)
            }
            what => {
                let input = match what {
                    1 => Input::Accepted,
                    2 => Input::Refused(DetachReason::Filtered),
                    3 => Input::Close,
                    4 => Input::Flushed,
                    5 => Input::PeerEnded { at_boundary: true },
                    6 => Input::PeerEnded { at_boundary: false },
                    7 => Input::Failed(DetachReason::ProtocolViolation),
                    _ => Input::Expired,
                };
                session.input(input, deadline(record))
            }
        };
        session.check_invariants();
        match step {
            Step::Attach => {
                attaches += 1;
                assert_eq!(received, ours.peer().handshake());
            }
            Step::Drop { detach } => {
                drops += 1;
                assert_eq!(detach, accepted, "it detaches if, and only if, it was attached");
            }
            Step::ShutDownWrite => assert_eq!(session.state(), State::HalfClosed),
            Step::Stay => {}
        }
        accepted |= session.state() == State::Attached;
        assert_eq!(matches!(session.state(), State::Closed(_)), drops == 1, "closed once, and for good");
        if before != State::Handshaking {
            assert_ne!(session.state(), State::Handshaking);
        } else if received.len() < HANDSHAKE_BYTES {
            assert!(attaches == 0);
        }
    }
    assert!(attaches <= 1 && drops <= 1 && (!accepted || attaches == 1));
}
