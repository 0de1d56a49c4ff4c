//! libnanomsg.
#![expect(unsafe_code, reason = "libnanomsg is a C library")]

use crate::blocking::{self, Library};
use crate::body::Seen;
use crate::kind::Kind;
use crate::loaded;
use crate::port;
use anyhow::{Context, Result, bail};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::null_mut;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What `list` says.
pub(crate) const SETTINGS: &str = "nn_send and nn_recv, received without a copy; NN_TCP_NODELAY for req, \
    where the default is off; buffers of 128 KiB as by default; no limit on message size; pub drops what a \
    subscriber has no room for; connect with req and rep, since closing drops what is queued";

loaded::functions! {
    nn_errno: fn() -> c_int;
    nn_strerror: fn(c_int) -> *const c_char;
    nn_socket: fn(c_int, c_int) -> c_int;
    nn_close: fn(c_int) -> c_int;
    nn_setsockopt: fn(c_int, c_int, c_int, *const c_void, usize) -> c_int;
    nn_bind: fn(c_int, *const c_char) -> c_int;
    nn_connect: fn(c_int, *const c_char) -> c_int;
    nn_send: fn(c_int, *const c_void, usize, c_int) -> c_int;
    nn_recv: fn(c_int, *mut c_void, usize, c_int) -> c_int;
    nn_freemsg: fn(*mut c_void) -> c_int;
    nn_get_statistic: fn(c_int, c_int) -> u64;
}

#[derive(Clone)]
pub(crate) struct Nanomsg {
    functions: Arc<Functions>,
}

impl Nanomsg {
    pub(crate) fn load() -> Result<Self> {
        // SAFETY: loading it runs nothing that touches us.
        let library = unsafe { libloading::Library::new(FILE) }.context("libnanomsg5 is not installed")?;
        // SAFETY: the types are those of nanomsg/nn.h, and the library stays loaded for good, below.
        let functions = unsafe { Functions::load(&library) }.context("libnanomsg is not the one we know")?;
        std::mem::forget(library);
        Ok(Self { functions: Arc::new(functions) })
    }

    pub(crate) fn version() -> String {
        loaded::version("libnanomsg5", FILE)
    }

    /// What a call returned, or why it failed.
    fn check(&self, result: c_int) -> Result<c_int> {
        if result < 0 {
            // SAFETY: the string lives as long as the library.
            let why = unsafe { CStr::from_ptr((self.functions.nn_strerror)((self.functions.nn_errno)())) };
            bail!("nanomsg: {}", why.to_string_lossy());
        }
        Ok(result)
    }
}

impl Library for Nanomsg {
    type Socket = Socket;
    const PUB_LOSES: bool = true;
    // Closing drops what an I/O thread has not sent yet; nn_setsockopt(3) calls NN_LINGER unused.
    const CLOSE_DELIVERS: bool = false;

    fn open(&self, kind: Kind, _: usize) -> Result<Socket> {
        let protocol = match kind {
            Kind::Pub | Kind::LossyPub => NN_PUB,
            Kind::Sub => NN_PUB + 1,
            Kind::Req => NN_REQ,
            Kind::Rep => NN_REQ + 1,
            Kind::Push => NN_PUSH,
            Kind::Pull => NN_PUSH + 1,
            Kind::Dealer | Kind::Router => bail!("nanomsg keeps one request in flight"),
        };
        // SAFETY: it takes numbers alone.
        let raw = self.check(unsafe { (self.functions.nn_socket)(AF_SP, protocol) })?;
        let handle = Arc::new(Handle { raw, library: self.clone() });
        let socket = Socket { handle, patience: None, connections: 0 };

        // By default a message of more than 1 MiB breaks its connection (nn_setsockopt(3)).
        socket.set(NN_SOL_SOCKET, NN_RCVMAXSIZE, -1)?;
        if matches!(kind, Kind::Req | Kind::Rep) {
            // nn_tcp(7) has it for those to whom latency matters. Of streams it makes many small packets.
            socket.set(NN_TCP, NN_TCP_NODELAY, 1)?;
        }
        if kind == Kind::Sub {
            // SAFETY: a topic of no bytes is not read.
            let option = unsafe {
                (self.functions.nn_setsockopt)(raw, protocol, NN_SUB_SUBSCRIBE, c"".as_ptr().cast(), 0)
            };
            self.check(option).context("subscribing")?;
        }
        Ok(socket)
    }
}

pub(crate) struct Socket {
    handle: Arc<Handle>,
    patience: Option<Duration>,
    /// How often it has dialed.
    connections: u64,
}

/// Closes the socket when the last who shares it is gone.
struct Handle {
    raw: c_int,
    library: Nanomsg,
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the socket was opened and nobody else closes it.
        unsafe { (self.library.functions.nn_close)(self.raw) };
    }
}

impl Socket {
    fn functions(&self) -> &Functions {
        &self.handle.library.functions
    }

    fn check(&self, result: c_int) -> Result<c_int> {
        self.handle.library.check(result)
    }

