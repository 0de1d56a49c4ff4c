//! The sockets and multiplexed connections of this process that are exposed. Only whoever names or looks comes here, never a message.

use crate::rt;
use crate::socket::{Shown, Watchable, Watched};
use spanwire_core::Time;
use spanwire_core::watch::Report;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// By name, so that a report is sorted.
static EXPOSED: Mutex<BTreeMap<Box<str>, Watched>> = Mutex::new(BTreeMap::new());

fn exposed() -> MutexGuard<'static, BTreeMap<Box<str>, Watched>> {
    EXPOSED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Another one of this process is exposed under this name, and open.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("another one is exposed as {0:?}")]
pub struct NameTaken(pub Box<str>);

/// Exposes a socket under a name, from now until it is closed or dropped; or a [pool](crate::mux::Pool), a
/// [server](crate::mux::Server) or a single one of multiplexed connections. The name does not keep it open. It may
/// have several names; it is then listed under each.
///
/// # Errors
/// Another one that is open has the name.
pub fn expose(name: &str, shown: &impl Watchable) -> Result<(), NameTaken> {
    let mut exposed = exposed();
    exposed.retain(|_, other| other.is_open());
    if exposed.contains_key(name) {
        return Err(NameTaken(name.into()));
    }
    exposed.insert(name.into(), shown.watched());
    Ok(())
}

/// Exposes what has this name no longer. `false` if there is nothing.
pub fn hide(name: &str) -> bool {
    exposed().remove(name).is_some_and(|watched| watched.is_open())
}

/// What all that is exposed shows now. Each is asked under its own lock, one after the other.
pub fn report() -> Report {
    // They are asked after the lock: whoever names another one does not wait for that.
    let all: Vec<_> = exposed().iter().map(|(name, watched)| (name.clone(), watched.clone())).collect();
    let mut report = Report::default();
    report.program = program();
    report.process = std::process::id();
    report.version = env!("CARGO_PKG_VERSION").into();
    for shown in all.iter().filter_map(|(name, watched)| watched.show(name)) {
        match shown {
            Shown::Socket(snapshot) => report.sockets.push(*snapshot),
            Shown::Mux(snapshot) => report.muxes.push(snapshot),
        }
    }
    report.at = rt::now() - Time::ZERO;
    report
}

/// What this program was called as.
fn program() -> String {
    let called = std::env::args_os().next().unwrap_or_default();
    let path = std::path::Path::new(&called);
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PullSocket, blocking};
    use std::time::Duration;

    fn names() -> Vec<String> {
        report()
            .sockets
            .into_iter()
            .map(|socket| socket.name)
            .filter(|name| name.starts_with("reg"))
            .collect()
    }

    #[test]
    fn a_socket_is_exposed_until_it_is_closed_or_hidden() {
        let (kept, dropped, hidden) = (PullSocket::new(), blocking::PubSocket::new(), PullSocket::new());
        expose("registry kept", &kept).unwrap();
        expose("registry dropped", &dropped).unwrap();
        expose("registry hidden", &hidden).unwrap();
        assert_eq!(names(), ["registry dropped", "registry hidden", "registry kept"]);
        assert_eq!(expose("registry kept", &hidden), Err(NameTaken("registry kept".into())));
        assert!(hide("registry hidden") && !hide("registry hidden"));
        drop(dropped);
        assert_eq!(names(), ["registry kept"]);
        rt::block_on(kept.clone().close(Duration::ZERO));
        assert_eq!(names(), [""; 0], "a clone is still there, but the socket is closed");
        expose("registry kept", &hidden).expect("the name is free again");
        assert!(hide("registry kept"));
    }
}
