//! libzmq.
#![expect(unsafe_code, reason = "libzmq is a C library")]

use crate::blocking::{self, Library};
use crate::body::{self, Seen};
use crate::kind::Kind;
use crate::loaded;
use anyhow::{Context as _, Result, bail};
use rustix::event::{PollFd, PollFlags, poll};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What `list` says.
pub(crate) const SETTINGS: &str = "one I/O thread and high-water marks of 1000 messages as by default; \
    no-delay is built in; zmq_send for small bodies, zmq_msg_init_data without a copy above 4 KiB, \
    zmq_msg_recv; pub with ZMQ_XPUB_NODROP, so that it waits, but not beside a subscriber that does not \
    read; flight from a DEALER to a ROUTER that one thread answers, which is faster than the guide's \
    proxy with four workers, with ZMQ_ROUTER_MANDATORY, so that it waits; load the same, waiting for the \
    next request with ZMQ_FD; a socket is not shared by threads, as the manual asks; connect with req \
    and rep, since closing is done in the background; outrun with high-water marks of 4";

loaded::functions! {
    zmq_errno: fn() -> c_int;
    zmq_strerror: fn(c_int) -> *const c_char;
    zmq_version: fn(*mut c_int, *mut c_int, *mut c_int) -> ();
    zmq_ctx_new: fn() -> *mut c_void;
    zmq_ctx_set: fn(*mut c_void, c_int, c_int) -> c_int;
    zmq_ctx_term: fn(*mut c_void) -> c_int;
    zmq_socket: fn(*mut c_void, c_int) -> *mut c_void;
    zmq_close: fn(*mut c_void) -> c_int;
    zmq_setsockopt: fn(*mut c_void, c_int, *const c_void, usize) -> c_int;
    zmq_getsockopt: fn(*mut c_void, c_int, *mut c_void, *mut usize) -> c_int;
    zmq_bind: fn(*mut c_void, *const c_char) -> c_int;
    zmq_connect: fn(*mut c_void, *const c_char) -> c_int;
    zmq_send: fn(*mut c_void, *const c_void, usize, c_int) -> c_int;
    zmq_msg_init: fn(*mut RawMessage) -> c_int;
    zmq_msg_init_data: fn(*mut RawMessage, *mut c_void, usize, FreeBody, *mut c_void) -> c_int;
    zmq_msg_recv: fn(*mut RawMessage, *mut c_void, c_int) -> c_int;
    zmq_msg_send: fn(*mut RawMessage, *mut c_void, c_int) -> c_int;
    zmq_msg_close: fn(*mut RawMessage) -> c_int;
    zmq_msg_data: fn(*mut RawMessage) -> *mut c_void;
    zmq_msg_size: fn(*const RawMessage) -> usize;
}

/// As zmq.h declares it for everything but Windows.
#[repr(C, align(8))]
struct RawMessage([u8; 64]);

type FreeBody = unsafe extern "C" fn(*mut c_void, *mut c_void);

/// The library with a context.
pub(crate) struct Zmq {
    context: Arc<Context>,
}

struct Context {
    functions: Functions,
    raw: *mut c_void,
}

// SAFETY: a context and the functions on it may be used by any thread.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

impl Zmq {
    pub(crate) fn load() -> Result<Self> {
        // SAFETY: loading it runs nothing that touches us.
        let library = unsafe { libloading::Library::new(FILE) }.context("libzmq5 is not installed")?;
        // SAFETY: the types are those of zmq.h, and the library stays loaded for good, below.
        let functions = unsafe { Functions::load(&library) }.context("libzmq is not the one we know")?;
        std::mem::forget(library);
        // SAFETY: it takes nothing.
        let raw = unsafe { (functions.zmq_ctx_new)() };
        let context = Context { functions, raw };
        // By default 1023; pushers and connections that are being closed need more.
        // SAFETY: the context is there.
        context.check(unsafe { (context.functions.zmq_ctx_set)(raw, ZMQ_MAX_SOCKETS, 20_000) })?;
        Ok(Self { context: Arc::new(context) })
    }

    pub(crate) fn version(&self) -> String {
        let (mut major, mut minor, mut patch) = (0, 0, 0);
        // SAFETY: there is a place for each number.
        unsafe { (self.context.functions.zmq_version)(&mut major, &mut minor, &mut patch) };
        format!("{major}.{minor}.{patch}")
    }
}

