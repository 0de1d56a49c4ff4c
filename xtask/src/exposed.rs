//! Examples that show their sockets or pools with `--expose URL`: one is started, looked at, and told to end.

use crate::house::House;
use crate::run;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

/// What such an example is started with.
pub(crate) const ARGS: [&str; 2] = ["--expose", "tcp://127.0.0.1:0"];

/// Whether an example uses what they share for this.
pub(crate) fn is_offered(house: &House, example: &str) -> bool {
    let folder = house.root.join("examples");
    let files = [folder.join(format!("{example}.rs")), folder.join(example).join("main.rs")];
    files.iter().filter_map(|file| std::fs::read_to_string(file).ok()).any(|text| text.contains(SHARED))
}

/// A line of each socket, and of each pool, server or connection of multiplexed ones.
const SHOWN: [&str; 2] = ["spanwire_peers{socket=", "spanwire_mux_connections{mux="];

const SHARED: &str = "support/expose.rs\"]";

/// Starts it, waits until its work is done, asks it what it shows, and presses Enter.
pub(crate) fn look(mut command: Command, deadline: Instant) -> Result<(), String> {
    println!("$ {}", run::words(&command));
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let child = command.spawn().map_err(|why| format!("cannot start it: {why}"))?;
    let mut running = Running(child);
    let lines = lines_of(&mut running.0);
    let done = watch(&mut running.0, &lines, deadline);
    done.map_err(|why| format!("{}: {why}", run::words(&command)))
}

fn watch(child: &mut Child, lines: &Receiver<String>, deadline: Instant) -> Result<(), String> {
    let url = wait_for(lines, "look with: spanwire top tcp://", deadline)?;
    wait_for(lines, "Enter ends this", deadline)?;
    let text = ask(&url, deadline).map_err(|why| format!("nobody answers at {url}: {why}"))?;
    let shown = text.lines().filter(|line| SHOWN.iter().any(|start| line.starts_with(start))).count();
    println!("{shown} are shown");
    if shown == 0 {
        return Err(format!("it shows nothing, but {text:?}"));
    }
    drop(child.stdin.take());
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(format!("it ended with {status}")),
            Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(10)),
            Ok(None) => return Err("it does not end".to_owned()),
            Err(why) => return Err(why.to_string()),
        }
    }
}

/// What it prints, for as long as it prints something.
fn lines_of(child: &mut Child) -> Receiver<String> {
    let (tell, lines) = mpsc::channel();
    let output = child.stdout.take();
    thread::spawn(move || {
        for line in output.into_iter().flat_map(|output| BufReader::new(output).lines()).map_while(Result::ok)
        {
            println!("{line}");
            // It goes on printing when nobody waits any more.
            let _ = tell.send(line);
        }
    });
    lines
}

/// Waits for a line that begins like this; returns the rest of it.
fn wait_for(lines: &Receiver<String>, start: &str, deadline: Instant) -> Result<String, String> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let line = lines.recv_timeout(left).map_err(|_| format!("it never said {start:?}"))?;
        if let Some(rest) = line.strip_prefix(start) {
            return Ok(rest.to_owned());
        }
    }
}

/// A request as any REQ socket sends it: docs/watch-wire.md.
fn ask(address: &str, deadline: Instant) -> std::io::Result<String> {
    const HELLO: [u8; 8] = *b"\0SP\0\0\x30\0\0";
    const QUESTION: &[u8] = b"\0\0\0\0\0\0\0\x0e\x80\0\0\x01prometheus";
    let mut stream = TcpStream::connect(address)?;
    let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_secs(1));
    stream.set_read_timeout(Some(left))?;
    stream.write_all(&HELLO)?;
    stream.read_exact(&mut [0; 8])?;
    stream.write_all(QUESTION)?;
    let mut length = [0; 8];
    stream.read_exact(&mut length)?;
    let mut answer = Vec::new();
    stream.take(u64::from_be_bytes(length)).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(answer.get(4..).unwrap_or_default()).into_owned())
}

/// Ends with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// A program that says that it shows its sockets, and somebody who answers for it.
    fn looked_at(answer: &'static str, status: u8) -> Result<(), String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let serving = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.read_exact(&mut [0; 8]).unwrap();
            stream.write_all(b"\0SP\0\0\x31\0\0").unwrap();
            stream.read_exact(&mut [0; 22]).unwrap();
            stream.write_all(&(answer.len() as u64 + 4).to_be_bytes()).unwrap();
            stream.write_all(b"\x80\0\0\x01").unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let says = format!(
            "echo look with: spanwire top tcp://{address}; echo Enter ends this; read line; exit {status}"
        );
        let mut command = Command::new("sh");
        command.args(["-c", &says]);
        let seen = look(command, Instant::now() + Duration::from_secs(60));
        serving.join().unwrap();
        seen
    }

    #[test]
    fn an_example_has_to_show_a_socket_and_to_end_well() {
        let one = "# TYPE spanwire_peers gauge\nspanwire_peers{socket=\"jobs\",protocol=\"push\"} 3\n";
        assert_eq!(looked_at(one, 0), Ok(()));
        let pool = "spanwire_mux_connections{mux=\"pool\",role=\"pool\"} 1\n";
        assert_eq!(looked_at(pool, 0), Ok(()));
        assert!(looked_at("", 0).unwrap_err().contains("shows nothing"));
        assert!(looked_at(one, 3).unwrap_err().contains("ended with"));
        let silent = look(Command::new("true"), Instant::now() + Duration::from_secs(60));
        assert!(silent.unwrap_err().contains("never said"));
    }
}
