//! SURVEYOR and RESPONDENT: deadlines, early ends, and surveys side by side.

#[macro_use]
#[path = "support/everywhere.rs"]
mod everywhere;
mod support;

use spanwire::{Dropped, Event, RecvError, RespondSocket, SurveySocket};
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

/// A surveyor with so many respondents, all attached.
async fn respondents(url: &str, count: usize) -> (SurveySocket, Vec<RespondSocket>) {
    let surveyor = SurveySocket::new();
    let listener = surveyor.listen(url).await.unwrap();
    let respondents: Vec<_> = (0..count).map(|_| RespondSocket::new()).collect();
    for respondent in &respondents {
        respondent.dial(listener.url()).await.unwrap();
    }
    surveyor.wait_peers(count).await.unwrap();
    (surveyor, respondents)
}

everywhere! {
    async fn a_survey_ends_at_its_deadline(url: &str) {
        let (surveyor, respondents) = respondents(url, 3).await;
        let mut events = surveyor.events();
        let start = Instant::now();
        let mut survey = surveyor.survey_within("who?", SECOND / 2).await.unwrap();
        for (n, respondent) in (0_u8..).zip(&respondents[..2]) {
            respondent.recv().await.unwrap().reply(vec![n]).await.unwrap();
        }
        let mut answers = [survey.next().await.unwrap()[0], survey.next().await.unwrap()[0]];
        answers.sort_unstable();
        assert_eq!(answers, [0, 1]);
        assert!(survey.next().await.is_none(), "the third has not answered");
        assert!(start.elapsed() >= SECOND / 2);
        respondents[2].recv().await.unwrap().reply("late").await.unwrap();
        loop {
            if let Event::Dropped { why, .. } = events.next().await.unwrap() {
                assert_eq!(why, Dropped::NoRequest);
                break;
            }
        }
    }

    async fn a_survey_ends_early_when_all_have_answered_or_gone(url: &str) {
        let (surveyor, mut respondents) = respondents(url, 3).await;
        let survey = surveyor.survey_within("who?", SECOND * 50).await.unwrap().end_when_all_answered();
        let leaving = respondents.pop().unwrap();
        let serve = async {
            for respondent in &respondents {
                respondent.recv().await.unwrap().reply("me").await.unwrap();
            }
            leaving.close(SECOND).await;
        };
        let (answers, ()) = tokio::join!(survey.collect(), serve);
        assert_eq!(answers.len(), 2);
    }

    async fn surveys_run_side_by_side(url: &str) {
        let (surveyor, respondents) = respondents(url, 2).await;
        let surveys = [surveyor.survey("one").await.unwrap(), surveyor.survey("two").await.unwrap()];
        for respondent in &respondents {
            let (first, second) = (respondent.recv().await.unwrap(), respondent.recv().await.unwrap());
            // The second first.
            for request in [second, first] {
                let body = request.to_vec();
                request.reply(body).await.unwrap();
            }
        }
        for (survey, question) in surveys.into_iter().zip(["one", "two"]) {
            let answers = survey.end_when_all_answered().collect().await;
            assert_eq!(answers.len(), 2);
            assert!(answers.iter().all(|answer| &answer[..] == question.as_bytes()));
        }
    }

    async fn a_new_survey_of_a_context_cancels_the_former(url: &str) {
        let (surveyor, respondents) = respondents(url, 1).await;
        let context = surveyor.context();
        assert_eq!(context.recv().await, Err(RecvError::State), "nothing was asked");
        context.set_survey_time(SECOND * 30);
        context.send("first").await.unwrap();
        let (first, again) = tokio::join!(context.recv(), context.send("second"));
        again.unwrap();
        assert_eq!(first, Err(RecvError::Cancelled));
        for _ in 0..2 {
            let request = respondents[0].recv().await.unwrap();
            let body = request.to_vec();
            request.reply(body).await.unwrap();
        }
        assert_eq!(&context.recv().await.unwrap()[..], b"second");
    }

    async fn asking_nobody_is_a_survey_without_answers(url: &str) {
        let (surveyor, _) = respondents(url, 0).await;
        let survey = surveyor.survey_within("anybody?", SECOND / 20).await.unwrap();
        assert!(survey.collect().await.is_empty());
    }
}
