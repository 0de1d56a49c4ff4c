//! `spanwire mux` carries connections of programs that know nothing of it, all over one.
#![cfg(unix)]

use spanwire::blocking::mux;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

/// So long may a read of a test take.
const SOON: Duration = Duration::from_secs(60);
const ANY: &str = "tcp://127.0.0.1:0";

struct Mux {
    child: Child,
    says: Receiver<String>,
}

impl Mux {
    fn start(args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spanwire"));
        command.arg("mux").args(args).arg("-v").stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (said, says) = mpsc::channel();
        thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| said.send(line)));
        Self { child, says }
    }

    /// Starts a side; returns it and where it listens, without `tcp://`.
    fn listening(args: &[&str]) -> (Self, String) {
        let mut mux = Self::start(args);
        let at = mux.says("listening on ");
        (mux, at.strip_prefix("tcp://").map_or(at.clone(), str::to_owned))
    }

    /// Waits for a line that contains this; returns what is behind it.
    fn says(&mut self, what: &str) -> String {
        let mut seen = Vec::new();
        while let Ok(line) = self.says.recv_timeout(SOON) {
            if let Some((_, rest)) = line.split_once(what) {
                return rest.to_owned();
            }
            seen.push(line);
        }
        panic!("it has not said {what:?}, but {seen:?}");
    }

    fn signal(&self, signal: &str) {
        let kill = format!("kill -{signal} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Ends it; returns what it said and was not asked for.
    fn stop(mut self, signal: &str) -> Vec<String> {
        self.signal(signal);
        let said: Vec<_> = self.says.iter().collect();
        assert_eq!(self.child.wait().unwrap().code(), Some(0), "{said:?}");
        said
    }
}

impl Drop for Mux {
    fn drop(&mut self) {
        // After a failure nothing of it may stay.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A target that does the same with each connection, and its address.
fn target(each: impl Fn(TcpStream) + Send + Sync + Clone + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let each = each.clone();
            thread::spawn(move || each(stream.unwrap()));
        }
    });
    url
}

/// Sends back what comes, and ends when that does.
fn echo(stream: TcpStream) {
    // A test that has seen enough just leaves.
    let _ = std::io::copy(&mut &stream, &mut &stream);
    let _ = stream.shutdown(Shutdown::Write);
}

/// Both sides, and where the local connections go.
fn tunnel(target: &str) -> (Mux, Mux, String) {
    let (serve, at) = Mux::listening(&["serve", "--listen", ANY, "--to", target]);
    let (forward, door) = Mux::listening(&["forward", "--listen", ANY, "--to", &format!("tcp://{at}")]);
    (serve, forward, door)
}

fn connect(door: &str) -> TcpStream {
    let stream = TcpStream::connect(door).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.set_write_timeout(Some(SOON)).unwrap();
    stream
}

/// Says something, and expects it back.
fn greet(mut stream: &TcpStream) {
    stream.write_all(b"hello").unwrap();
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"hello");
}

/// The end of a connection that was cut: no proper one.
fn is_cut(mut stream: &TcpStream) -> bool {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Err(error) if error.kind() == ErrorKind::ConnectionReset => true,
        other => panic!("{other:?} with {} bytes", rest.len()),
    }
}

/// Bytes that are the same nowhere else: a step of an LCG for each.
struct Noise(u64);

impl Noise {
    fn fill(&mut self, buffer: &mut [u8]) {
        for byte in buffer {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = (self.0 >> 56) as u8;
        }
    }
}

fn send_noise(mut to: &TcpStream, seed: u64, total: usize) {
    let (mut noise, mut buffer) = (Noise(seed), vec![0; 50_000]);
    for _ in 0..total / buffer.len() {
        noise.fill(&mut buffer);
        to.write_all(&buffer).unwrap();
    }
    to.shutdown(Shutdown::Write).unwrap();
}

fn expect_noise(mut from: &TcpStream, seed: u64, total: usize) {
    let (mut noise, mut buffer, mut expected) = (Noise(seed), vec![0; 50_000], vec![0; 50_000]);
    for at in 0..total / buffer.len() {
        from.read_exact(&mut buffer).unwrap();
        noise.fill(&mut expected);
        assert!(buffer == expected, "in block {at}");
    }
    assert_eq!(from.read(&mut buffer).unwrap(), 0, "it ends properly");
}

