//! A Chromium without a window, with a profile of its own that is removed afterwards.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// The first of its names that can be started.
pub(crate) fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let mut all =
        names.iter().flat_map(|name| std::env::split_paths(&path).map(move |folder| folder.join(name)));
    all.find(|program| program.is_file())
}

/// A browser that shows one page.
pub(crate) struct Chromium {
    child: Child,
    profile: PathBuf,
}

impl Chromium {
    /// Shows the page at `url`. It trusts, besides what all trust, the certificate with this hash of its key.
    pub(crate) fn open(program: &PathBuf, url: &str, trusted: &str) -> Self {
        let profile = std::env::temp_dir().join(format!("spanwire-browser-{}", std::process::id()));
        fs::create_dir_all(&profile).unwrap();
        let said = File::create(profile.join("said")).unwrap();
        let child = Command::new(program)
            .args(["--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
            // As root, and in containers, its sandbox does not start; the page is ours.
            .args(["--no-sandbox", "--disable-background-networking", "--disable-component-update"])
            // What is not in front is slowed down, and without a window nothing is in front.
            .args(["--disable-background-timer-throttling", "--disable-renderer-backgrounding"])
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg(format!("--ignore-certificate-errors-spki-list={trusted}"))
            .arg(url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said)
            // So that all its processes can be ended together.
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", program.display()));
        Self { child, profile }
    }

    /// Ends it, and returns what it wrote on its standard error.
    pub(crate) fn close(mut self) -> String {
        self.end();
        fs::read_to_string(self.profile.join("said")).unwrap_or_default()
    }

    fn end(&mut self) {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw) {
            // Gone already, if it fails.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        self.end();
        // Its processes may still be writing for a moment after they were killed.
        let _ = fs::remove_dir_all(&self.profile);
    }
}
