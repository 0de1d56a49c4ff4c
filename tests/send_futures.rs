//! Every future of the API may be spawned on a multi-threaded runtime, and every handle may be
//! shared between threads. Compiling is the test; the count says that nothing was left out silently.

use spanwire::device::Device;
use spanwire::*;
use std::time::Duration;

fn spawnable<T: Send>(_: T) -> usize {
    1
}

fn shared<T: Send + Sync + Clone>(_: &T) {}

#[tokio::test]
async fn every_future_can_be_spawned() {
    let second = Duration::from_secs(1);
    let (push, pull, req) = (PushSocket::new(), PullSocket::new(), ReqSocket::new());
    let (rep, publisher, sub) = (RepSocket::new(), PubSocket::new(), SubSocket::new());
    let (surveyor, respondent, bus) = (SurveySocket::new(), RespondSocket::new(), BusSocket::new());
    let (pair0, pair1, poly) = (Pair0Socket::new(), Pair1Socket::new(), PolySocket::new());
    let (raw, other) = (RawSocket::new(Protocol::Rep), RawSocket::new(Protocol::Req));
    shared(&push);
    shared(&pull);
    shared(&req);
    shared(&rep);
    shared(&publisher);
    shared(&sub);
    shared(&surveyor);
    shared(&respondent);
    shared(&bus);
    shared(&pair0);
    shared(&pair1);
    shared(&poly);
    shared(&raw);
    let (context, survey_context, reply_context) = (req.context(), surveyor.context(), rep.context());
    let (sub_context, mut survey) = (sub.context(), surveyor.survey("x").await.unwrap());
    let (mut many, mut events) = (Vec::new(), push.events());
    let device = Device::new(raw.clone(), other).unwrap();
    let futures = [
        spawnable(push.listen("inproc://x")),
        spawnable(push.dial("inproc://x")),
        spawnable(push.send("x")),
        spawnable(push.send_timeout("x", second)),
        spawnable(push.send_many(["x"])),
        spawnable(push.wait_peers(1)),
        spawnable(pull.recv()),
        spawnable(pull.recv_timeout(second)),
        spawnable(pull.recv_many(&mut many, 1)),
        spawnable(req.request("x")),
        spawnable(req.request_timeout("x", second)),
        spawnable(context.send("x")),
        spawnable(context.recv()),
        spawnable(rep.recv()),
        spawnable(reply_context.recv()),
        spawnable(reply_context.send("x")),
        spawnable(publisher.send("x")),
        spawnable(sub.recv()),
        spawnable(sub_context.recv()),
        spawnable(surveyor.survey("x")),
        spawnable(survey.next()),
        spawnable(survey_context.send("x")),
        spawnable(survey_context.recv()),
        spawnable(respondent.recv()),
        spawnable(bus.send("x")),
        spawnable(pair0.recv()),
        spawnable(pair1.recv()),
        spawnable(poly.send("x")),
        spawnable(raw.recv()),
        spawnable(events.next()),
        spawnable(device.run()),
        spawnable(push.close(second)),
    ];
    assert_eq!(futures.len(), 32);
}