#[test]
fn fifty_connections_share_one() {
    let (serve, forward, door) = tunnel(&target(echo));
    let streams: Vec<_> = (0..50).map(|_| connect(&door)).collect();
    for stream in &streams {
        greet(stream);
    }
    // All are there at once.
    for stream in &streams {
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!((&*stream).read(&mut [0]).unwrap(), 0);
    }
    for mux in [serve, forward] {
        let said = mux.stop("TERM");
        let made =
            said.iter().filter(|line| line.starts_with("connection 1 at ") && line.ends_with(" is there"));
        assert_eq!(made.count(), 1, "{said:?}");
        assert!(!said.iter().any(|line| line.starts_with("connection 2 ")), "{said:?}");
        assert!(said.iter().any(|line| line == "carried 50: 0 now, 0 refused, 0 cut"), "{said:?}");
        assert!(said.iter().any(|line| line.starts_with("sent 250 B, received 250 B")), "{said:?}");
    }
}

#[test]
fn each_direction_ends_by_itself() {
    // Answers only when all has come.
    let (_serve, _forward, door) = tunnel(&target(|mut stream| {
        let mut all = String::new();
        stream.read_to_string(&mut all).unwrap();
        write!(stream, "{} bytes", all.len()).unwrap();
    }));
    let mut stream = connect(&door);
    stream.write_all(&[b'x'; 1_000]).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "1000 bytes");
    // And the other way round: the target has said all before we begin.
    let (said, hears) = mpsc::channel();
    let (_serve, _forward, door) = tunnel(&target(move |mut stream| {
        stream.write_all(b"that is all").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut all = String::new();
        stream.read_to_string(&mut all).unwrap();
        said.send(all).unwrap();
    }));
    let mut stream = connect(&door);
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "that is all");
    stream.write_all(b"one more thing").unwrap();
    drop(stream);
    assert_eq!(hears.recv_timeout(SOON).unwrap(), "one more thing");
}

#[test]
fn large_transfers_go_both_ways_at_once_and_arrive_as_they_were() {
    const TOTAL: usize = 30_000_000;
    let (_serve, _forward, door) = tunnel(&target(|stream| {
        thread::scope(|scope| {
            scope.spawn(|| send_noise(&stream, 2, TOTAL));
            expect_noise(&stream, 1, TOTAL);
        });
    }));
    let stream = connect(&door);
    thread::scope(|scope| {
        scope.spawn(|| send_noise(&stream, 1, TOTAL));
        expect_noise(&stream, 2, TOTAL);
    });
}

#[test]
fn a_reader_that_stops_holds_up_nobody_else() {
    const TOTAL: usize = 100_000_000;
    // Pours into those who ask for it, and is an echo to others.
    let (mut serve, _forward, door) = tunnel(&target(|mut stream| {
        let mut first = [0];
        stream.read_exact(&mut first).unwrap();
        if first == *b"P" {
            return send_noise(&stream, 3, TOTAL);
        }
        stream.write_all(&first).unwrap();
        echo(stream);
    }));
    let stopped = connect(&door);
    (&stopped).write_all(b"P").unwrap();
    let other = connect(&door);
    for _ in 0..1_000 {
        greet(&other);
    }
    // Until nothing more fits: what its reader does not take waits, on its own channel.
    let stalled = (0..10_000).any(|_| {
        serve.signal("USR1");
        greet(&other);
        serve.says(", stalls ") != "0"
    });
    assert!(stalled);
    greet(&other);
    expect_noise(&stopped, 3, TOTAL);
    greet(&other);
}

#[test]
fn the_id_chooses_the_target_and_one_that_nobody_has_is_refused() {
    let name =
        |name: &'static str| target(move |mut stream: TcpStream| stream.write_all(name.as_bytes()).unwrap());
    let (one, two) = (name("one"), name("two"));
    let args = ["serve", "--listen", ANY, "--id", "one", "--to", &one, "--id", "two", "--to", &two];
    let (mut serve, at) = Mux::listening(&args);
    for (id, expected) in [("one", Some("one")), ("two", Some("two")), ("three", None)] {
        let url = format!("tcp://{at}");
        let (mut forward, door) = Mux::listening(&["forward", "--listen", ANY, "--to", &url, "--id", id]);
        let mut stream = connect(&door);
        match expected {
            Some(expected) => {
                let mut answer = String::new();
                stream.read_to_string(&mut answer).unwrap();
                assert_eq!(answer, expected);
            }
            None => {
                assert!(is_cut(&stream));
                let why = forward.says("refused by the other side: ");
                assert_eq!(why, "there is no target for the id \"three\"");
                serve.says("there is no target for the id \"three\"");
            }
        }
    }
}

