//! The commands over TLS, with certificates that `spanwire cert` has made.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

/// A folder with certificates, gone afterwards.
struct Certs(PathBuf);

impl Certs {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("spanwire-secure-{}-{name}", std::process::id()));
        let certs = Self(path);
        let made = spanwire(&["cert", certs.0.to_str().unwrap(), "--quiet"]).output().unwrap();
        assert!(made.status.success(), "{}", said(&made));
        certs
    }

    /// The flags of somebody who trusts the authority, and is called `name` if that is not empty.
    fn flags(&self, name: &str) -> Vec<String> {
        let file = |name: &str| self.0.join(name).to_str().unwrap().to_owned();
        let mut flags = vec!["--cacert".to_owned(), file("ca.pem")];
        if !name.is_empty() {
            let (certificate, key) = (file(&format!("{name}.pem")), file(&format!("{name}.key")));
            flags.extend(["--cert".to_owned(), certificate, "--key".to_owned(), key]);
        }
        flags
    }
}

impl Drop for Certs {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn spanwire(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spanwire"));
    command.args(args).stdin(Stdio::null());
    command
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A listener that says where it listens, and its address.
struct Server(Child, String);

impl Server {
    fn start(url: &str, flags: &[String]) -> Self {
        let mut command = spanwire(&["cat", "--rep", "--listen", url, "--data", "hello", "--verbose"]);
        let mut child = command.args(flags).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("Listening at: ").unwrap_or_else(|| panic!("{line:?}"));
        Self(child, url.replace("127.0.0.1", "localhost"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn ask(url: &str, flags: &[String]) -> Output {
    let mut command = spanwire(&["cat", "--req", "--dial", url, "--data", "hi", "--ascii", "--count", "1"]);
    command.args(["--recv-timeout", "20"]).args(flags).output().unwrap()
}

const SECURED: [&str; 4] =
    ["tls+tcp://127.0.0.1:0", "wss://127.0.0.1:0/sp", "quic://127.0.0.1:0", "mux+tls+tcp://127.0.0.1:0#sp"];

#[test]
fn two_commands_talk_over_mutual_tls() {
    let certs = Certs::new("mutual");
    for url in SECURED {
        let server = Server::start(url, &certs.flags("server"));
        let answer = ask(&server.1, &certs.flags("client"));
        assert!(answer.status.success(), "{url}: {}", said(&answer));
        assert_eq!(answer.stdout, b"hello", "{url}");
    }
}

#[test]
fn who_cannot_prove_who_it_is_is_told_so() {
    let certs = Certs::new("refused");
    for url in SECURED {
        let server = Server::start(url, &certs.flags("server"));
        for (flags, why) in [
            // It does not know the authority, and the other one is not known here.
            (
                vec!["--cacert".to_owned(), certs.0.join("client.pem").to_str().unwrap().to_owned()],
                "authority",
            ),
            (certs.flags(""), "certificate"),
        ] {
            let answer = ask(&server.1, &flags);
            assert!(!answer.status.success(), "{url}");
            let text = said(&answer);
            assert!(text.contains(why), "{url}: {text}");
        }
    }
}

#[test]
fn a_listener_needs_a_certificate() {
    for url in SECURED {
        let refused = spanwire(&["cat", "--pull", "--listen", url]).output().unwrap();
        assert!(!refused.status.success());
        assert!(said(&refused).contains("needs a certificate"), "{}", said(&refused));
    }
}

#[test]
fn perf_and_device_take_the_same_files() {
    let certs = Certs::new("perf");
    let mut command = spanwire(&["perf", "local-lat", "tls+tcp://127.0.0.1:0", "64", "50", "--announce"]);
    let local = command.args(certs.flags("server")).stdout(Stdio::piped()).spawn().unwrap();
    let mut local = Server(local, String::new());
    let mut url = String::new();
    let mut output = BufReader::new(local.0.stdout.take().unwrap());
    output.read_line(&mut url).unwrap();
    let url = url.trim().replace("127.0.0.1", "localhost");
    let remote =
        spanwire(&["perf", "remote-lat", &url, "64", "50"]).args(certs.flags("client")).output().unwrap();
    assert!(remote.status.success(), "{}", said(&remote));
    assert!(local.0.wait().unwrap().success());

    let server = Server::start("tls+tcp://127.0.0.1:0", &certs.flags("server"));
    let mut device =
        spanwire(&["device", "--verbose", "rep", "--listen", "tcp://127.0.0.1:0", "req", "--dial"]);
    let device = device.arg(&server.1).args(certs.flags("client")).stderr(Stdio::piped()).spawn().unwrap();
    let mut device = Server(device, String::new());
    let mut lines = BufReader::new(device.0.stderr.take().unwrap()).lines();
    let told =
        lines.find_map(|line| line.unwrap().split_once("listening on ").map(|(_, url)| url.to_owned()));
    let answer = ask(&told.expect("it listens"), &[]);
    assert_eq!(answer.stdout, b"hello", "{}", said(&answer));
    drop(device);
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
}
