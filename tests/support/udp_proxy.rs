//! A network between a dialer of `quic://` and its listener that does as it is told: it loses, repeats and
//! reorders packets, always the same ones for a seed, and changes its address as a router does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::net::UdpSocket;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// How often something happens, in 1,000 packets.
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct Mischief {
    pub(crate) lost: u64,
    pub(crate) repeated: u64,
    /// Held back until the next one has passed.
    pub(crate) late: u64,
}

/// Runs until it is dropped.
pub(crate) struct Proxy {
    /// Whom to dial.
    pub(crate) url: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    /// Nothing passes.
    cut: AtomicBool,
    /// So many packets of the dialer pass, and no more.
    left: AtomicUsize,
    moved: Notify,
}

impl Proxy {
    /// Between anybody and `listener`, which is an address of this machine.
    pub(crate) async fn new(listener: SocketAddr, seed: u64, mischief: Mischief) -> Self {
        let outside = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let url = format!("quic://{}", outside.local_addr().unwrap());
        let shared = Arc::new(Shared { left: AtomicUsize::new(usize::MAX), ..Shared::default() });
        let task = tokio::spawn(run(outside, listener, shared.clone(), Dice { state: seed, mischief }));
        Self { url, shared, task }
    }

    /// From here on the listener sees packets from another address.
    pub(crate) fn move_elsewhere(&self) {
        self.shared.moved.notify_one();
    }

    /// Whether packets pass.
    pub(crate) fn cut(&self, cut: bool) {
        self.shared.cut.store(cut, Ordering::SeqCst);
    }

    /// Only so many more of the dialer's packets pass.
    pub(crate) fn pass_only(&self, count: usize) {
        self.shared.left.store(count, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn inside(listener: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(listener).await.unwrap();
    socket
}

async fn run(outside: UdpSocket, listener: SocketAddr, shared: Arc<Shared>, mut dice: Dice) {
    let mut inside = inside(listener).await;
    let mut dialer = None;
    let (mut to_listener, mut to_dialer) = (Line::default(), Line::default());
    let (mut a, mut b) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            () = shared.moved.notified() => inside = self::inside(listener).await,
            Ok((count, from)) = outside.recv_from(&mut a) => {
                dialer = Some(from);
                let left = shared.left.load(Ordering::SeqCst);
                if shared.cut.load(Ordering::SeqCst) || left == 0 {
                    continue;
                }
                shared.left.store(left.saturating_sub(1), Ordering::SeqCst);
                for packet in to_listener.pass(&a[..count], &mut dice) {
                    // Nobody there is as good as lost.
                    let _ = inside.send(&packet).await;
                }
            }
            got = inside.recv(&mut b) => {
                // An error tells that nobody is there.
                let (Ok(count), Some(dialer)) = (got, dialer) else { continue };
                if shared.cut.load(Ordering::SeqCst) {
                    continue;
                }
                for packet in to_dialer.pass(&b[..count], &mut dice) {
                    let _ = outside.send_to(&packet, dialer).await;
                }
            }
        }
    }
}

/// One direction.
#[derive(Default)]
struct Line {
    late: Option<Vec<u8>>,
}

impl Line {
    /// What arrives now that `packet` was sent.
    fn pass(&mut self, packet: &[u8], dice: &mut Dice) -> Vec<Vec<u8>> {
        let mischief = dice.mischief;
        let mut arriving = Vec::new();
        let lost = dice.happens(mischief.lost);
        let late = dice.happens(mischief.late);
        let repeated = dice.happens(mischief.repeated);
        let before = self.late.take();
        match (lost, late) {
            (true, _) => {}
            (false, true) => self.late = Some(packet.to_vec()),
            (false, false) => arriving.push(packet.to_vec()),
        }
        if repeated {
            arriving.push(packet.to_vec());
        }
        arriving.extend(before);
        arriving
    }
}

struct Dice {
    state: u64,
    mischief: Mischief,
}

impl Dice {
    /// Marsaglia's xorshift.
    fn happens(&mut self, in_a_thousand: u64) -> bool {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state % 1_000 < in_a_thousand
    }
}