impl Context {
    /// What a call returned, or why it failed.
    fn check(&self, result: c_int) -> Result<c_int> {
        if result < 0 {
            // SAFETY: the string lives as long as the library.
            let why = unsafe { CStr::from_ptr((self.functions.zmq_strerror)(self.errno())) };
            bail!("libzmq: {}", why.to_string_lossy());
        }
        Ok(result)
    }

    fn errno(&self) -> c_int {
        // SAFETY: it takes nothing.
        unsafe { (self.functions.zmq_errno)() }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: every socket has closed itself before it let go of the context. It waits until what
        // they had to send is sent.
        unsafe { (self.functions.zmq_ctx_term)(self.raw) };
    }
}

impl Library for Zmq {
    type Socket = Socket;
    const PUB_LOSES: bool = false;
    // It does, but in the background.
    const CLOSE_DELIVERS: bool = false;

    fn open(&self, kind: Kind, _: usize) -> Result<Socket> {
        let number = match kind {
            Kind::Pub | Kind::LossyPub => ZMQ_PUB,
            Kind::Sub => ZMQ_SUB,
            Kind::Req => ZMQ_REQ,
            Kind::Rep => ZMQ_REP,
            Kind::Dealer => ZMQ_DEALER,
            Kind::Router => ZMQ_ROUTER,
            Kind::Pull => ZMQ_PULL,
            Kind::Push => ZMQ_PUSH,
        };
        // SAFETY: the context is there.
        let raw = unsafe { (self.context.functions.zmq_socket)(self.context.raw, number) };
        if raw.is_null() {
            self.context.check(-1).context("opening a socket")?;
        }
        let socket = Socket { context: self.context.clone(), raw, kind, patience: None };
        match kind {
            Kind::Pull => socket.set(ZMQ_BACKLOG, 4096)?,
            Kind::Sub => socket.set_bytes(ZMQ_SUBSCRIBE, b"")?,
            // Blocks at the high-water mark of the slowest instead of dropping (zmq_setsockopt(3)).
            Kind::Pub => socket.set(ZMQ_XPUB_NODROP, 1)?,
            // The same for answers, of which it would drop what exceeds the mark (zmq_setsockopt(3)).
            Kind::Router => socket.set(ZMQ_ROUTER_MANDATORY, 1)?,
            _ => {}
        }
        if matches!(kind, Kind::Pub | Kind::LossyPub) {
            // At the end everybody has what he wanted, or will never read it.
            socket.set(ZMQ_LINGER, 0)?;
        }
        Ok(socket)
    }
}

pub(crate) struct Socket {
    context: Arc<Context>,
    raw: *mut c_void,
    kind: Kind,
    patience: Option<Duration>,
}

// SAFETY: a socket may go to another thread; only use by two at once is forbidden, and needs `&mut` here.
unsafe impl Send for Socket {}

impl Socket {
    fn set(&self, option: c_int, value: c_int) -> Result<()> {
        self.set_bytes(option, &value.to_ne_bytes())
    }

    fn set_bytes(&self, option: c_int, value: &[u8]) -> Result<()> {
        let (place, size) = (value.as_ptr().cast(), value.len());
        // SAFETY: the value is of that size and read before the call returns.
        let result = unsafe { (self.context.functions.zmq_setsockopt)(self.raw, option, place, size) };
        self.context.check(result).map(|_| ())
    }

    /// Receives into `message`. `false` if nothing came in time.
    fn recv_message(&mut self, message: &mut Message, flags: c_int) -> Result<bool> {
        // SAFETY: the message is initialised; what it held is let go.
        let result = unsafe { (self.context.functions.zmq_msg_recv)(&mut message.raw, self.raw, flags) };
        if result < 0 && self.context.errno() == EAGAIN {
            return Ok(false);
        }
        self.context.check(result).map(|_| true)
    }

