//! `spanwire top` and `spanwire metrics` show the sockets of another program.

use spanwire::blocking::{PullSocket, PushSocket, RepSocket, ReqSocket, SubSocket};
use spanwire::watch::{self, Service};
use spanwire::{Dropped, blocking};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

const ANY: &str = "tcp://127.0.0.1:0";

fn spanwire(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_spanwire")).args(args).stdin(Stdio::null()).output().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// What a program exposes is its process's, and the tests share one.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Sockets that have something to show.
struct Program {
    req: ReqSocket,
    rep: RepSocket,
    push: PushSocket,
    pull: PullSocket,
    sub: SubSocket,
    /// Kept for its subscriber.
    _publisher: blocking::PubSocket,
    service: Service,
}

impl Program {
    fn start() -> Self {
        let (req, rep) = (ReqSocket::new(), RepSocket::new());
        let (push, pull, sub) = (PushSocket::new(), PullSocket::new(), SubSocket::new());
        req.dial(rep.listen(ANY).unwrap().url()).unwrap();
        push.dial(pull.listen(ANY).unwrap().url()).unwrap();
        let publisher = blocking::PubSocket::new();
        sub.dial(publisher.listen(ANY).unwrap().url()).unwrap();
        publisher.wait_peers(1).unwrap();
        publisher.send("nobody wants this").unwrap();
        while sub.stats().ledger.dropped(Dropped::NotSubscribed) == 0 {
            thread::yield_now();
        }
        watch::expose("calls", &req).unwrap();
        watch::expose("answers", &rep).unwrap();
        watch::expose("jobs", &push).unwrap();
        watch::expose("work", &pull).unwrap();
        watch::expose("news", &sub).unwrap();
        let service = watch::serve_blocking(ANY).unwrap();
        Self { req, rep, push, pull, sub, _publisher: publisher, service }
    }

    fn url(&self) -> &str {
        self.service.url()
    }

    /// Requests and jobs until `done`.
    fn run_until(&self, done: impl Fn() -> bool + Sync) {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while let Ok(request) = self.rep.recv() {
                    if request.message().is_empty() {
                        return request.reply("").unwrap();
                    }
                    request.reply("an answer").unwrap();
                }
            });
            scope.spawn(|| while !self.pull.recv().unwrap().is_empty() {});
            while !over.load(Ordering::Relaxed) {
                self.req.request("a question").unwrap();
                self.push.send("a job").unwrap();
                over.store(done(), Ordering::Relaxed);
            }
            self.req.request("").unwrap();
            self.push.send("").unwrap();
        });
        // The last reply is written before it is counted as written.
        let counted = || {
            let sent = self.rep.peers()[0].stats.sent_messages;
            sent == self.rep.stats().ledger.sent_messages
        };
        while !counted() {
            thread::yield_now();
        }
    }
}

/// The cells of the line that begins with `name`.
fn row<'a>(table: &'a str, name: &str) -> Vec<&'a str> {
    let line = table.lines().find(|line| line.split_whitespace().next() == Some(name));
    line.unwrap_or_else(|| panic!("no {name}:\n{table}")).split_whitespace().collect()
}

#[test]
fn once_prints_the_sockets_of_a_program_under_load() {
    let _one = ONE_AT_A_TIME.lock();
    let program = Program::start();
    let output = Mutex::new(None);
    thread::scope(|scope| {
        scope.spawn(|| {
            let url = program.url();
            let done =
                spanwire(&["top", url, "--once", "--peers", "--interval", "0.2", "--sort", "messages"]);
            *output.lock().unwrap() = Some(done);
        });
        program.run_until(|| output.lock().unwrap().is_some());
    });
    let output = output.into_inner().unwrap().unwrap();
    let table = text(&output);
    assert!(output.status.success(), "{table}");
    assert!(table.contains(&format!("process {}", std::process::id())), "{table}");
    assert!(!table.contains('\x1b'), "nothing for terminals in a pipe: {table}");
    let number =
        |cell: &str| cell.replace(',', "").parse::<u64>().unwrap_or_else(|_| panic!("{cell}\n{table}"));
    let calls = row(&table, "calls");
    assert_eq!((calls[1], calls[2]), ("req", "1"));
    assert!(number(calls[3]) > 0 && number(calls[4]) > 0, "{table}");
    assert!(table.lines().any(|line| line.starts_with("calls ") && line.contains(" reply ")), "{table}");
    assert!(number(row(&table, "jobs")[3]) > 0 && number(row(&table, "work")[4]) > 0, "{table}");
    assert_eq!(number(row(&table, "news")[3]), 0);
    assert!(table.contains("    1 dropped: not subscribed"), "{table}");
    let at = |name: &str| table.find(&format!("\n{name} ")).unwrap();
    assert!(at("calls") < at("news"), "the busy ones first: {table}");
    let remote = program.req.peers()[0].ends.remote.to_string();
    assert!(table.lines().any(|line| line.starts_with("calls ") && line.contains(&remote)), "{table}");
}