#[test]
fn a_target_that_is_not_there_is_told_on_both_sides() {
    // No port that another test may be given meanwhile.
    let nobody = "127.0.0.1:1";
    let (mut serve, mut forward, door) = tunnel(&format!("tcp://{nobody}"));
    assert!(is_cut(&connect(&door)));
    assert!(serve.says("refused a channel of connection 1 with ").contains(nobody));
    assert!(forward.says("refused by the other side: ").contains(nobody));
}

#[test]
fn a_cut_is_carried_as_one() {
    // A target that breaks off in the middle.
    let (mut serve, mut forward, door) = tunnel(&target(|mut stream| {
        stream.write_all(b"half of it").unwrap();
        // What is unread makes the end of it a reset.
        stream.read_exact(&mut [0]).unwrap();
    }));
    let mut stream = connect(&door);
    let mut begun = [0; 10];
    stream.read_exact(&mut begun).unwrap();
    stream.write_all(&[7; 1_000]).unwrap();
    assert!(is_cut(&stream));
    serve.says("was cut here: ");
    forward.says("was cut: the connection at the other end was cut");
}

#[test]
fn the_other_side_may_go_and_come_back() {
    let to = target(echo);
    let (serve, mut forward, door) = tunnel(&to);
    let stream = connect(&door);
    greet(&stream);
    let at = forward.says("at tcp://").split(' ').next().unwrap().to_owned();
    // One that is still carried has a while, and is then cut.
    serve.stop("TERM");
    assert!(is_cut(&stream));
    assert!(is_cut(&connect(&door)));
    assert!(forward.says("cannot connect to").contains(&at));
    let (_serve, again) = Mux::listening(&["serve", "--listen", &format!("tcp://{at}"), "--to", &to]);
    assert_eq!(again, at);
    greet(&connect(&door));
    assert!(forward.says("connection 2 at").ends_with("is there"));
}

#[test]
fn those_who_are_carried_may_finish_while_it_ends() {
    let (serve, at) = Mux::listening(&["serve", "--listen", ANY, "--to", &target(echo), "--grace", "60"]);
    let url = format!("tcp://{at}");
    let (mut forward, door) = Mux::listening(&["forward", "--listen", ANY, "--to", &url, "--grace", "60"]);
    let stream = connect(&door);
    greet(&stream);
    forward.signal("TERM");
    forward.says("carried 1: 1 now");
    greet(&stream);
    serve.signal("INT");
    greet(&stream);
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!((&stream).read(&mut [0]).unwrap(), 0);
    for mut mux in [serve, forward] {
        assert_eq!(mux.child.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn a_second_signal_cuts_them() {
    let (_serve, at) = Mux::listening(&["serve", "--listen", ANY, "--to", &target(echo)]);
    let url = format!("tcp://{at}");
    let (mut forward, door) = Mux::listening(&["forward", "--listen", ANY, "--to", &url, "--grace", "600"]);
    let stream = connect(&door);
    greet(&stream);
    forward.signal("TERM");
    forward.says("carried 1: 1 now");
    // It says so when it listens for the second one.
    forward.says("ending");
    forward.stop("TERM");
    let mut rest = Vec::new();
    // Cut or ended: it is over.
    let _ = (&stream).read_to_end(&mut rest);
}

#[test]
fn one_who_is_no_multiplexer_is_told_so() {
    let wrong = target(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let (mut forward, door) = Mux::listening(&["forward", "--listen", ANY, "--to", &wrong]);
    assert!(is_cut(&connect(&door)));
    forward.says("does not speak the multiplexer's protocol");
    forward.says("check the address");
    forward.stop("INT");
}

#[test]
fn no_more_are_carried_than_may_be() {
    let (_serve, at) =
        Mux::listening(&["serve", "--listen", ANY, "--to", &target(echo), "--connections", "2"]);
    let url = format!("tcp://{at}");
    let bounded = ["forward", "--listen", ANY, "--to", &url, "--connections", "1"];
    let (_one, door) = Mux::listening(&bounded);
    let (_two, second) = Mux::listening(&bounded);
    let (mut third, refused) = Mux::listening(&bounded);
    let streams = [connect(&door), connect(&second)];
    streams.iter().for_each(greet);
    // The remote side refuses, the local one lets wait.
    assert!(is_cut(&connect(&refused)));
    third.says("refused by the other side: 2 connections are carried already");
    let waits = connect(&door);
    (&waits).write_all(b"hello").unwrap();
    streams[0].shutdown(Shutdown::Write).unwrap();
    let mut answer = [0; 5];
    (&waits).read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"hello");
}

/// A folder, gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("spanwire-mux-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn unix_sockets_are_carried_too_and_leave_no_file() {
    let folder = Folder::new("unix");
    let (door, at, service) = (folder.file("door"), folder.file("mux"), folder.file("service"));
    let listener = std::os::unix::net::UnixListener::bind(&service).unwrap();
    thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        std::io::copy(&mut &stream, &mut &stream).unwrap();
    });
    // One that is left over from somebody who was killed is taken over.
    drop(std::os::unix::net::UnixListener::bind(&door).unwrap());
    let url = |path: &str| format!("ipc://{path}");
    let (serve, _) = Mux::listening(&["serve", "--listen", &url(&at), "--to", &url(&service)]);
    let (forward, _) = Mux::listening(&["forward", "--listen", &url(&door), "--to", &url(&at)]);
    let mut stream = UnixStream::connect(&door).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.write_all(b"over unix sockets").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "over unix sockets");
    forward.stop("TERM");
    serve.stop("TERM");
    assert!(!std::fs::exists(&door).unwrap() && !std::fs::exists(&at).unwrap());
}