    /// Waits until something may have changed, no longer than `timeout`; its own poll counts milliseconds.
    fn wait(&self, timeout: Duration) -> Result<()> {
        let (mut raw, mut size): (c_int, _) = (-1, size_of::<c_int>());
        // SAFETY: there is as much room as `size` says.
        let result = unsafe {
            let place = (&raw mut raw).cast();
            (self.context.functions.zmq_getsockopt)(self.raw, ZMQ_FD, place, &mut size)
        };
        self.context.check(result)?;
        // SAFETY: it is open as long as the socket is.
        let descriptor = unsafe { BorrowedFd::borrow_raw(raw) };
        poll(&mut [PollFd::new(&descriptor, PollFlags::IN)], Some(&timeout.try_into()?))?;
        Ok(())
    }

    /// Sends `message`, which is empty afterwards.
    fn send_message(&mut self, message: &mut Message, flags: c_int) -> Result<()> {
        // SAFETY: the message is initialised, and stays so.
        let result = unsafe { (self.context.functions.zmq_msg_send)(&mut message.raw, self.raw, flags) };
        self.context.check(result).map(|_| ())
    }
}

impl blocking::Socket for Socket {
    type Body = Arc<Vec<u8>>;

    fn body(bytes: Vec<u8>) -> Result<Arc<Vec<u8>>> {
        Ok(Arc::new(bytes))
    }

    fn bound(&mut self, messages: u32) -> Result<bool> {
        for option in [ZMQ_SNDHWM, ZMQ_RCVHWM] {
            self.set(option, messages as c_int)?;
        }
        Ok(true)
    }

    fn listen(&mut self, url: &str) -> Result<String> {
        let address = CString::new(url)?;
        // SAFETY: the URL ends with a zero.
        self.context.check(unsafe { (self.context.functions.zmq_bind)(self.raw, address.as_ptr()) })?;
        let mut bound = vec![0_u8; 256];
        let mut size = bound.len();
        // SAFETY: there is as much room as `size` says.
        let result = unsafe {
            let place = bound.as_mut_ptr().cast();
            (self.context.functions.zmq_getsockopt)(self.raw, ZMQ_LAST_ENDPOINT, place, &mut size)
        };
        self.context.check(result)?;
        Ok(CStr::from_bytes_until_nul(&bound)?.to_str()?.to_owned())
    }

    fn dial(&mut self, url: &str) -> Result<()> {
        let address = CString::new(url)?;
        // SAFETY: the URL ends with a zero.
        let result = unsafe { (self.context.functions.zmq_connect)(self.raw, address.as_ptr()) };
        self.context.check(result).map(|_| ())
    }

    fn send(&mut self, body: &Arc<Vec<u8>>) -> Result<()> {
        if body.len() > LARGEST_COPIED {
            let mut message = Message::sharing(&self.context, body)?;
            return self.send_message(&mut message, 0);
        }
        // SAFETY: the body is of that length and copied before the call returns.
        let result =
            unsafe { (self.context.functions.zmq_send)(self.raw, body.as_ptr().cast(), body.len(), 0) };
        self.context.check(result).map(|_| ())
    }

    fn send_fresh(&mut self, bytes: usize, patience: Duration) -> Result<bool> {
        self.set(ZMQ_SNDTIMEO, patience.as_millis() as c_int)?;
        match self.send(&Arc::new(body::filling(bytes))) {
            Err(_) if self.context.errno() == EAGAIN => Ok(false),
            sent => sent.map(|()| true),
        }
    }

    fn recv(&mut self, patience: Option<Duration>) -> Result<Option<Seen>> {
        if patience != self.patience {
            self.set(ZMQ_RCVTIMEO, patience.map_or(-1, |patience| patience.as_millis() as c_int))?;
            self.patience = patience;
        }
        let mut message = Message::new(&self.context)?;
        Ok(self.recv_message(&mut message, 0)?.then(|| message.seen()))
    }

    fn recv_until(&mut self, deadline: Option<Instant>) -> Result<Option<Seen>> {
        let Some(deadline) = deadline else { return self.recv(None) };
        let mut message = Message::new(&self.context)?;
        // Trying takes in what the descriptor has told, so it tells the next (zmq_getsockopt(3)).
        while !self.recv_message(&mut message, ZMQ_DONTWAIT)? {
            let ahead = deadline.saturating_duration_since(Instant::now());
            if ahead.is_zero() {
                return Ok(None);
            }
            self.wait(ahead)?;
        }
        Ok(Some(message.seen()))
    }