#[test]
fn prometheus_text_says_what_the_sockets_say() {
    let _one = ONE_AT_A_TIME.lock();
    let program = Program::start();
    let turns = std::sync::atomic::AtomicU64::new(0);
    program.run_until(|| turns.fetch_add(1, Ordering::Relaxed) == 500);
    let output = spanwire(&["metrics", program.url(), "--peers"]);
    let text = text(&output);
    assert!(output.status.success(), "{text}");
    let value = |series: &str, labels: &str| {
        let line = format!("spanwire_{series}{{{labels}}} ");
        let found = text.lines().find_map(|other| other.strip_prefix(&line));
        found.unwrap_or_else(|| panic!("no {line}\n{text}")).parse::<u64>().unwrap()
    };
    for (name, protocol, stats) in [
        ("calls", "req", program.req.stats()),
        ("answers", "rep", program.rep.stats()),
        ("jobs", "push", program.push.stats()),
        ("work", "pull", program.pull.stats()),
        ("news", "sub", program.sub.stats()),
    ] {
        let labels = format!("socket=\"{name}\",protocol=\"{protocol}\"");
        assert_eq!(value("sent_messages_total", &labels), stats.ledger.sent_messages, "{name}");
        assert_eq!(value("sent_bytes_total", &labels), stats.ledger.sent_bytes, "{name}");
        assert_eq!(value("received_messages_total", &labels), stats.ledger.received_messages, "{name}");
        assert_eq!(value("delivered_messages_total", &labels), stats.ledger.delivered_messages, "{name}");
        assert_eq!(value("peers", &labels), stats.peers as u64, "{name}");
        for (why, count) in stats.ledger.drops() {
            let labels = format!("{labels},reason=\"{}\"", why.name());
            assert_eq!(value("dropped_messages_total", &labels), count, "{name}");
        }
    }
    let labels = "socket=\"calls\",protocol=\"req\",what=\"Reply\"";
    assert_eq!(value("latency_seconds_count", labels), program.req.stats().ledger.delivered_messages);
    assert!(text.contains("spanwire_peer_answers_total{socket=\"calls\""), "{text}");
}

/// A child that is killed when this is dropped, and its first line on standard error.
struct Running {
    child: Child,
    says: BufReader<std::process::ChildStderr>,
}

impl Running {
    fn start(args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spanwire"));
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let says = BufReader::new(child.stderr.take().unwrap());
        Self { child, says }
    }

