//! [`Host`]: who we are to those whom we are connected to, and whom we are connected to.

use super::conn::Conn;
use super::events::Hub;
use super::rates::{PeerRates, Share, Who};
use super::wire::{For, Wire};
use super::{ConnectError, Event, Events, Peer};
use crate::endpoint::Connector;
use crate::error::DialError;
use crate::options::DialOptions;
use crate::rt::{Home, Kept};
use crate::session::Origin;
use crate::transport::{Ends, Incoming, Place, Speaks};
use spanwire_core::framing::link::{Hello, Metadata, Reason, Versions};
use spanwire_core::link::hosts::{Claim, Hosts};
use spanwire_core::link::{End, LinkOptions};
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;
use std::time::Duration;

/// What a host says and wants.
#[derive(Clone, Default)]
pub struct HostOptions {
    /// Its logical name: 1 to 255 bytes; longer ones are cut. Default: one that nobody else has.
    pub name: String,
    /// What it says about itself in each handshake.
    pub metadata: Metadata,
    /// Bounds and timers of its connections.
    pub link: LinkOptions,
    /// It wants no more than one connection to each other host that wants the same. Two that dial each
    /// other at the same time end up with one. Default: as many as are opened.
    pub one_connection: bool,
    /// What proves to peers who we are, and judges their proofs. Default: none; everybody is believed. With a
    /// hook, the rates of `link` are those of each logical host; without, of each IP address, or of each user
    /// over unix sockets.
    pub hook: Option<Arc<dyn Hook>>,
}

impl fmt::Debug for HostOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostOptions")
            .field("name", &self.name)
            .field("metadata", &self.metadata)
            .field("link", &self.link)
            .field("one_connection", &self.one_connection)
            .field("hook", &self.hook.is_some())
            .finish()
    }
}

/// Proves to peers who we are, and judges what they prove.
///
/// The challenge is different for each connection and each side, and bound to all that both have said in
/// their Hellos; a proof made of it (an HMAC, a signature) is of no use to who overhears it. A hook that
/// ignores the challenge may send a plain token instead, where nobody can overhear.
///
/// Both are called in the task of the connection and should not take long. At most
/// [`MAX_PROOF_BYTES`](super::MAX_PROOF_BYTES) of a proof are sent.
pub trait Hook: Send + Sync {
    /// What proves to this peer who we are.
    fn prove(&self, peer: &Peer, challenge: &[u8]) -> Vec<u8>;

    /// Whether the peer has proved who it is.
    fn verify(&self, peer: &Peer, challenge: &[u8], proof: &[u8]) -> bool;
}

/// A logical host: one end of any number of connections. A handle: clones are the same host.
///
/// What a peer is called is its *logical* host, known and stable once the handshake is done; the address at
/// the other end of a connection is its *transport* host. The host keeps both mappings:
/// [`logical`](Self::logical), [`transport`](Self::transport).
///
/// Its connections live in the runtime in which it was made; outside of one, on a thread of the library.
#[derive(Clone, Debug)]
pub struct Host {
    pub(super) core: Arc<HostCore>,
}

/// What its connections share.
pub(super) struct HostCore {
    pub(super) home: Home,
    pub(super) options: HostOptions,
    instance: [u8; 16],
    table: Mutex<Table>,
    /// With limits on rates.
    rates: Option<Arc<PeerRates>>,
    pub(super) hub: Hub,
    /// Dropped with the last of us, which ends the keeper.
    _kept: Kept,
}

#[derive(Default)]
struct Table {
    /// Peers choose their names, so the hasher has a random key.
    hosts: Hosts<Place, RandomState>,
    wires: HashMap<u64, Weak<Wire>>,
    /// Those that wait for the place of their host to be settled.
    waiting: Vec<Weak<Wire>>,
    last: u64,
}

impl Host {
    /// A host of this name with default options.
    pub fn new(name: impl Into<String>) -> Self {
        Self::with(HostOptions { name: name.into(), ..HostOptions::default() })
    }

    /// A host with these options.
    pub fn with(options: HostOptions) -> Self {
        Self::at(options, Home::current())
    }

    /// The same on the library's thread.
    pub(crate) fn in_background(options: HostOptions) -> Self {
        Self::at(options, Home::background())
    }

