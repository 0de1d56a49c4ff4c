//! The sockets of this process that are exposed. Only whoever names or looks comes here, never a message.

use crate::rt;
use crate::socket::{Watchable, Watched};
use spanwire_core::Time;
use spanwire_core::watch::Report;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// By name, so that a report is sorted.
static EXPOSED: Mutex<BTreeMap<Box<str>, Watched>> = Mutex::new(BTreeMap::new());

fn exposed() -> MutexGuard<'static, BTreeMap<Box<str>, Watched>> {
    EXPOSED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Another socket of this process is exposed under this name, and open.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("another socket is exposed as {0:?}")]
pub struct NameTaken(pub Box<str>);

/// Exposes a socket under a name, from now until it is closed or dropped. The name does not keep it open. A
/// socket may have several names; it is then listed under each.
///
/// # Errors
/// Another open socket has the name.
pub fn expose(name: &str, socket: &impl Watchable) -> Result<(), NameTaken> {
    let mut exposed = exposed();
    exposed.retain(|_, socket| socket.is_open());
    if exposed.contains_key(name) {
        return Err(NameTaken(name.into()));
    }
    exposed.insert(name.into(), socket.watched());
    Ok(())
}

/// Exposes the socket with this name no longer. `false` if there is none.
pub fn hide(name: &str) -> bool {
    exposed().remove(name).is_some_and(|socket| socket.is_open())
}

/// What all exposed sockets show now. Each is asked under its own lock, one after the other.
pub fn report() -> Report {
    // Sockets are asked after the lock: whoever names another one does not wait for that.
    let sockets: Vec<_> = exposed().iter().map(|(name, socket)| (name.clone(), socket.clone())).collect();
    let mut report = Report::default();
    report.program = program();
    report.process = std::process::id();
    report.version = env!("CARGO_PKG_VERSION").into();
    report.sockets = sockets
        .into_iter()
        .filter_map(|(name, socket)| {
            let mut snapshot = socket.snapshot()?;
            snapshot.name = name.into();
            Some(snapshot)
        })
        .collect();
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