#[test]
fn a_tunnel_over_mutual_tls_lets_in_who_has_a_certificate() {
    let folder = Folder::new("tls");
    let certs =
        Command::new(env!("CARGO_BIN_EXE_spanwire")).args(["cert", "--quiet"]).arg(&folder.0).output();
    assert!(certs.unwrap().status.success());
    let [ca, cert, key] = ["ca.pem", "server.pem", "server.key"].map(|name| folder.file(name));
    let to = target(echo);
    let listen = ["serve", "--listen", "tls+tcp://127.0.0.1:0", "--to", &to];
    let mut args = listen.to_vec();
    args.extend(["--cacert", &ca, "--cert", &cert, "--key", &key]);
    let (_serve, at) = Mux::listening(&args);
    let url = at.replace("127.0.0.1", "localhost");
    let [cert, key] = ["client.pem", "client.key"].map(|name| folder.file(name));
    let forward = ["forward", "--listen", ANY, "--to", &url, "--cacert", &ca];
    let (mut stranger, door) = Mux::listening(&forward);
    assert!(is_cut(&connect(&door)));
    stranger.says("--cert and --key");
    let mut args = forward.to_vec();
    args.extend(["--cert", &cert, "--key", &key]);
    let (_forward, door) = Mux::listening(&args);
    greet(&connect(&door));
}

#[test]
fn the_echo_sends_back_messages_and_streams() {
    let (echo, at) = Mux::listening(&["echo", "--listen", ANY]);
    let pool = mux::Pool::with(spanwire::mux::PoolOptions::default());
    let channel = pool.open(&format!("tcp://{at}"), "anything").unwrap();
    for body in ["one", "", "three"] {
        channel.send(body).unwrap();
        assert_eq!(channel.recv().unwrap(), body);
    }
    // Twice what any window has, so it has to come back meanwhile.
    let mut stream = channel.send_stream().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..1_000 {
                stream.write_chunk(vec![7; 64 * 1024]).unwrap();
            }
            stream.finish();
        });
        let mut total = 0;
        let mut back = channel.recv_stream().unwrap();
        while let Some(bytes) = back.read_chunk().unwrap() {
            total += bytes.len();
        }
        assert_eq!(total, 1_000 * 64 * 1024);
    });
    drop(channel);
    let said = echo.stop("TERM");
    assert!(said.iter().any(|line| line.starts_with("carried 1: ")), "{said:?}");
}