    fn at(mut options: HostOptions, home: Home) -> Self {
        let mut instance = [0; 16];
        random(&mut instance);
        options.link = options.link.clamped();
        if options.name.is_empty() {
            options.name = instance.iter().map(|byte| format!("{byte:02x}")).collect();
        }
        while options.name.len() > 255 {
            options.name.pop();
        }
        let kept = Kept::new(&home);
        let (table, hub) = (Mutex::default(), Hub::default());
        let rates = PeerRates::new(&options.link);
        let core = HostCore { home, options, instance, table, rates, hub, _kept: kept };
        Self { core: Arc::new(core) }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.core.options.name
    }

    /// Connects: ready when the handshake is done. Cancel-safe: dropped, there is no connection.
    ///
    /// With [`HostOptions::one_connection`] on both sides, it may be a connection that is there already, or
    /// that the peer has opened meanwhile.
    ///
    /// # Errors
    /// See [`ConnectError`]. It makes one attempt; a [`Dialer`](super::Dialer) goes on trying.
    pub async fn connect(&self, url: &str) -> Result<Conn, ConnectError> {
        self.connect_with(url, DialOptions::default()).await
    }

    /// [`connect`](Self::connect) with options; `start` and the reconnect times do not matter here.
    pub async fn connect_with(&self, url: &str, options: DialOptions) -> Result<Conn, ConnectError> {
        let address = |error| DialError::Address { url: url.into(), error };
        let connector = Connector::new(url, options).map_err(address)?;
        self.core.clone().connect(&connector, url.into()).await
    }

    /// [`connect`](Self::connect), no longer than this.
    ///
    /// # Errors
    /// [`ConnectError::TimedOut`], too.
    pub async fn connect_timeout(&self, url: &str, timeout: Duration) -> Result<Conn, ConnectError> {
        let connect = self.connect(url);
        self.core.home.within(Some(timeout), connect).await.unwrap_or(Err(ConnectError::TimedOut))
    }

    /// What happens from now on.
    pub fn events(&self) -> Events {
        self.core.hub.subscribe()
    }

    /// Who is connected.
    pub fn peers(&self) -> Vec<Peer> {
        let wires: Vec<_> = self.core.lock().wires.values().filter_map(Weak::upgrade).collect();
        let open = wires.iter().filter(|wire| wire.lock().link.is_open());
        open.map(|wire| wire.peer()).collect()
    }

    /// The logical host at the other end of the connection with this number, once its handshake is done.
    pub fn logical(&self, connection: u64) -> Option<String> {
        self.core.lock().hosts.logical(connection).map(str::to_owned)
    }

    /// The transport host to send to for a logical host: the address at the other end of the oldest
    /// connection to it.
    pub fn transport(&self, logical: &str) -> Option<Place> {
        self.core.lock().hosts.to_transport(logical).cloned()
    }
}

/// Fills a buffer with what nobody can guess.
pub(super) fn random(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the system has randomness");
}

impl HostCore {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What we say on a new connection.
    pub(super) fn hello(&self) -> Hello {
        let link = &self.options.link;
        let mut nonce = [0; 32];
        random(&mut nonce);
        Hello {
            versions: Versions::OURS,
            capabilities: if self.options.one_connection { Hello::ONE } else { 0 },
            instance: self.instance,
            nonce,
            window_messages: link.recv_messages,
            window_bytes: link.recv_bytes,
            max_message_bytes: link.max_message_bytes,
            streams: link.streams,
            stream_window_bytes: link.stream_bytes,
            host: self.options.name.clone(),
            metadata: self.options.metadata.clone(),
        }
    }

    /// The part of a connection in what its peer may send, once that is known: by its name where a hook has
    /// judged its proof, else by where it comes from, since everybody may call himself anything.
    pub(super) fn share(&self, ends: Option<&Ends>, logical: &str) -> Option<Share> {
        let rates = self.rates.as_ref()?;
        Some(rates.join(match self.options.hook {
            Some(_) => Who::Host(logical.into()),
            None => Who::by_transport(ends),
        }))
    }

    pub(super) async fn connect(
        self: Arc<Self>,
        connector: &Connector,
        url: Arc<str>,
    ) -> Result<Conn, ConnectError> {
        let stream = connector.reach(&url, Speaks::Link, &self.home).await?;
        let origin = Origin { url: url.clone(), dialed: true };
        let conn = Conn::start(&self, origin, None, Incoming::Ready(stream)).0;
        match conn.opened().await {
            Ok(()) => Ok(conn),
            Err(end) if is_duplicate(&end) => match self.survivor(conn.wire()).await {
                Some(conn) => Ok(conn),
                None => Err(ConnectError::Ended { url, end }),
            },
            Err(end) => Err(ConnectError::Ended { url, end }),
        }
    }

