//! Every pattern over every transport at once, for as long as `SPANWIRE_SOAK_SECONDS` says (default
//! 3), with connections that are cut, listeners that restart, and peers that come, dawdle and go.
//!
//! `SPANWIRE_SOAK_SEED` repeats the random choices of another run, `SPANWIRE_SOAK_ONLY` picks the
//! pairs whose name contains it, such as `tcp` or `inproc jobs`.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `worlds` | a pattern's server and clients, and what must be true of their messages |
//! | `chaos` | what disturbs them; random numbers, pacing |
//! | `ledger` | message bodies that show damage, who has seen what, and what this process uses |

mod chaos;
mod ledger;
mod worlds;

use chaos::{Random, pause};
use ledger::Usage;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What a world may know of the rest.
#[derive(Clone)]
pub(crate) struct Soak {
    stop: Arc<AtomicBool>,
    pub(crate) random: Random,
    pub(crate) url: String,
}

impl Soak {
    pub(crate) fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    pub(crate) fn is_in_process(&self) -> bool {
        self.url.starts_with("inproc")
    }

    /// For another task of the same world: numbers of its own.
    pub(crate) fn fork(&mut self) -> Self {
        let random = Random::new(self.random.next());
        Self { random, ..self.clone() }
    }

    /// The same for one that stops at a time of its own.
    pub(crate) fn fork_apart(&mut self) -> (Arc<AtomicBool>, Self) {
        let stop = Arc::new(AtomicBool::new(false));
        (stop.clone(), Self { stop, ..self.fork() })
    }
}

/// Every world keeps so many descriptors at most: clients, both ends, listener, and those that are
/// being closed.
const DESCRIPTORS: usize = 64;
/// Memory may be this much more in the end than after the first quarter: buffers that are grown by
/// use, and large messages that happen to be on their way.
const MEMORY_KIB: usize = 96 * 1024;

#[test]
fn nothing_is_damaged_doubled_or_leaked() {
    let seconds = std::env::var("SPANWIRE_SOAK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    let seed = std::env::var("SPANWIRE_SOAK_SEED").ok().and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()) << 20 | u64::from(rand_start()));
    println!("SPANWIRE_SOAK_SECONDS={seconds} SPANWIRE_SOAK_SEED={seed}");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(soak(Duration::from_secs(seconds), seed));
    assert!(ledger::settled(|| runtime.metrics().num_alive_tasks() == 0), "tasks are left");
}

async fn soak(time: Duration, seed: u64) {
    let before = Usage::now();
    let stop = Arc::new(AtomicBool::new(false));
    let mut random = Random::new(seed);
    let mut running = Vec::new();
    let only = std::env::var("SPANWIRE_SOAK_ONLY").ok();
    for transport in ["tcp", "ipc", "abstract", "inproc"] {
        for (name, world) in worlds::ALL {
            let url = match transport {
                "tcp" => "tcp://127.0.0.1:0".to_owned(),
                "ipc" => {
                    let file = format!("spanwire-soak-{}-{name}", std::process::id());
                    format!("ipc://{}", std::env::temp_dir().join(file).display())
                }
                _ => format!("{transport}://spanwire-soak-{}-{name}", std::process::id()),
            };
            let soak = Soak { stop: stop.clone(), random: Random::new(random.next()), url };
            let name = format!("{transport} {name}");
            if only.as_ref().is_none_or(|only| name.contains(only)) {
                running.push((name, tokio::spawn(world(soak))));
            }
        }
    }
    pause(time / 4).await;
    let quarter = Usage::now();
    pause(time - time / 4).await;
    let end = Usage::now();
    stop.store(true, Ordering::Relaxed);

    for (name, world) in running {
        let done = tokio::time::timeout(Duration::from_secs(60), world).await;
        let summary =
            done.unwrap_or_else(|_| panic!("{name} hangs")).unwrap_or_else(|e| panic!("{name}: {e}"));
        println!("{name:18} {summary}");
    }
    println!("before {before:?}\nquarter {quarter:?}\nend {end:?}");
    assert!(end.memory_kib <= quarter.memory_kib + MEMORY_KIB, "{quarter:?} {end:?}");
    assert!(
        end.descriptors <= before.descriptors + DESCRIPTORS * 4 * worlds::ALL.len(),
        "{before:?} {end:?}"
    );
    let all_closed = || Usage::now().descriptors == before.descriptors;
    assert!(ledger::settled(all_closed), "{before:?}, and now {:?}", Usage::now());
}

fn rand_start() -> u32 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |time| time.subsec_nanos())
}
