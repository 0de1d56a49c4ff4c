//! `spanwire device` forwards until it is told to stop.
#![cfg(unix)]

use spanwire::blocking::{BusSocket, Pair1Socket, RepSocket, ReqSocket, SubSocket};
use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStderr, Command, Stdio};

struct Device {
    child: Child,
    says: Lines<BufReader<ChildStderr>>,
}

impl Device {
    fn start(args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spanwire"));
        command.arg("device").args(args).arg("-v").stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let says = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, says }
    }

    /// Waits for a line that begins like this; returns the rest of it.
    fn says(&mut self, start: &str) -> String {
        let mut found = self
            .says
            .by_ref()
            .map(Result::unwrap)
            .filter_map(|line| line.strip_prefix(start).map(str::to_owned));
        found.next().unwrap_or_else(|| panic!("the device ended before it said {start:?}"))
    }

    /// Ends it; returns what it said about that.
    fn stop(mut self, signal: &str) -> String {
        let kill = format!("kill -{signal} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        let said: Vec<_> = self.says.by_ref().map(Result::unwrap).collect();
        assert_eq!(self.child.wait().unwrap().code(), Some(0), "{said:?}");
        said.join("\n")
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // After a failure nothing of it may stay.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const ANY: &str = "tcp://127.0.0.1:0";

#[test]
fn requests_pass_and_find_their_way_back_and_the_tap_sees_them() {
    let mut device = Device::start(&[
        "rep",
        "--listen",
        ANY,
        "--listen",
        "abstract://",
        "req",
        "--listen",
        ANY,
        "--tap",
        ANY,
    ]);
    let fronts = [device.says("rep: listening on "), device.says("rep: listening on ")];
    let back = device.says("req: listening on ");
    let tap = device.says("tap: listening on ");
    let (rep, sub) = (RepSocket::new(), SubSocket::new());
    rep.dial(&back).unwrap();
    device.says("req: ");
    sub.subscribe("");
    sub.dial(&tap).unwrap();
    device.says("tap: ");
    for front in fronts {
        let req = ReqSocket::new();
        req.dial(&front).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| rep.recv().unwrap().reply("pong").unwrap());
            assert_eq!(&req.request("ping").unwrap()[..], b"pong");
        });
        assert_eq!([sub.recv().unwrap(), sub.recv().unwrap()].map(|m| m.to_vec()), [b"ping", b"pong"]);
    }
    let report = device.stop("TERM");
    assert!(report.contains("rep -> req: 2 messages, 8 B"), "{report}");
    assert!(report.contains("rep <- req: 2 messages, 8 B"), "{report}");
    assert!(!report.contains("not sent") && !report.contains("dropped"), "{report}");
}

#[test]
fn it_dials_what_is_not_there_yet() {
    let service = RepSocket::new();
    let listener = service.listen(ANY).unwrap();
    let url = listener.url().to_owned();
    service.close(std::time::Duration::from_secs(1));
    let mut device = Device::start(&["rep", "--listen", ANY, "req", "--dial", &url]);
    let front = device.says("rep: listening on ");
    assert!(device.says("req: ").contains("trying again"));
    let service = RepSocket::new();
    service.listen(&url).unwrap();
    let req = ReqSocket::new();
    req.dial(&front).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| service.recv().unwrap().reply("at last").unwrap());
        assert_eq!(&req.request("anybody?").unwrap()[..], b"at last");
    });
    device.stop("INT");
}

#[test]
fn a_reflector_sends_back() {
    let mut device = Device::start(&["--reflect", "pair1", "--listen", ANY]);
    let pair = Pair1Socket::new();
    pair.dial(&device.says("pair1: listening on ")).unwrap();
    pair.send("echo").unwrap();
    assert_eq!(&pair.recv().unwrap()[..], b"echo");
    let report = device.stop("INT");
    assert!(report.contains("pair1 -> pair1: 1 messages, 4 B"), "{report}");
}

#[test]
fn a_bus_is_joined_with_a_bus() {
    let mut device = Device::start(&["bus", "--listen", ANY, "bus", "--listen", ANY]);
    let (one, other) = (BusSocket::new(), BusSocket::new());
    one.dial(&device.says("bus: listening on ")).unwrap();
    other.dial(&device.says("bus: listening on ")).unwrap();
    // Both are attached on its side too.
    device.says("bus: ");
    device.says("bus: ");
    one.send("hello").unwrap();
    assert_eq!(&other.recv().unwrap()[..], b"hello");
    other.send("yourself").unwrap();
    assert_eq!(&one.recv().unwrap()[..], b"yourself");
    device.stop("TERM");
}

#[test]
fn what_makes_no_sense_is_refused_with_advice() {
    for (args, status, advice) in [
        (&["rep", "--listen", ANY] as &[&str], 2, "--reflect"),
        (&["rep", "--listen", ANY, "pub", "--listen", ANY], 2, "rep and req"),
        (&["--reflect", "req", "--listen", ANY], 2, "pair0, pair1 or bus"),
        (&["--listen", ANY, "rep", "req", "--listen", ANY], 2, "name the protocol first"),
        (&["rep", "req", "--listen", ANY], 2, "--listen URL or --dial URL"),
        (&["nonsense"], 2, "PROTOCOL"),
        (&["rep", "--listen", "nowhere", "req", "--listen", ANY], 1, "addresses look like"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_spanwire")).arg("device").args(args).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{args:?}: {text}");
        assert!(text.contains(advice), "{args:?}: {text}");
    }
}