    /// The connection in whose favour this one was given up.
    async fn survivor(&self, wire: &Arc<Wire>) -> Option<Conn> {
        let host = wire.lock().link.theirs()?.host.clone();
        let other = {
            let table = self.lock();
            table.wires.get(&table.hosts.holder(&host)?).and_then(Weak::upgrade)?
        };
        let life = other.life.upgrade()?;
        let conn = Conn::of(life);
        conn.opened().await.ok().map(|()| conn)
    }

    pub(super) fn next_number(&self) -> u64 {
        let mut table = self.lock();
        table.last += 1;
        table.last
    }

    pub(super) fn wire(&self, number: u64) -> Option<Arc<Wire>> {
        self.lock().wires.get(&number).and_then(Weak::upgrade)
    }

    /// Its transport host is known.
    pub(super) fn connected(&self, wire: &Arc<Wire>, ends: &Ends) {
        let mut table = self.lock();
        table.hosts.add(wire.number, ends.remote.clone());
        table.wires.insert(wire.number, Arc::downgrade(wire));
    }

    /// It asks for the place of its logical host.
    pub(super) fn claim(&self, wire: &Arc<Wire>, theirs: &Hello, ours: &Hello) -> Claim {
        let mut table = self.lock();
        let claim = table.hosts.claim(wire.number, &theirs.host, &ours.instance, &theirs.instance);
        match claim {
            Claim::Wait => table.waiting.push(Arc::downgrade(wire)),
            // Should the other end be gone without anybody here having noticed, that is found out soon.
            Claim::Duplicate(number) => {
                let other = table.wires.get(&number).and_then(Weak::upgrade);
                drop(table);
                if let Some(other) = other {
                    other.visit(|state| state.link.ping(crate::rt::now()));
                }
            }
            Claim::Granted | Claim::Replaces(_) => {}
        }
        claim
    }

    /// The handshake is done, but for the last word.
    pub(super) fn opened(&self, wire: &Arc<Wire>, logical: &str) {
        let known = {
            let mut table = self.lock();
            table.hosts.open(wire.number, logical);
            table.hosts.logical(wire.number).is_some()
        };
        // It may be over already.
        if known {
            self.hub.tell(|| Event::Connected(wire.peer()));
        }
    }

    /// It is over.
    pub(super) fn removed(&self, wire: &Arc<Wire>) {
        let was_open = {
            let mut table = self.lock();
            let was_open = table.hosts.logical(wire.number).is_some();
            table.hosts.remove(wire.number);
            table.wires.remove(&wire.number);
            was_open
        };
        self.hub.tell(|| {
            let (end, upgrade) = {
                let mut state = wire.lock();
                (state.end(), state.upgrade.take())
            };
            let peer = wire.peer();
            match was_open {
                true => Event::Ended(peer, end),
                false => Event::Refused {
                    url: wire.origin.url.clone(),
                    remote: peer.ends.map(|ends| ends.remote),
                    host: (!peer.host.is_empty()).then_some(peer.host),
                    end,
                    upgrade,
                },
            }
        });
        self.settled();
    }

    /// Whoever waited for a place asks again.
    pub(super) fn settled(&self) {
        let waiting = std::mem::take(&mut self.lock().waiting);
        for wire in waiting.iter().filter_map(Weak::upgrade) {
            wire.judge_again();
        }
    }
}

fn is_duplicate(end: &End) -> bool {
    let duplicate = Reason::Duplicate;
    matches!(end, End::RefusedHere { reason } | End::RefusedByPeer { reason, .. } if *reason == duplicate)
}

impl fmt::Debug for HostCore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("name", &self.options.name).finish_non_exhaustive()
    }
}

/// Ready when a wire waits for nothing any more: its handshake is over.
pub(super) async fn opened(wire: &Arc<Wire>) -> Result<(), End> {
    poll_fn(|cx| {
        let mut state = wire.lock();
        if let Some(end) = state.link.end() {
            return Poll::Ready(Err(end.clone()));
        }
        if state.link.is_open() {
            return Poll::Ready(Ok(()));
        }
        state.wait(For::State, cx);
        Poll::Pending
    })
    .await
}
