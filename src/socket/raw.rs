//! [`RawSocket`]: any protocol without its state, for devices and for those who do it themselves.

use crate::Options;
use crate::rt::Home;
use spanwire_core::framing::sp::Protocol;
use spanwire_core::pattern::{Bus, Pair0, Pair1, Pub, Pull, Push, RawRep, RawReq, RawSurveyor, Rules, Sub};

/// A socket in raw mode.
///
/// It keeps no requests, no surveys and no subscriptions; headers are the application's business.
///
/// | protocol | what it sends | what it receives |
/// | --- | --- | --- |
/// | REQ | header and body as they are, to one peer (a chosen one, if the message names a pipe) | replies: backtrace in the header |
/// | SURVEYOR | the same, to everybody | answers: backtrace in the header |
/// | REP, RESPONDENT | to the pipe that the first tag of the header names, without that tag | requests: the pipe's tag and the backtrace in the header |
/// | PAIR v1 | a 4-byte hop count in the header, one is added | the hop count in the header |
/// | BUS | to all but the pipe that the header names | the pipe's tag in the header |
/// | SUB | | everything |
/// | the others | as cooked | as cooked |
///
/// Sending on one that only receives, or the other way round, gives `State`.
#[derive(Clone, Debug)]
pub struct RawSocket {
    pub(crate) handle: super::Handle,
}

impl RawSocket {
    /// A raw socket of this protocol with default options, in the runtime of the caller; where
    /// there is none, on the library's one background thread.
    pub fn new(protocol: Protocol) -> Self {
        Self::with(protocol, Options::default())
    }

    /// A raw socket with these options.
    pub fn with(protocol: Protocol, options: Options) -> Self {
        Self::at(protocol, options, Home::current())
    }

    pub(crate) fn at(protocol: Protocol, options: Options, home: Home) -> Self {
        let options = options.clamped();
        let rule: Rules = match protocol {
            Protocol::Pair0 => Pair0::new(&options).into(),
            Protocol::Pair1 => Pair1::raw(&options).into(),
            Protocol::Pub => Pub::new(&options).into(),
            Protocol::Sub => Sub::raw(&options).into(),
            Protocol::Req => RawReq::new(&options).into(),
            Protocol::Rep | Protocol::Respondent => RawRep::new(&options).into(),
            Protocol::Push => Push::new(&options).into(),
            Protocol::Pull => Pull::new(&options).into(),
            Protocol::Surveyor => RawSurveyor::new(&options).into(),
            Protocol::Bus => Bus::raw(&options).into(),
        };
        Self { handle: super::Handle::new(protocol, rule, options, home) }
    }

    /// The protocol it speaks.
    pub fn protocol(&self) -> Protocol {
        self.handle.core.protocol
    }
}

common_methods!(RawSocket);
sending_methods!(RawSocket);
receiving_methods!(RawSocket);
