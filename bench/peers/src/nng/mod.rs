//! NNG 1.12, which the crate nng-c-sys builds. `flight` keeps many requests in flight with contexts, also at
//! a rate. `tls` is what tls+tcp and wss need.
#![expect(unsafe_code, reason = "NNG is a C library")]

mod flight;
mod tls;

use crate::blocking::{self, Library};
use crate::body::Seen;
use crate::kind::Kind;
use crate::port;
use anyhow::{Context, Result, bail, ensure};
use nng_c_sys as c;
use spanwire_bench_ends::{MOST_OUTSTANDING, Role};
use std::ffi::{CStr, CString, c_int};
use std::ptr::null_mut;
use std::sync::Arc;
use std::time::Duration;

/// What `list` says.
pub(crate) const SETTINGS: &str = "nng_sendmsg and nng_recvmsg on the socket; no-delay as by default; \
    push and pub queue 8192 messages a socket or subscriber and sub as many (fewer of large ones, 64 MiB \
    each), which is the most there is; no limit on message size; flight and load with one context a \
    request on both sides, moved on by callbacks; pub drops what a subscriber has no room for; outrun \
    with a push queue of 4";

pub(crate) struct Nng;

impl Nng {
    pub(crate) fn version() -> String {
        // SAFETY: it returns a string that lives as long as the program.
        unsafe { CStr::from_ptr(c::nng_version()) }.to_string_lossy().into_owned()
    }
}

impl Library for Nng {
    type Socket = Socket;
    const PUB_LOSES: bool = true;
    // A push hands its message to the kernel before it returns, on Linux; what is lost is counted.
    const CLOSE_DELIVERS: bool = true;

    fn open(&self, kind: Kind, body_bytes: usize) -> Result<Socket> {
        Socket::open(kind, body_bytes)
    }

    fn flight_server(&self, role: &Role) -> Result<()> {
        flight::answer(role)
    }

    fn flight_client(&self, role: &Role) -> Result<()> {
        flight::ask(role, role.cell.many)
    }

    fn load_client(&self, role: &Role) -> Result<()> {
        flight::ask(role, MOST_OUTSTANDING as u32)
    }
}

pub(crate) struct Socket {
    handle: Arc<Handle>,
    kind: Kind,
    patience: Option<Duration>,
}

/// Closes the socket when the last who shares it is gone.
struct Handle(c::nng_socket);

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the socket was opened and nobody else closes it.
        unsafe { c::nng_close(self.0) };
    }
}

impl Socket {
    fn open(kind: Kind, body_bytes: usize) -> Result<Self> {
        let open = match kind {
            Kind::Req => c::nng_req0_open,
            Kind::Rep => c::nng_rep0_open,
            Kind::Push => c::nng_push0_open,
            Kind::Pull => c::nng_pull0_open,
            Kind::Pub | Kind::LossyPub => c::nng_pub0_open,
            Kind::Sub => c::nng_sub0_open,
            Kind::Dealer | Kind::Router => bail!("NNG has contexts for this"),
        };
        let mut raw = c::nng_socket { id: 0 };
        // SAFETY: `raw` is where the new socket goes.
        check(unsafe { open(&mut raw) }).context("opening a socket")?;
        let socket = Self { handle: Arc::new(Handle(raw)), kind, patience: None };

        // By default 1 MiB is the most, and a socket hangs up on more (nng_options(5)).
        // SAFETY: the name ends with a zero.
        check(unsafe { c::nng_socket_set_size(raw, c::NNG_OPT_RECVMAXSZ.as_ptr().cast(), 0) })?;
        // Push has no queue by default and pub one of 16; their manual pages give 8192 as the most.
        let queue = (QUEUE_BYTES / body_bytes.max(1)).clamp(16, 8192) as c_int;
        let set_queue = |name: &[u8]| {
            // SAFETY: the name ends with a zero.
            check(unsafe { c::nng_socket_set_int(raw, name.as_ptr().cast(), queue) })
        };
        match kind {
            Kind::Push | Kind::Pub | Kind::LossyPub => set_queue(c::NNG_OPT_SENDBUF)?,
            Kind::Sub => {
                set_queue(c::NNG_OPT_RECVBUF)?;
                // SAFETY: a topic of no bytes is not read.
                check(unsafe { c::nng_sub0_socket_subscribe(raw, c"".as_ptr().cast(), 0) })?;
            }
            _ => {}
        }
        Ok(socket)
    }
}

impl blocking::Socket for Socket {
    type Body = Vec<u8>;

    fn body(bytes: Vec<u8>) -> Result<Vec<u8>> {
        Ok(bytes)
    }

    fn bound(&mut self, messages: u32) -> Result<bool> {
        if self.kind == Kind::Push {
            // SAFETY: the name ends with a zero.
            check(unsafe {
                let name = c::NNG_OPT_SENDBUF.as_ptr().cast();
                c::nng_socket_set_int(self.handle.0, name, messages as c_int)
            })?;
        }
        // A pull has no queue: it keeps one message for each connection.
        Ok(true)
    }