fn look(args: &[&str]) -> String {
    let output =
        Command::new(env!("CARGO_BIN_EXE_spanwire")).args(args).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_tunnel_is_watched_at_both_ends() {
    let url = target(echo);
    let (mut serve, at) = Mux::listening(&["serve", "--listen", ANY, "--to", &url, "--stats", ANY]);
    let serves = serve.says("stats: listening on ");
    let to = format!("tcp://{at}");
    let forwards = ["forward", "--listen", ANY, "--to", &to, "--id", "db", "--stats", ANY];
    let (mut forward, door) = Mux::listening(&forwards);
    let forwarded = forward.says("stats: listening on ");
    let client = connect(&door);
    greet(&client);
    for (stats, name, peer) in [(&forwarded, "forward", Some(&*at)), (&serves, "serve", None)] {
        let table = look(&["top", stats, "--once", "--peers", "--interval", "0.05"]);
        assert!(table.contains("0 sockets, 1 mux"), "{table}");
        let rows: Vec<Vec<_>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        let rows: Vec<_> = rows.iter().filter(|row| row.first() == Some(&name)).collect();
        let [all, connection, channel] = &rows[..] else { panic!("{table}") };
        assert_eq!(all[1..3], ["mux", "1"], "one connection: {table}");
        assert!(peer.is_none_or(|peer| connection[1] == peer), "{table}");
        assert_eq!(connection[3], "1", "one channel: {table}");
        assert_eq!((channel[1], channel[3]), ("db", connection[2]), "{table}");
        let text = look(&["metrics", stats, "--peers"]);
        let role = if name == "forward" { "pool" } else { "server" };
        let labels = format!("mux=\"{name}\",role=\"{role}\"");
        assert!(text.contains(&format!("spanwire_mux_connections{{{labels}}} 1\n")), "{text}");
        assert!(text.contains(&format!("spanwire_mux_channel_stalls_total{{{labels},connection=")), "{text}");
    }
    // The connection stays when the client is gone; its channel does not.
    client.shutdown(Shutdown::Both).unwrap();
    drop(client);
    let gone = (0..1_000).any(|_| {
        look(&["metrics", &forwarded]).contains("spanwire_mux_channels{mux=\"forward\",role=\"pool\"} 0\n")
    });
    assert!(gone);
    forward.stop("TERM");
    serve.stop("TERM");
}

#[test]
fn what_went_through_is_told_when_asked_for() {
    let (mut serve, mut forward, door) = tunnel(&target(echo));
    let stream = connect(&door);
    greet(&stream);
    for mux in [&mut serve, &mut forward] {
        mux.signal("USR1");
        assert_eq!(mux.says("carried 1: "), "1 now, 0 refused, 0 cut");
        assert!(mux.says("sent 5 B, received 5 B, stalls ").parse::<u64>().is_ok());
        assert!(mux.says("connection 1 with ").contains("channels 1, opened 1, sent"));
    }
    drop(forward);
    let args = ["forward", "--listen", ANY, "--to", "tcp://127.0.0.1:1", "--every", "1"];
    let (mut forward, _) = Mux::listening(&args);
    assert_eq!(forward.says("carried 0: "), "0 now, 0 refused, 0 cut");
    assert_eq!(forward.says("carried 0: "), "0 now, 0 refused, 0 cut");
}

#[test]
fn what_makes_no_sense_is_refused_with_advice() {
    for (args, status, advice) in [
        (&["forward", "--listen", ANY] as &[&str], 2, "--to"),
        (&["forward", "--listen", "tls+tcp://:0", "--to", ANY], 1, "port"),
        (&["forward", "--listen", "tls+tcp://:0", "--to", "tcp://h:1"], 1, "ipc:///run/name"),
        (&["forward", "--listen", ANY, "--to", "nowhere"], 1, "addresses look like"),
        (&["forward", "--listen", ANY, "--to", "mux+tcp://h:1#x"], 2, "without mux+"),
        (&["serve", "--listen", "mux+tcp://h:1", "--to", "tcp://h:1"], 2, "without mux+"),
        (&["serve", "--listen", ANY], 2, "--to"),
        (&["serve", "--listen", ANY, "--to", "tcp://h:1", "--to", "tcp://h:2"], 2, "--id in front of --to"),
        (&["serve", "--listen", ANY, "--to", "tcp://h:1", "--id", "x"], 2, "--id in front of its --to"),
        (&["serve", "--listen", "tls+tcp://:0", "--to", "tcp://h:1"], 1, "--cert"),
        (&["echo", "--listen", "tcp://203.0.113.1:1"], 1, "address of this machine"),
        (&["nonsense"], 2, "unrecognized subcommand"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_spanwire")).arg("mux").args(args).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{args:?}: {text}");
        assert!(text.contains(advice), "{args:?}: {text}");
    }
}
