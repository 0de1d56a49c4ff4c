//! The JavaScript client of `clients/js` in a real browser and in Node, against our sockets.
//!
//! ```text
//!   this test ── HTTP ──▶ Chromium: index.html; there and in Node: matrix.js, cases.js, and the client
//!       │  ◀── /do/WORD ── what a case wants done here
//!       │  ◀── /report ─── how a case ended
//!       └── SP over ws ──▶
//! ```
//!
//! The cases are in `clients/js/tests/browser/cases.js`; what they ask to be done is in `server.rs`.
#![cfg(all(feature = "ws", feature = "tls", unix))]

#[path = "../support/certificates.rs"]
mod certificates;
mod chromium;
#[path = "../../examples/browser/hall.rs"]
mod hall;
#[path = "../../examples/browser/http.rs"]
mod http;
mod node;
mod secure;
mod server;
#[path = "../../examples/browser/sums.rs"]
mod sums;

use chromium::Chromium;
use http::{Answer, Request};
use node::Node;
use server::Server;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// All cases together take some 15 s on an idle machine.
const PATIENCE: Duration = Duration::from_secs(240);

/// How each case ended, by its name: its error, if it failed.
#[derive(Default)]
struct Reports {
    cases: Mutex<BTreeMap<String, Option<String>>>,
    done: Notify,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_javascript_client_works_in_a_browser() {
    let expected = names_of_cases(true);
    let Some(program) = chromium::find() else {
        let expected = expected.len();
        println!("spanwire-matrix: browser ran=0 expected={expected} skipped-for-missing-peer={expected}");
        let required = std::env::var_os("SPANWIRE_REQUIRE_PEERS").is_some_and(|value| value == "1");
        assert!(!required, "there is no Chromium; apt-get install chromium");
        return;
    };
    let show = |origin: &str, server: &Server| {
        let browser = Chromium::open(&program, &format!("{origin}/"), server.trusted());
        move || browser.close()
    };
    run("browser", expected, show).await;
}

/// Debian 12 has a Node without WebSocket, which is why it is no peer that has to be there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_javascript_client_works_in_node() {
    let Some(node) = Node::find() else {
        println!("spanwire-matrix: node ran=0 expected=0 skipped-for-missing-peer=0");
        println!("THERE IS NO NODE WITH WEBSOCKET HERE (22 has it): the client was not tried in Node");
        return;
    };
    let start = |origin: &str, _: &Server| {
        let mut child = node.start(origin);
        move || child.end()
    };
    run("node", names_of_cases(false), start).await;
}

/// Has somebody run the cases, and asserts that all went well. `start` returns how to end him, which
/// returns what he said.
async fn run<E: FnOnce() -> String>(name: &str, cases: Vec<String>, start: impl FnOnce(&str, &Server) -> E) {
    let site = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", site.local_addr().unwrap());
    let server = Arc::new(Server::open(&origin).await);
    let reports = Arc::new(Reports::default());
    let answering = (server.clone(), reports.clone());
    let serving = tokio::spawn(http::serve(site, move |request| {
        let (server, reports) = answering.clone();
        async move { answer(request, &server, &reports).await }
    }));

    let end = start(&origin, &server);
    let ended = tokio::time::timeout(PATIENCE, reports.done.notified()).await.is_ok();
    let said = end();
    serving.abort();
    server.close().await;

    let reported = std::mem::take(&mut *reports.cases.lock().unwrap());
    let (ran, expected) = (reported.len(), cases.len());
    println!("spanwire-matrix: {name} ran={ran} expected={expected} skipped-for-missing-peer=0");
    let failed: Vec<_> = reported.iter().filter_map(|(name, error)| Some((name, error.as_ref()?))).collect();
    assert!(failed.is_empty(), "{} of {ran} failed: {failed:#?}", failed.len());
    assert!(ended, "only {ran} of {expected} cases came to an end; {name} said:\n{said}");
    assert_eq!(reported.into_keys().collect::<Vec<_>>(), cases, "these and no others");
}

/// What the page asks over HTTP.
async fn answer(request: Request, server: &Server, reports: &Reports) -> Answer {
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/") => Answer::redirect("/tests/browser/index.html"),
        ("GET", "/config.json") => Answer::text(server.config()),
        ("GET", "/sp") => Answer::text(server.hall()),
        ("GET", path) => Answer::file(&client(), path).await,
        ("POST", "/report") => {
            let report: serde_json::Value = serde_json::from_slice(&request.body).unwrap_or_default();
            let error = report["error"].as_str().map(str::to_owned);
            let name = report["name"].as_str().unwrap_or("a case without a name").to_owned();
            println!("{name}: {} ({} ms)", error.as_deref().unwrap_or("ok"), report["ms"]);
            reports.cases.lock().unwrap().insert(name, error);
            Answer::text("")
        }
        ("POST", "/done") => {
            reports.done.notify_one();
            Answer::text("")
        }
        ("POST", path) => match path.strip_prefix("/do/") {
            Some(order) => {
                server.carry_out(order).await.map_or(Answer::refusal("404 Not Found"), Answer::text)
            }
            None => Answer::refusal("404 Not Found"),
        },
        _ => Answer::refusal("405 Method Not Allowed"),
    }
}

/// The names of all cases, or of those that need no browser, sorted: read from their file, so that one
/// that does not run is missed.
fn names_of_cases(in_a_browser: bool) -> Vec<String> {
    let file = std::fs::read_to_string(client().join("tests/browser/cases.js")).unwrap();
    let lines = file.lines().take_while(|line| in_a_browser || !line.contains("const inBrowsersOnly"));
    let names = lines.filter_map(|line| line.strip_prefix("  async '")?.split('\'').next());
    let mut names: Vec<_> = names.map(str::to_owned).collect();
    names.sort();
    assert!(names.len() > 15, "the cases are written in another way");
    names
}

/// Where the client is.
fn client() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/js")
}
