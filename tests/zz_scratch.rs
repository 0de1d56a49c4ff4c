use spanwire::*;
use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Read, Write};
use std::sync::atomic::{AtomicI64, Ordering};
struct C;
#[global_allocator]
static A: C = C;
static H: [AtomicI64; 4096] = [const { AtomicI64::new(0) }; 4096];
static BIG: AtomicI64 = AtomicI64::new(0);
static mut TRAP: bool = false;
fn note(l: usize, d: i64) {
    let i = l / 8;
    if i < 4096 {
        H[i].fetch_add(d, Ordering::Relaxed);
    } else {
        BIG.fetch_add(d * l as i64, Ordering::Relaxed);
    }
}
unsafe impl GlobalAlloc for C {
    unsafe fn alloc(&self, l: Layout) -> *mut u8 {
        note(l.size(), 1);
        unsafe { System.alloc(l) }
    }
    unsafe fn dealloc(&self, p: *mut u8, l: Layout) {
        note(l.size(), -1);
        unsafe { System.dealloc(p, l) }
    }
}
fn snap() -> Vec<i64> {
    H.iter().map(|h| h.load(Ordering::Relaxed)).chain([BIG.load(Ordering::Relaxed)]).collect()
}
fn rss() -> i64 {
    let s = std::fs::read_to_string("/proc/self/statm").unwrap();
    s.split(' ').nth(1).unwrap().parse::<i64>().unwrap() * 4096
}
#[test]
fn scratch() {
    let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    rt.block_on(async {
        let pull = PullSocket::new();
        let listener = pull.listen("tcp://127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut keep = vec![];
        let mut add = async |n: usize| {
            for _ in 0..n {
                let mut s = std::net::TcpStream::connect(address).unwrap();
                s.write_all(&[0, b'S', b'P', 0, 0, 0x50, 0, 0]).unwrap();
                keep.push(s);
                if keep.len() % 50 == 0 {
                    pull.wait_peers(keep.len()).await.unwrap();
                    for s in &mut keep[..] {
                        let _ = &s;
                    }
                }
            }
            let n = keep.len();
            pull.wait_peers(n).await.unwrap();
            let s = keep.last_mut().unwrap();
            let mut b = [0; 8];
            s.read_exact(&mut b).unwrap();
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
        };
        add(100).await;
        let (before, r) = (snap(), rss());
        add(400).await;
        let after = snap();
        let mut sum = 0;
        let mut real = 0;
        for i in 0..4096 {
            let d = after[i] - before[i];
            if d != 0 {
                println!("{:6} x {}", i * 8, d);
                sum += d * 8 * i as i64;
                real += d * ((8 * i as i64 + 8 + 15) / 16 * 16).max(32);
            }
        }
        println!(
            "small sum {} big {} real {} rss {}",
            sum / 400,
            (after[4096] - before[4096]) / 400,
            real / 400,
            (rss() - r) / 400
        );
    });
}
