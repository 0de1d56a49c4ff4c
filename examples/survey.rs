//! A survey: ask everybody who is there, and take answers for a while.
//!
//! ```sh
//! cargo run --example survey
//! cargo run --example survey -- --expose ipc:///tmp/survey   # to be watched by `spanwire top`
//! ```

#[path = "support/expose.rs"]
mod expose;

use expose::Expose;
use spanwire::{RespondSocket, SurveySocket, watch};
use std::error::Error;
use std::time::Duration;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let expose = Expose::from_args()?;
    let surveyor = SurveySocket::new();
    let listener = surveyor.listen("tcp://127.0.0.1:0").await?;
    for (name, load) in [("ann", 17), ("bob", 80), ("cid", 42)] {
        tokio::spawn(respond(name, load, listener.url().to_string()));
    }
    surveyor.wait_peers(3).await?;
    watch::expose("surveyor", &surveyor)?;

    // Everybody answers this one; there is no point in waiting for the deadline after that.
    let survey = surveyor.survey("load?").await?.end_when_all_answered();
    let mut answers = survey.collect().await;
    answers.sort_by(|a, b| a.body().cmp(b.body()));
    for answer in &answers {
        println!("{}", String::from_utf8_lossy(answer));
    }
    assert_eq!(answers.len(), 3);

    // To this one only those with something to say answer, so it ends at its deadline. Answers can
    // be looked at as they come.
    let mut survey = surveyor.survey_within("who is overloaded?", Duration::from_millis(200)).await?;
    let mut overloaded = Vec::new();
    while let Some(answer) = survey.next().await {
        overloaded.push(answer);
    }
    println!("overloaded: {}", overloaded.len());
    assert_eq!(overloaded.len(), 1);
    expose.until_enter();
    Ok(())
}

/// Answers what it has an answer to, until the surveyor is gone.
async fn respond(name: &str, load: u32, url: String) -> Result<(), Box<dyn Error + Send + Sync>> {
    let socket = RespondSocket::new();
    socket.dial(&url).await?;
    loop {
        let survey = socket.recv().await?;
        match &survey[..] {
            b"load?" => survey.reply(format!("{name}: {load} %")).await?,
            b"who is overloaded?" if load > 75 => survey.reply(name.to_owned()).await?,
            // Nobody has to answer. A survey that is dropped without one is counted as such.
            _ => drop(survey),
        }
    }
}