    fn echo(&mut self) -> Result<Seen> {
        let mut message = Message::new(&self.context)?;
        if self.kind == Kind::Router {
            // The first frame goes before the answer as it came before the request.
            let mut asker = Message::new(&self.context)?;
            self.recv_message(&mut asker, 0)?;
            self.recv_message(&mut message, 0)?;
            self.send_message(&mut asker, ZMQ_SNDMORE)?;
        } else {
            self.recv_message(&mut message, 0)?;
        }
        let seen = Seen::new(message.body().len(), &[]);
        self.send_message(&mut message, 0)?;
        Ok(seen)
    }

    fn share(&self) -> Option<Self> {
        None
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // SAFETY: the socket is ours and nobody uses it any more.
        unsafe { (self.context.functions.zmq_close)(self.raw) };
    }
}

/// A message, initialised. It must stay where it is while libzmq uses it, which is no longer than a call.
struct Message {
    raw: RawMessage,
    context: Arc<Context>,
}

impl Message {
    /// An empty one.
    fn new(context: &Arc<Context>) -> Result<Self> {
        let mut raw = RawMessage([0; 64]);
        // SAFETY: there is room for it. It has no address of its own in it, so it may be moved.
        context.check(unsafe { (context.functions.zmq_msg_init)(&mut raw) })?;
        Ok(Self { raw, context: context.clone() })
    }

    /// One that keeps `body` alive instead of copying it.
    fn sharing(context: &Arc<Context>, body: &Arc<Vec<u8>>) -> Result<Self> {
        let mut raw = RawMessage([0; 64]);
        let (data, size) = (body.as_ptr().cast_mut().cast(), body.len());
        let kept = Arc::into_raw(body.clone()).cast_mut().cast();
        // SAFETY: nobody writes into the body, and what keeps it alive is let go when libzmq is done.
        let result = unsafe { (context.functions.zmq_msg_init_data)(&mut raw, data, size, release, kept) };
        context.check(result)?;
        Ok(Self { raw, context: context.clone() })
    }

    fn seen(&mut self) -> Seen {
        let body = self.body();
        Seen::new(body.len(), body)
    }

    fn body(&mut self) -> &[u8] {
        let functions = &self.context.functions;
        // SAFETY: the message is initialised; its body is of that size and changes only through `self`.
        unsafe {
            let data = (functions.zmq_msg_data)(&mut self.raw).cast::<u8>();
            std::slice::from_raw_parts(data, (functions.zmq_msg_size)(&self.raw))
        }
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        // SAFETY: it is initialised and nobody uses it any more.
        unsafe { (self.context.functions.zmq_msg_close)(&mut self.raw) };
    }
}

unsafe extern "C" fn release(_: *mut c_void, kept: *mut c_void) {
    // SAFETY: it comes from `Arc::into_raw` in `Message::sharing`, and libzmq calls this once.
    drop(unsafe { Arc::from_raw(kept.cast::<Vec<u8>>()) });
}

/// The library of version 4.
const FILE: &str = "libzmq.so.5";

/// Below, a copy costs less than keeping count of who still needs the body.
const LARGEST_COPIED: usize = 4 << 10;

// From zmq.h, and errno.h of Linux.
const ZMQ_MAX_SOCKETS: c_int = 2;
const ZMQ_PUB: c_int = 1;
const ZMQ_SUB: c_int = 2;
const ZMQ_REQ: c_int = 3;
const ZMQ_REP: c_int = 4;
const ZMQ_DEALER: c_int = 5;
const ZMQ_ROUTER: c_int = 6;
const ZMQ_PULL: c_int = 7;
const ZMQ_PUSH: c_int = 8;
const ZMQ_SUBSCRIBE: c_int = 6;
const ZMQ_FD: c_int = 14;
const ZMQ_LINGER: c_int = 17;
const ZMQ_BACKLOG: c_int = 19;
const ZMQ_SNDHWM: c_int = 23;
const ZMQ_RCVHWM: c_int = 24;
const ZMQ_RCVTIMEO: c_int = 27;
const ZMQ_SNDTIMEO: c_int = 28;
const ZMQ_LAST_ENDPOINT: c_int = 32;
const ZMQ_ROUTER_MANDATORY: c_int = 33;
const ZMQ_XPUB_NODROP: c_int = 69;
const ZMQ_DONTWAIT: c_int = 1;
const ZMQ_SNDMORE: c_int = 2;
const EAGAIN: c_int = 11;