    /// Waits for a line that begins like this; returns the rest of it.
    fn says(&mut self, start: &str) -> String {
        loop {
            let mut line = String::new();
            assert!(self.says.read_line(&mut line).unwrap() > 0, "it ended before it said {start:?}");
            if let Some(rest) = line.strip_prefix(start) {
                return rest.trim().to_owned();
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn http(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_scraper_gets_the_text_and_others_an_error() {
    let _one = ONE_AT_A_TIME.lock();
    let program = Program::start();
    let mut bridge = Running::start(&["metrics", program.url(), "--listen", "127.0.0.1:0"]);
    let url = bridge.says("listening on http://");
    let address = url.strip_suffix("/metrics").unwrap();
    // One that says nothing is in nobody's way.
    let _silent = TcpStream::connect(address).unwrap();
    let answer = http(address, "GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("version=0.0.4"), "{head}");
    assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
    assert!(body.contains("spanwire_peers{socket=\"news\",protocol=\"sub\"} 1\n"), "{body}");
    assert!(http(address, "HEAD /metrics HTTP/1.1\r\n\r\n").ends_with("\r\n\r\n"));
    assert!(http(address, "GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404"));
    assert!(http(address, "PUT /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405"));
    assert!(http(address, "nonsense\r\n\r\n").starts_with("HTTP/1.1 400"));
    assert!(http(address, &"x".repeat(9_000)).starts_with("HTTP/1.1 431"));
    // The program goes, the bridge stays and says so.
    drop(program);
    let gone = http(address, "GET /metrics HTTP/1.1\r\n\r\n");
    assert!(gone.starts_with("HTTP/1.1 503") && gone.contains("no answer"), "{gone}");
}

#[test]
fn commands_show_their_own_sockets() {
    let mut device =
        Running::start(&["device", "-v", "--stats", ANY, "rep", "--listen", ANY, "req", "--listen", ANY]);
    let stats = device.says("stats: listening on ");
    let table = text(&spanwire(&["top", &stats, "--once", "--interval", "0.05"]));
    assert_eq!((row(&table, "rep")[1], row(&table, "req")[1]), ("rep", "req"));
    let mut cat = Command::new(env!("CARGO_BIN_EXE_spanwire"));
    cat.args(["cat", "-v", "--pull", "--stats", ANY, "--listen", ANY]);
    let mut cat = cat.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    // Kept: it says more, and ends when nobody listens.
    let mut output_of_cat = BufReader::new(cat.stdout.take().unwrap());
    output_of_cat.read_line(&mut line).unwrap();
    let stats = line.trim().strip_prefix("Stats at: ").unwrap();
    let output = spanwire(&["metrics", stats]);
    assert!(
        text(&output).contains("spanwire_peers{socket=\"cat\",protocol=\"pull\"} 0\n"),
        "{}",
        text(&output)
    );
    cat.kill().unwrap();
    cat.wait().unwrap();
    let mut perf = Command::new(env!("CARGO_BIN_EXE_spanwire"));
    perf.args(["perf", "local-lat", "--announce", "--stats", "abstract://", ANY, "8", "1"]);
    let mut perf = perf.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    let mut output_of_perf = BufReader::new(perf.stdout.take().unwrap());
    output_of_perf.read_line(&mut line).unwrap();
    let remote = spanwire(&["perf", "remote-lat", "--stats", ANY, line.trim(), "8", "1"]);
    assert!(remote.status.success() && perf.wait().unwrap().success(), "{}", text(&remote));
}

#[test]
fn what_is_wrong_is_said_with_advice() {
    let pull = PullSocket::new();
    let other = pull.listen(ANY).unwrap();
    let rep = RepSocket::new();
    let no_service = rep.listen(ANY).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| rep.recv().unwrap().reply("hello").unwrap());
        let output = spanwire(&["top", no_service.url(), "--once"]);
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output).contains("not a report of sockets") && text(&output).contains("watch::serve"));
    });
    for (args, status, advice) in [
        (&["top", "tcp://127.0.0.1:1", "--once"] as &[&str], 1, "start the program"),
        (&["top", other.url(), "--once"], 1, "matching protocol"),
        (&["top", "nowhere", "--once"], 1, "addresses look like"),
        (&["top", other.url()], 2, "--once"),
        (&["top", other.url(), "--peers"], 2, "--once"),
        (&["top", other.url(), "--once", "--interval", "0"], 2, "0.05"),
        (&["metrics", "tcp://127.0.0.1:1"], 1, "start the program"),
        (&["metrics", no_service.url(), "--listen", "nowhere"], 1, "127.0.0.1:9100"),
    ] {
        let output = spanwire(args);
        assert_eq!(output.status.code(), Some(status), "{args:?}: {}", text(&output));
        assert!(text(&output).contains(advice), "{args:?}: {}", text(&output));
    }
}

#[cfg(target_os = "linux")]
mod on_a_terminal {
    use super::*;
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use rustix::termios::{Winsize, tcgetattr, tcsetwinsize};
    use std::fs::{File, OpenOptions};
    use std::os::fd::OwnedFd;
    use std::sync::mpsc::{Receiver, channel};
    use std::time::Duration;

    /// Nothing takes so long unless it hangs.
    const LONG: Duration = Duration::from_secs(60);

    /// A terminal of our own: we are the one who sits in front of it.
    struct Seat {
        keys: File,
        /// The program's end, kept open so that its settings can be looked at.
        line: OwnedFd,
        shows: Receiver<Vec<u8>>,
        screen: vt100::Parser,
        all: Vec<u8>,
    }

    fn size(columns: u16, rows: u16) -> Winsize {
        Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 }
    }