    fn listen(&mut self, url: &str) -> Result<String> {
        // It tells the port of a WebSocket by no option.
        let url = if url.starts_with("ws") { port::free(url)? } else { url.to_owned() };
        let text = CString::new(url.as_str())?;
        let mut listener = c::nng_listener { id: 0 };
        // SAFETY: the URL ends with a zero, `listener` is where the new listener goes.
        check(unsafe { c::nng_listener_create(&mut listener, self.handle.0, text.as_ptr()) })?;
        if tls::is_needed(&url) {
            tls::secure_listener(listener)?;
        }
        // SAFETY: the listener was made.
        check(unsafe { c::nng_listener_start(listener, 0) })?;
        if url.starts_with("ws") {
            return Ok(url);
        }
        let mut text = null_mut();
        // SAFETY: the name ends with a zero; `text` is where a string goes that we free.
        check(unsafe { c::nng_listener_get_string(listener, c::NNG_OPT_URL.as_ptr().cast(), &mut text) })?;
        // SAFETY: NNG made the string, and it is not used after being freed.
        let url = unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned();
        // SAFETY: as above.
        unsafe { c::nng_strfree(text) };
        Ok(url)
    }

    fn dial(&mut self, url: &str) -> Result<()> {
        let text = CString::new(url)?;
        let mut dialer = c::nng_dialer { id: 0 };
        // SAFETY: the URL ends with a zero, `dialer` is where the new dialer goes.
        check(unsafe { c::nng_dialer_create(&mut dialer, self.handle.0, text.as_ptr()) })?;
        if tls::is_needed(url) {
            tls::secure_dialer(dialer)?;
        }
        // SAFETY: the dialer was made.
        check(unsafe { c::nng_dialer_start(dialer, 0) })
    }

    fn send(&mut self, body: &Vec<u8>) -> Result<()> {
        ensure!(self.send_message(Message::new(body)?)?, "there was no room in time");
        Ok(())
    }

    fn send_fresh(&mut self, bytes: usize, patience: Duration) -> Result<bool> {
        let name = c::NNG_OPT_SENDTIMEO.as_ptr().cast();
        // SAFETY: the name ends with a zero.
        check(unsafe { c::nng_socket_set_ms(self.handle.0, name, patience.as_millis() as c::nng_duration) })?;
        self.send_message(Message::filled(bytes)?)
    }

    fn recv(&mut self, patience: Option<Duration>) -> Result<Option<Seen>> {
        if patience != self.patience {
            let millis = patience.map_or(-1, |patience| patience.as_millis() as c::nng_duration);
            let name = c::NNG_OPT_RECVTIMEO.as_ptr().cast();
            // SAFETY: the name ends with a zero.
            check(unsafe { c::nng_socket_set_ms(self.handle.0, name, millis) })?;
            self.patience = patience;
        }
        Ok(self.recv_message()?.map(|message| Seen::new(message.body().len(), message.body())))
    }

    fn echo(&mut self) -> Result<Seen> {
        let message = self.recv_message()?.context("nothing came")?;
        let seen = Seen::new(message.body().len(), &[]);
        ensure!(self.send_message(message)?, "there was no room in time");
        Ok(seen)
    }

    fn share(&self) -> Option<Self> {
        Some(Self { handle: self.handle.clone(), kind: self.kind, patience: None })
    }
}

impl Socket {
    /// `false` when there was no room in time.
    fn send_message(&mut self, message: Message) -> Result<bool> {
        // SAFETY: we own the message. What is sent belongs to NNG, what is not stays ours.
        match unsafe { c::nng_sendmsg(self.handle.0, message.0, 0) } {
            c::nng_errno_enum::NNG_ETIMEDOUT => return Ok(false),
            result => check(result)?,
        }
        std::mem::forget(message);
        Ok(true)
    }

    fn recv_message(&mut self) -> Result<Option<Message>> {
        let mut message = null_mut();
        // SAFETY: `message` is where the message goes, which is ours from then on.
        match unsafe { c::nng_recvmsg(self.handle.0, &mut message, 0) } {
            c::nng_errno_enum::NNG_ETIMEDOUT => Ok(None),
            result => check(result).map(|()| Some(Message(message))),
        }
    }
}

/// A message that we own.
struct Message(*mut c::nng_msg);

impl Message {
    /// NNG 1 has no messages that share a body, so each is a copy.
    fn new(body: &[u8]) -> Result<Self> {
        let mut message = null_mut();
        // SAFETY: `message` is where the new message goes, which is ours.
        check(unsafe { c::nng_msg_alloc(&mut message, body.len()) }).context("allocating a message")?;
        // SAFETY: the message has a body of that length, which nobody else sees.
        unsafe { std::ptr::copy_nonoverlapping(body.as_ptr(), c::nng_msg_body(message).cast(), body.len()) };
        Ok(Self(message))
    }

    /// One that was never anywhere else.
    fn filled(bytes: usize) -> Result<Self> {
        let mut message = null_mut();
        // SAFETY: `message` is where the new message goes, which is ours.
        check(unsafe { c::nng_msg_alloc(&mut message, bytes) }).context("allocating a message")?;
        // SAFETY: the message has a body of that length, which nobody else sees.
        unsafe { std::ptr::write_bytes(c::nng_msg_body(message).cast::<u8>(), b'x', bytes) };
        Ok(Self(message))
    }

    fn body(&self) -> &[u8] {
        // SAFETY: the message is ours; its body is of that length and never null, and changes only
        // through `self`.
        unsafe { std::slice::from_raw_parts(c::nng_msg_body(self.0).cast(), c::nng_msg_len(self.0)) }
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        // SAFETY: it is ours and nobody uses it any more.
        unsafe { c::nng_msg_free(self.0) };
    }
}

fn check(result: c_int) -> Result<()> {
    if result != 0 {
        // SAFETY: the string lives as long as the program.
        bail!("NNG: {}", unsafe { CStr::from_ptr(c::nng_strerror(result)) }.to_string_lossy());
    }
    Ok(())
}

/// What a queue of large messages may hold.
const QUEUE_BYTES: usize = 64 << 20;