    fn set(&self, level: c_int, option: c_int, value: c_int) -> Result<()> {
        let (place, size) = ((&raw const value).cast(), size_of::<c_int>());
        // SAFETY: the option is an int, and it is read before the call returns.
        self.check(unsafe { (self.functions().nn_setsockopt)(self.handle.raw, level, option, place, size) })?;
        Ok(())
    }

    fn recv_message(&mut self) -> Result<Option<Message>> {
        let mut body: *mut c_void = null_mut();
        // SAFETY: with NN_MSG it writes where the message is, which is ours from then on.
        let result =
            unsafe { (self.functions().nn_recv)(self.handle.raw, (&raw mut body).cast(), NN_MSG, 0) };
        // SAFETY: it takes nothing.
        if result < 0 && unsafe { (self.functions().nn_errno)() } == ETIMEDOUT {
            return Ok(None);
        }
        let length = self.check(result)? as usize;
        Ok(Some(Message { body, length, library: self.handle.library.clone() }))
    }
}

impl blocking::Socket for Socket {
    type Body = Vec<u8>;

    fn body(bytes: Vec<u8>) -> Result<Vec<u8>> {
        Ok(bytes)
    }

    fn listen(&mut self, url: &str) -> Result<String> {
        // nanomsg cannot tell which port it was given.
        let url = port::free(url)?;
        let address = CString::new(url.as_str())?;
        // SAFETY: the URL ends with a zero.
        self.check(unsafe { (self.functions().nn_bind)(self.handle.raw, address.as_ptr()) })?;
        Ok(url)
    }

    fn dial(&mut self, url: &str) -> Result<()> {
        let address = CString::new(url)?;
        // SAFETY: the URL ends with a zero.
        self.check(unsafe { (self.functions().nn_connect)(self.handle.raw, address.as_ptr()) })?;
        self.connections += 1;
        // Connections are made in the background; wait, lest the first job pays for it.
        let deadline = Instant::now() + CONNECT_DEADLINE;
        // SAFETY: it takes numbers alone.
        while unsafe { (self.functions().nn_get_statistic)(self.handle.raw, NN_STAT_CURRENT_CONNECTIONS) }
            < self.connections
        {
            if Instant::now() > deadline {
                bail!("no connection to {url}");
            }
            std::thread::sleep(Duration::from_micros(100));
        }
        Ok(())
    }

    fn send(&mut self, body: &Vec<u8>) -> Result<()> {
        // SAFETY: the body is of that length and copied before the call returns.
        let result =
            unsafe { (self.functions().nn_send)(self.handle.raw, body.as_ptr().cast(), body.len(), 0) };
        self.check(result).map(|_| ())
    }

    fn recv(&mut self, patience: Option<Duration>) -> Result<Option<Seen>> {
        if patience != self.patience {
            let millis = patience.map_or(-1, |patience| patience.as_millis() as c_int);
            self.set(NN_SOL_SOCKET, NN_RCVTIMEO, millis)?;
            self.patience = patience;
        }
        Ok(self.recv_message()?.map(|message| Seen::new(message.body().len(), message.body())))
    }

    fn echo(&mut self) -> Result<Seen> {
        let mut message = self.recv_message()?.context("nothing came")?;
        // SAFETY: with NN_MSG it reads where the message is, which it owns once it is sent.
        let result =
            unsafe { (self.functions().nn_send)(self.handle.raw, (&raw mut message.body).cast(), NN_MSG, 0) };
        self.check(result)?;
        let seen = Seen::new(message.length, &[]);
        message.body = null_mut();
        Ok(seen)
    }

    fn share(&self) -> Option<Self> {
        Some(Self { handle: self.handle.clone(), patience: None, connections: 0 })
    }
}

/// A message that we own, unless it is null.
struct Message {
    body: *mut c_void,
    length: usize,
    library: Nanomsg,
}

impl Message {
    fn body(&self) -> &[u8] {
        // SAFETY: the message is ours, of that length, and never null before it is sent.
        unsafe { std::slice::from_raw_parts(self.body.cast(), self.length) }
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        if !self.body.is_null() {
            // SAFETY: it is ours and nobody uses it any more.
            unsafe { (self.library.functions.nn_freemsg)(self.body) };
        }
    }
}

/// The library of version 1.
const FILE: &str = "libnanomsg.so.5";

const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

// From nanomsg/*.h and errno.h of Linux.
const AF_SP: c_int = 1;
const NN_PUB: c_int = 2 * 16;
const NN_REQ: c_int = 3 * 16;
const NN_PUSH: c_int = 5 * 16;
const NN_SOL_SOCKET: c_int = 0;
const NN_RCVTIMEO: c_int = 5;
const NN_RCVMAXSIZE: c_int = 16;
const NN_TCP: c_int = -3;
const NN_TCP_NODELAY: c_int = 1;
const NN_SUB_SUBSCRIBE: c_int = 1;
const NN_STAT_CURRENT_CONNECTIONS: c_int = 201;
const NN_MSG: usize = usize::MAX;
const ETIMEDOUT: c_int = 110;