    impl Seat {
        fn new(columns: u16, rows: u16) -> Self {
            let seat = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
            grantpt(&seat).unwrap();
            unlockpt(&seat).unwrap();
            let name = ptsname(&seat, Vec::new()).unwrap().into_string().unwrap();
            tcsetwinsize(&seat, size(columns, rows)).unwrap();
            let line = OpenOptions::new().read(true).write(true).open(name).unwrap();
            let keys = File::from(seat);
            let mut eyes = keys.try_clone().unwrap();
            let (tell, shows) = channel();
            thread::spawn(move || {
                let mut bytes = [0; 4_096];
                // The end of the terminal is an error here.
                while let Ok(count @ 1..) = eyes.read(&mut bytes) {
                    if tell.send(bytes[..count].to_vec()).is_err() {
                        return;
                    }
                }
            });
            let screen = vt100::Parser::new(rows, columns, 0);
            Self { keys, line: line.into(), shows, screen, all: Vec::new() }
        }

        /// Starts a program that has this terminal as its own, so that it hears of its size and its end.
        fn start(&self, args: &[&str]) -> Child {
            let end = || Stdio::from(self.line.try_clone().unwrap());
            let mut command = Command::new("setsid");
            command.args(["--ctty", "--wait", env!("CARGO_BIN_EXE_spanwire")]).args(args);
            command.env("TERM", "xterm-256color").stdin(end()).stdout(end()).stderr(end()).spawn().unwrap()
        }

        fn resize(&mut self, columns: u16, rows: u16) {
            self.screen.set_size(rows, columns);
            tcsetwinsize(&self.keys, size(columns, rows)).unwrap();
        }

        fn press(&mut self, keys: &str) {
            self.keys.write_all(keys.as_bytes()).unwrap();
        }

        /// Looks until the screen is as `holds` wants it.
        fn sees(&mut self, what: &str, holds: impl Fn(&str) -> bool) {
            while !holds(&self.screen.screen().contents()) {
                let Ok(bytes) = self.shows.recv_timeout(LONG) else {
                    panic!("{what}:\n{}", self.screen.screen().contents());
                };
                self.screen.process(&bytes);
                self.all.extend(bytes);
            }
        }
    }

    #[test]
    fn rows_are_seen_a_new_size_is_used_and_the_terminal_is_given_back() {
        let _one = ONE_AT_A_TIME.lock();
        let program = Program::start();
        let mut seat = Seat::new(140, 20);
        let before = tcgetattr(&seat.line).unwrap();
        let mut top = seat.start(&["top", program.url(), "--interval", "0.1"]);
        seat.sees("all rows", |screen| {
            ["calls", "answers", "jobs", "work", "news", "SOCKET", "P99", "q end"]
                .iter()
                .all(|word| screen.contains(word))
        });
        assert_ne!(tcgetattr(&seat.line).unwrap().local_modes, before.local_modes, "keys come at once");
        seat.press("s");
        seat.sees("another order", |screen| screen.contains("by peers"));
        // The last by name is the last of these two by peers, too.
        seat.press("ssssssjjjj\r");
        let remote = program.pull.peers()[0].ends.remote.to_string();
        seat.sees("peers", |screen| screen.contains(&remote) && screen.contains("listening tcp://"));
        seat.resize(100, 40);
        seat.sees("all of it again", |screen| {
            screen.contains(&remote) && screen.lines().nth(39).is_some_and(|line| line.contains("q end"))
        });
        // What happens meanwhile is seen.
        let turns = std::sync::atomic::AtomicU64::new(0);
        program.run_until(|| turns.fetch_add(1, Ordering::Relaxed) == 200);
        seat.sees("replies", |screen| {
            screen.lines().any(|line| line.trim_start().starts_with("calls") && line.contains("reply"))
        });
        seat.press("q");
        assert!(top.wait().unwrap().success());
        let after = tcgetattr(&seat.line).unwrap();
        assert_eq!(after.local_modes, before.local_modes);
        assert_eq!((after.input_modes, after.output_modes), (before.input_modes, before.output_modes));
        let leave = b"\x1b[?1049l";
        while !seat.all.windows(leave.len()).any(|bytes| bytes == leave) {
            seat.all.extend(seat.shows.recv_timeout(LONG).expect("the former screen is shown again"));
        }
    }

    #[test]
    fn a_program_that_goes_away_is_told_and_the_last_rows_stay() {
        let _one = ONE_AT_A_TIME.lock();
        let mut program =
            Running::start(&["device", "-v", "--stats", ANY, "--reflect", "bus", "--listen", ANY]);
        let url = program.says("stats: listening on ");
        let mut seat = Seat::new(120, 12);
        let mut top = seat.start(&["top", &url, "--interval", "0.1"]);
        seat.sees("a row", |screen| screen.contains("bus"));
        drop(program);
        seat.sees("what is wrong", |screen| screen.contains("no answer") && screen.contains("bus"));
        seat.press("\x03");
        assert!(top.wait().unwrap().success());
    }
}
