//! Without async: threads, plain calls, and no runtime of yours.
//!
//! `spanwire::blocking` has every socket under the same name with the same methods. The connections
//! live on one background thread of the library; calls do their work in your threads.
//!
//! ```sh
//! cargo run --example blocking
//! cargo run --example blocking -- --expose ipc:///tmp/blocking   # to be watched by `spanwire top`
//! ```

#[path = "support/expose.rs"]
mod expose;

use expose::Expose;
use spanwire::blocking::{RepSocket, ReqSocket, RespondSocket, SurveySocket};
use spanwire::{Options, RecvError, watch};
use std::error::Error;
use std::thread;
use std::time::Duration;

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let expose = Expose::from_args()?;
    requests(&expose)?;
    surveys()
}

fn requests(expose: &Expose) -> Result<(), Box<dyn Error + Send + Sync>> {
    let server = RepSocket::new();
    let listener = server.listen("tcp://127.0.0.1:0")?;

    // Two threads serve one socket: each request goes to one of them.
    let serving = [(); 2].map(|()| {
        let server = server.clone();
        thread::spawn(move || {
            let mut served = 0;
            // Ends with `Closed` when the socket is closed, below.
            while let Ok(request) = server.recv() {
                let answer = request.to_ascii_uppercase();
                request.reply(answer).ok();
                served += 1;
            }
            served
        })
    });

    // Four threads ask over one socket, each in a conversation of its own.
    let client = ReqSocket::new();
    client.dial(listener.url())?;
    watch::expose("server", &server)?;
    watch::expose("client", &client)?;
    thread::scope(|scope| {
        for name in ["ann", "bob", "cid", "dee"] {
            let client = &client;
            scope.spawn(move || {
                for _ in 0..25 {
                    let reply = client.request(name).expect("somebody serves");
                    assert_eq!(reply.body(), name.to_uppercase().as_bytes());
                }
            });
        }
    });

    expose.until_enter();
    client.close(Duration::from_secs(1));
    server.close(Duration::from_secs(1));
    let served = serving.map(|thread| thread.join().expect("it does not panic"));
    println!("served by the two threads: {served:?}");
    assert_eq!(served.iter().sum::<u32>(), 100);
    Ok(())
}

fn surveys() -> Result<(), Box<dyn Error + Send + Sync>> {
    let surveyor = SurveySocket::new();
    let listener = surveyor.listen("tcp://127.0.0.1:0")?;

    // Where an async program would use a timeout of its runtime, every wait here has a bound.
    let options = Options { recv_timeout: Some(Duration::from_millis(10)), ..Options::default() };
    let respondent = RespondSocket::with(options);
    respondent.dial(listener.url())?;
    assert_eq!(respondent.recv().unwrap_err(), RecvError::TimedOut);

    surveyor.wait_peers_timeout(1, Duration::from_secs(1))?;
    let survey = surveyor.survey("who is there?")?.end_when_all_answered();
    respondent.recv_timeout(Duration::from_secs(1))?.reply("me")?;
    // A survey is an iterator that waits for each answer.
    for answer in survey {
        println!("an answer: {}", String::from_utf8_lossy(&answer));
    }
    Ok(())
}
