//! Requests and their answers.

use super::*;
use alloc::string::String;

#[test]
fn requests_are_answered_failed_refused_and_cancelled() {
    let mut pair = Pair::with(LinkOptions { requests: 2, ..LinkOptions::default() }, &[5]);
    let call = |pair: &mut Pair, body: &'static str| {
        let id = pair.ann.link.call(&mut Parcel::new(1, 2, body), START).unwrap();
        pair.run();
        id
    };
    let (good, bad, busy) = (call(&mut pair, "good"), call(&mut pair, "bad"), call(&mut pair, "busy"));
    let failure = |code| Failure { code, text: String::new() };
    assert_eq!(pair.ann.link.answer(busy), Some(Err(failure(Fault::Busy))));
    let (id, asked) = pair.bob.link.recv_request().unwrap();
    assert_eq!((asked.protocol, asked.message, &asked.body[..]), (1, 2, &b"good"[..]));
    assert!(pair.bob.link.reply(id, Priority::Normal, Ok(vec![1; 100_000].into()), START));
    assert!(!pair.bob.link.reply(id, Priority::Normal, Ok("twice".into()), START));
    let (id, _) = pair.bob.link.recv_request().unwrap();
    assert!(pair.bob.link.reply(id, Priority::Normal, Err(failure(Fault::Failed)), START));
    pair.run();
    assert_eq!(pair.ann.link.answer(good), Some(Ok(vec![1; 100_000].into())));
    assert_eq!(pair.ann.link.answer(bad), Some(Err(failure(Fault::Failed))));
    // Taken back before it was sent, while it waits, and while somebody works on it.
    let id = pair.ann.link.call(&mut "early".into(), START).unwrap();
    pair.ann.link.forget_call(id);
    let waits = call(&mut pair, "waits");
    pair.ann.link.forget_call(waits);
    pair.run();
    assert_eq!(pair.bob.link.recv_request(), None);
    let works = call(&mut pair, "works");
    let (id, _) = pair.bob.link.recv_request().unwrap();
    pair.ann.link.forget_call(works);
    pair.run();
    assert!(!pair.bob.link.reply(id, Priority::Normal, Ok("late".into()), START));
    // And one whose answer is on its way.
    let crossed = call(&mut pair, "crossed");
    let (id, _) = pair.bob.link.recv_request().unwrap();
    assert!(pair.bob.link.reply(id, Priority::Normal, Ok("late".into()), START));
    pair.ann.link.forget_call(crossed);
    pair.run();
    assert_eq!(pair.ann.link.stats().discarded_messages, 1);
    assert!(pair.ann.link.is_open() && pair.bob.link.is_open());
}

#[test]
fn an_answer_that_is_too_large_is_a_failure() {
    let mut pair = Pair::with(LinkOptions { max_message_bytes: 4, ..LinkOptions::default() }, &[usize::MAX]);
    let id = pair.ann.link.call(&mut "ask".into(), START).unwrap();
    pair.run();
    let (asked, _) = pair.bob.link.recv_request().unwrap();
    pair.bob.link.reply(asked, Priority::Normal, Ok("12345".into()), START);
    pair.run();
    let failure = Failure { code: Fault::TooLarge, text: "5 bytes".into() };
    assert_eq!(pair.ann.link.answer(id), Some(Err(failure)));
}
