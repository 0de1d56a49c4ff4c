//! `spanwire cert` makes what TLS needs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder that is gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("spanwire-cert-{}-{name}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn names(&self) -> Vec<String> {
        let names =
            fs::read_dir(&self.0).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn cert(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_spanwire")).arg("cert").arg(dir).args(args).output().unwrap()
}

fn good(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn bad(output: &Output, status: i32) -> String {
    assert_eq!(output.status.code(), Some(status));
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn one_command_makes_an_authority_a_server_and_a_client() {
    let folder = Folder::new("plain");
    let said = good(&cert(&folder.0, &[]));
    let expected = ["ca.key", "ca.pem", "client.key", "client.pem", "server.key", "server.pem"];
    assert_eq!(folder.names(), expected);
    for name in ["ca", "client", "server"] {
        assert!(folder.read(&format!("{name}.pem")).starts_with("-----BEGIN CERTIFICATE-----"));
        assert!(folder.read(&format!("{name}.key")).starts_with("-----BEGIN PRIVATE KEY-----"));
    }
    assert!(said.contains("spanwire cat --rep --listen tls+tcp://:5555"), "it says what comes next: {said}");
}

#[cfg(unix)]
#[test]
fn keys_are_for_their_owner_alone() {
    use std::os::unix::fs::MetadataExt;
    let folder = Folder::new("mode");
    good(&cert(&folder.0, &[]));
    for name in folder.names() {
        let mode = fs::metadata(folder.0.join(&name)).unwrap().mode() & 0o777;
        assert_eq!(mode & 0o077 == 0, name.ends_with(".key"), "{name} has mode {mode:o}");
    }
}

#[test]
fn an_authority_that_is_there_signs_more() {
    let folder = Folder::new("more");
    good(&cert(&folder.0, &["--quiet"]));
    let authority = folder.read("ca.pem");
    let said = good(&cert(&folder.0, &["--server", "two", "--client", "bob", "--client", "carol"]));
    assert!(said.contains("the authority that was there"), "{said}");
    assert_eq!(folder.read("ca.pem"), authority);
    for name in ["two", "bob", "carol"] {
        assert!(folder.read(&format!("{name}.pem")).starts_with("-----BEGIN CERTIFICATE-----"));
    }
}

#[test]
fn nothing_is_overwritten_and_nothing_half_written() {
    let folder = Folder::new("again");
    good(&cert(&folder.0, &["--quiet"]));
    let before: Vec<_> = folder.names().iter().map(|name| folder.read(name)).collect();
    let said = bad(&cert(&folder.0, &["--server", "other"]), 1);
    assert!(said.contains("client.pem is there already") && said.contains("--client"), "{said}");
    let after: Vec<_> = folder.names().iter().map(|name| folder.read(name)).collect();
    assert_eq!(before, after);
}

#[test]
fn what_makes_no_sense_is_said() {
    let folder = Folder::new("sense");
    for (args, why) in [
        (&["--client", "../x"][..], "letters, digits"),
        (&["--client", "ca"], "authority is called"),
        (&["--client", "server"], "two certificates would be called server"),
        (&["--host", "b\u{fc}cher.example"], "a host is a name"),
        (&["--days", "0"], "1..=3650"),
    ] {
        let said = bad(&cert(&folder.0, args), 2);
        assert!(said.contains(why), "{args:?}: {said}");
        assert_eq!(folder.names(), Vec::<String>::new(), "{args:?}");
    }
    fs::write(folder.0.join("ca.pem"), "no certificate").unwrap();
    let said = bad(&cert(&folder.0, &[]), 1);
    assert!(said.contains("half of an authority"), "{said}");
    fs::write(folder.0.join("ca.key"), "no key").unwrap();
    let said = bad(&cert(&folder.0, &[]), 1);
    assert!(said.contains("cannot use the authority"), "{said}");
    let said = bad(&cert(Path::new("/dev/null/certs"), &[]), 1);
    assert!(said.contains("cannot make the folder"), "{said}");
}
