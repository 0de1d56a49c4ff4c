//! Node, if it is one that has WebSocket.

use std::process::{Child, Command, Stdio};

pub(crate) struct Node;

impl Node {
    /// From 22 on it has WebSocket, in 20 if one asks for it, before never.
    pub(crate) fn find() -> Option<Self> {
        let look = ["--eval", "process.exit(typeof WebSocket === 'function' ? 0 : 1)"];
        let mut node = node();
        node.args(look).stdout(Stdio::null()).stderr(Stdio::null());
        node.status().is_ok_and(|status| status.success()).then_some(Self)
    }

    /// Runs the cases against the server at `origin`.
    pub(crate) fn start(&self, origin: &str) -> Running {
        let matrix = crate::client().join("tests/browser/matrix.js");
        let child = node().arg(matrix).arg(origin).stdin(Stdio::null()).spawn();
        Running(child.unwrap_or_else(|error| panic!("Node does not start: {error}")))
    }
}

fn node() -> Command {
    let mut node = Command::new("node");
    node.args(["--experimental-websocket", "--no-warnings"]);
    node
}

/// Killed when it is dropped.
pub(crate) struct Running(Child);

impl Running {
    /// Ends it. What it said can be read above.
    pub(crate) fn end(&mut self) -> String {
        // Over already, if it fails.
        let _ = self.0.kill();
        let _ = self.0.wait();
        String::from("what stands above")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}
