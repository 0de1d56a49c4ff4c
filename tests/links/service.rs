//! Services as handlers, and connections as services.

use crate::support::*;
use bytes::Bytes;
use spanwire::link::*;
use std::future::{Ready, poll_fn, ready};
use std::task::{Context, Poll};
use tower_service::Service;

/// Answers with what it was asked, so many times; then it fails. Ready at every second look.
struct Echo {
    left: u32,
    looks: u32,
}

impl Service<Parcel> for Echo {
    type Response = Bytes;
    type Error = &'static str;
    type Future = Ready<Result<Bytes, &'static str>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        self.looks += 1;
        if self.looks % 2 == 1 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(if self.left == 0 { Err("worn out") } else { Ok(()) })
    }

    fn call(&mut self, request: Parcel) -> Self::Future {
        assert!(self.looks % 2 == 0, "called when it was not ready");
        self.left -= 1;
        ready(Ok(request.body))
    }
}

#[tokio::test]
async fn a_service_answers_and_its_errors_travel() {
    let (ann, bob, _server) = pair().await;
    let serving = tokio::spawn(async move { bob.serve_with(Echo { left: 2, looks: 0 }).await });
    let mut client = ann.clone();
    for body in ["one", "two"] {
        soon("readiness", poll_fn(|cx| client.poll_ready(cx))).await.unwrap();
        assert_eq!(soon("an answer", Service::call(&mut client, body.into())).await, Ok(body.into()));
    }
    let failed = CallError::Failed { code: Fault::Failed, text: "worn out".into() };
    assert_eq!(soon("an answer", ann.call("three")).await, Err(failed));
    ann.close(SOON).await;
    let end = soon("readiness", poll_fn(|cx| client.poll_ready(cx))).await;
    assert_eq!(end, Err(CallError::Closed(End::ClosedHere)));
    soon("the end", serving).await.unwrap();
}
