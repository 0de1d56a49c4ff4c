//! Addresses that nobody uses yet.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// A transport that ours and theirs have in common.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    Ipc,
    Abstract,
    /// Both sides prove who they are.
    Tls,
    #[cfg(feature = "ws")]
    Ws,
    #[cfg(all(feature = "ws", feature = "tls"))]
    Wss,
}

impl Transport {
    /// How its addresses begin.
    pub(crate) fn scheme(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Ipc => "ipc",
            Self::Abstract => "abstract",
            Self::Tls => "tls+tcp",
            #[cfg(feature = "ws")]
            Self::Ws => "ws",
            #[cfg(all(feature = "ws", feature = "tls"))]
            Self::Wss => "wss",
        }
    }

    /// An address that nobody uses yet.
    pub(crate) fn fresh(self) -> String {
        let rest = match self {
            Self::Ipc => fresh_path().display().to_string(),
            Self::Abstract => format!("spanwire-interop-{}-{}", std::process::id(), number()),
            // WebSocket without a path: nanomsg cannot listen at one.
            _ => "127.0.0.1:0".into(),
        };
        format!("{}://{rest}", self.scheme())
    }
}

/// Where there is no file yet. Whatever is put there goes with the test.
pub(crate) fn fresh_path() -> PathBuf {
    FOLDER.with(|folder| folder.0.join(number().to_string()))
}

/// A folder with certificates for the other side, as `peer.py` wants it.
#[cfg(feature = "tls")]
pub(crate) fn tls_folder() -> PathBuf {
    FOLDER.with(|folder| {
        if !folder.0.join("own.pem").exists() {
            let (authority, own) = crate::certificates::for_others();
            std::fs::write(folder.0.join("authority.pem"), authority).expect("a file");
            std::fs::write(folder.0.join("own.pem"), own.certificate + &own.key).expect("a file");
        }
        folder.0.clone()
    })
}

thread_local! {
    /// Killed peers leave their socket files behind; they go with the test.
    static FOLDER: Folder = Folder::new();
}

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let name = format!("spanwire-interop-{}-{}", std::process::id(), number());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("the folder for temporary files takes one of ours");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
