//! The commands over TLS, with certificates that `spanwire cert` has made.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

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
            // Over QUIC the verdict is a datagram, which a reset by a listener that has forgotten the connection may
            // overtake: then the dialer knows only that it has ended, and hears why the next time.
            let times = if url.starts_with("quic") { 5 } else { 1 };
            let texts: Vec<_> = (0..times)
                .map(|_| {
                    let answer = ask(&server.1, &flags);
                    assert!(!answer.status.success(), "{url}");
                    said(&answer)
                })
                .collect();
            assert!(texts.iter().any(|text| text.contains(why)), "{url}: {texts:?}");
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

/// A command that says on standard error where it listens, and the address that `start` announces.
fn announced(command: &mut Command, start: &str) -> Server {
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut server = Server(child, String::new());
    let mut lines = BufReader::new(server.0.stderr.take().unwrap());
    while server.1.is_empty() {
        let mut line = String::new();
        assert!(lines.read_line(&mut line).unwrap() > 0, "it ended before it said {start:?}");
        if let Some(url) = line.strip_prefix(start) {
            server.1 = url.trim().replace("127.0.0.1", "localhost");
        }
    }
    // It must not be cut off from its standard error.
    std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
    server
}

/// A device that shows its socket at `url`.
fn shown(url: &str, flags: &[String]) -> Server {
    let mut command = spanwire(&["device", "-v", "--reflect", "bus", "--listen", "tcp://127.0.0.1:0"]);
    announced(command.args(["--stats", url]).args(flags), "stats: listening on ")
}

#[test]
fn top_and_metrics_look_over_tls_and_say_what_is_missing() {
    let certs = Certs::new("stats");
    for url in ["tls+tcp://127.0.0.1:0", "wss://127.0.0.1:0/stats"] {
        let program = shown(url, &certs.flags("server"));
        let look = |command: &[&str], flags: &[String]| {
            spanwire(command).arg(&program.1).args(flags).output().unwrap()
        };
        let table = look(&["top", "--once", "--interval", "0.05"], &certs.flags("client"));
        assert!(table.status.success() && said(&table).contains("\nbus "), "{url}: {}", said(&table));
        let text = look(&["metrics"], &certs.flags("client"));
        assert!(
            said(&text).contains("spanwire_peers{socket=\"bus\",protocol=\"bus\"} 0\n"),
            "{}",
            said(&text)
        );
        for command in [&["top", "--once"] as &[&str], &["metrics"]] {
            for (flags, why, advice) in [
                (vec![], "no authority that we trust", "--cacert"),
                (certs.flags(""), "requires a certificate of us", "--cert and --key"),
                (vec!["--insecure".to_owned()], "requires a certificate of us", "--cert and --key"),
                (vec!["--cacert".to_owned(), "/nowhere.pem".to_owned()], "cannot read /nowhere.pem", ""),
            ] {
                let refused = look(command, &flags);
                let text = said(&refused);
                assert_eq!(refused.status.code(), Some(1), "{url} {flags:?}: {text}");
                assert!(text.contains(why) && text.contains(advice), "{url} {flags:?}: {text}");
            }
        }
    }
    let open = shown("tcp://127.0.0.1:0", &[]);
    let secured = open.1.replace("tcp://", "tls+tcp://");
    let refused = spanwire(&["top", "--once", &secured]).args(certs.flags("client")).output().unwrap();
    assert!(said(&refused).contains("listens there does so without TLS"), "{}", said(&refused));
    let no_certificate = spanwire(&["metrics", &open.1, "--listen", "https://127.0.0.1:0"]).output().unwrap();
    let text = said(&no_certificate);
    assert!(text.contains("needs a certificate: give it with --cert and --key"), "{text}");
}

#[test]
fn a_scraper_is_answered_over_tls_if_it_is_known() {
    let certs = Certs::new("https");
    let program = shown("tcp://127.0.0.1:0", &[]);
    let mut command = spanwire(&["metrics", &program.1, "--listen", "https://127.0.0.1:0"]);
    let site = announced(command.args(certs.flags("server")), "listening on https://");
    let address = site.1.strip_suffix("/metrics").unwrap();
    // One that says nothing, and one that speaks no TLS, are in nobody's way.
    let _silent = TcpStream::connect(address).unwrap();
    let mut plain = TcpStream::connect(address).unwrap();
    plain.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "nothing is told to strangers");

    let file = |name: &str| certs.0.join(name);
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(file("ca.pem")).unwrap()).unwrap();
    let builder = || {
        ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots.clone())
    };
    let get = |config: ClientConfig| {
        let session = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
        let mut stream = StreamOwned::new(session, TcpStream::connect(address).unwrap());
        let mut answer = String::new();
        let asked = stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n");
        asked.and_then(|()| stream.read_to_string(&mut answer)).map(|_| answer)
    };
    let chain = CertificateDer::pem_file_iter(file("client.pem")).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(file("client.key")).unwrap();
    let answer = get(builder().with_client_auth_cert(chain, key).unwrap()).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("spanwire_peers{socket=\"bus\",protocol=\"bus\"} 0\n"), "{answer}");
    let unknown = get(builder().with_no_client_auth());
    assert!(unknown.is_err(), "{unknown:?}");
}
