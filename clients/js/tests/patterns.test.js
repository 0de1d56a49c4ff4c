/** The rules of each pattern, with a script instead of a socket and time as a number. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { socketOptions } from '../src/rules/options.js';
import { Pair } from '../src/rules/pair.js';
import { Pub } from '../src/rules/pub.js';
import { Pull } from '../src/rules/pull.js';
import { Push } from '../src/rules/push.js';
import { Rep } from '../src/rules/rep.js';
import { Req } from '../src/rules/req.js';
import { Sub } from '../src/rules/sub.js';
import { Script, hex, unhex } from './support/script.js';
import { bytes, text } from './support/fake.js';

const T = 60_000;

/** A rule with pipes 1 to `peers`, and its script. */
function attached(rule, peers = 1) {
  const fx = new Script();
  for (let pipe = 1; pipe <= peers; pipe++) assert.equal(rule.attach(0, pipe, fx), undefined);
  return [rule, fx];
}

const req = (options = {}, peers = 1) => attached(new Req(socketOptions(options), 0x7fff_ffff), peers);

/** Takes what is in the outbox of a pipe, as the browser does, and gives the room back. */
function drain(rule, fx, pipe, now = 0) {
  const all = fx.outboxes.get(pipe) ?? [];
  fx.outboxes.set(pipe, []);
  for (const payload of all) rule.drained(now, pipe, 1, payload.length, fx);
}

/** Loses a pipe; all that is in its outbox was not sent. */
function lose(rule, fx, pipe, { why = 'ConnectionLost', now = 0 } = {}) {
  const unsent = fx.outboxes.get(pipe) ?? [];
  fx.outboxes.delete(pipe);
  rule.detach(now, pipe, why, unsent, fx);
}

test('REQ: requests have ids of their own that begin at the seed and wrap', () => {
  const [rule, fx] = req();
  assert.deepEqual(rule.ask(0, bytes('a'), fx), { id: 0x8000_0000 });
  assert.deepEqual(rule.ask(0, bytes('b'), fx), { id: 0x8000_0001 });
  assert.deepEqual(fx.takeSent(), [[1, '8000000061'], [1, '8000000162']]);
});

test('REQ: a reply finds its request, in whatever order they come', () => {
  const [rule, fx] = req();
  const [a, b] = ['a', 'b'].map((body) => rule.ask(0, bytes(body), fx).id);
  rule.recv(0, 1, unhex('80000001 42'), fx);
  rule.recv(0, 1, unhex('80000000'), fx);
  assert.deepEqual(fx.settled.map(([id, body]) => [id, text(body)]), [[b, 'B'], [a, '']]);
  assert.equal(rule.deadline(), undefined);
});

test('REQ: late, second and foreign replies are dropped and harm nobody', () => {
  const [rule, fx] = req();
  const { id } = rule.ask(0, bytes('a'), fx);
  rule.recv(0, 1, unhex('80000000'), fx);
  rule.recv(0, 1, unhex('80000000'), fx);
  rule.recv(0, 1, unhex('8abcdef0'), fx);
  rule.recv(0, 1, unhex('00000001 80000000'), fx);
  assert.deepEqual(fx.settled.map(([settled]) => settled), [id]);
  assert.deepEqual(fx.takeDropped(), ['NoRequest', 'NoRequest', 'NoRequest']);
  assert.deepEqual(fx.closed, []);
});

test('REQ: a reply without an id ends the connection', () => {
  const [rule, fx] = req();
  rule.recv(0, 1, unhex('800000'), fx);
  assert.deepEqual(fx.takeDropped(), ['Malformed']);
  assert.deepEqual(fx.closed, [[1, 'ProtocolViolation']]);
});

test('REQ: without a peer, or with full ones, a request is refused', () => {
  const [none, fx] = req({}, 0);
  assert.deepEqual(none.ask(0, bytes('a'), fx), { refusal: 'NoPeer' });
  const [full, fx2] = req({ outboxMessages: 1 });
  full.ask(0, bytes('a'), fx2);
  assert.deepEqual(full.ask(0, bytes('b'), fx2), { refusal: 'Full' });
  const [open, fx3] = req({ openRequests: 1 });
  open.ask(0, bytes('a'), fx3);
  assert.deepEqual(open.ask(0, bytes('b'), fx3), { refusal: 'Full' });
});

test('REQ: a request is sent again with the same bytes, one resend time after it last went out', () => {
  const [rule, fx] = req({}, 2);
  rule.ask(1_000, bytes('a'), fx);
  assert.equal(rule.deadline(), 1_000 + T);
  rule.expire(999 + T, fx);
  assert.equal(fx.resentCount, 0);
  rule.expire(1_000 + T, fx);
  assert.equal(rule.deadline(), 1_000 + 2 * T, 'not at every tick');
  assert.deepEqual(fx.takeSent(), [[1, '8000000061'], [2, '8000000061']], 'to the next peer');
  assert.equal(fx.resentCount, 1);
});

test('REQ: a lost pipe sends its requests again at once, to the next peer or the next connection', () => {
  const [rule, fx] = req();
  rule.ask(0, bytes('a'), fx);
  drain(rule, fx, 1);
  lose(rule, fx, 1, { now: 5 });
  assert.equal(rule.deadline(), undefined, 'it waits for room, not for the time');
  assert.deepEqual(rule.ask(6, bytes('b'), fx), { refusal: 'NoPeer' });
  rule.attach(7, 2, fx);
  assert.deepEqual(fx.takeSent(), [[1, '8000000061'], [2, '8000000061']]);
  assert.equal(rule.deadline(), 7 + T);
});

test('REQ: what waits to be sent again comes before anything new', () => {
  const [rule, fx] = req({ outboxMessages: 1 }, 2);
  rule.ask(0, bytes('a'), fx);
  rule.ask(0, bytes('b'), fx);
  lose(rule, fx, 1);
  assert.deepEqual(rule.ask(0, bytes('c'), fx), { refusal: 'Full' });
  assert.equal(rule.waiting(), 1);
  drain(rule, fx, 2);
  assert.deepEqual(fx.takeSent().at(-1), [2, '8000000061']);
});

test('REQ: a request that ends connection after connection fails instead of being sent for ever', () => {
  const [rule, fx] = req({}, 0);
  rule.attach(0, 1, fx);
  const { id } = rule.ask(0, bytes('a'), fx);
  for (const pipe of [1, 2, 3]) {
    assert.deepEqual(fx.settled, []);
    drain(rule, fx, pipe);
    lose(rule, fx, pipe, { why: 'MessageTooLarge' });
    rule.attach(0, pipe + 1, fx);
  }
  assert.deepEqual(fx.settled, [[id, 'Rejected']]);
});

test('REQ: what never left, and what we closed, is not blamed', () => {
  const [rule, fx] = req({ resendFailures: 1 });
  rule.ask(0, bytes('a'), fx);
  lose(rule, fx, 1);
  rule.attach(0, 2, fx);
  drain(rule, fx, 2);
  lose(rule, fx, 2, { why: 'ClosedHere' });
  rule.attach(0, 3, fx);
  assert.deepEqual(fx.settled, []);
  drain(rule, fx, 3);
  lose(rule, fx, 3);
  assert.equal(fx.settled[0][1], 'Rejected');
});

test('REQ: what a pipe has carried for a whole resend time is not what ends pipes', () => {
  const [rule, fx] = req({ resendFailures: 2 });
  rule.ask(0, bytes('a'), fx);
  const carryAndLose = (pipe, now) => {
    drain(rule, fx, pipe, now);
    lose(rule, fx, pipe, { now });
    rule.attach(now, pipe + 1, fx);
  };
  carryAndLose(1, 0);
  rule.expire(T, fx);
  carryAndLose(2, T);
  assert.deepEqual(fx.settled, []);
  carryAndLose(3, T);
  assert.equal(fx.settled[0][1], 'Rejected');
});

test('REQ: a late reply makes way for those that waited behind its request', () => {
  const [rule, fx] = req({ outboxBytes: 20, resendTimeMs: T }, 2);
  rule.ask(0, bytes('large large large'), fx);
  rule.ask(0, bytes('a'), fx);
  rule.expire(T, fx);
  assert.equal(rule.waiting(), 2, 'the first does not fit, and the second is behind it');
  rule.recv(T, 1, unhex('80000000'), fx);
  assert.equal(rule.waiting(), 0);
  assert.deepEqual(fx.takeSent().at(-1), [2, '8000000161']);
});

test('REQ: without resending a request fails with its connection', () => {
  const [rule, fx] = req({ resendTimeMs: 0 });
  const { id } = rule.ask(0, bytes('a'), fx);
  assert.equal(rule.deadline(), undefined);
  lose(rule, fx, 1);
  assert.deepEqual(fx.settled, [[id, 'ConnectionLost']]);
  assert.deepEqual(fx.takeDropped(), ['PipeLost'], 'the copy that never left');
});

test('REQ: a cancelled request is forgotten, wherever it is', () => {
  const [rule, fx] = req();
  const { id } = rule.ask(0, bytes('a'), fx);
  rule.cancel(0, id, fx);
  assert.equal(rule.deadline(), undefined);
  rule.recv(0, 1, unhex('80000000'), fx);
  assert.deepEqual(fx.takeDropped(), ['NoRequest']);
  const second = rule.ask(0, bytes('b'), fx).id;
  drain(rule, fx, 1);
  lose(rule, fx, 1);
  rule.cancel(0, second, fx);
  assert.deepEqual(fx.takeDropped(), ['Cancelled']);
  fx.takeSent();
  rule.attach(0, 2, fx);
  assert.deepEqual(fx.takeSent(), []);
});

test('REP: a reply goes to who asked, with the backtrace that came', () => {
  const [rule, fx] = attached(new Rep(socketOptions()), 2);
  rule.recv(0, 2, unhex('00000007 80000001 6869'), fx);
  const asked = rule.take();
  assert.equal(text(asked.payload.subarray(asked.bodyAt)), 'hi');
  rule.reply(asked, bytes('yo'), fx);
  assert.deepEqual(fx.takeSent(), [[2, '0000000780000001796f']]);
});

test('REP: replies to those who are gone or take nothing are dropped, counted', () => {
  const [rule, fx] = attached(new Rep(socketOptions({ outboxMessages: 1 })));
  const ask = () => {
    rule.recv(0, 1, unhex('80000001'), fx);
    return rule.take();
  };
  rule.reply(ask(), bytes('a'), fx);
  rule.reply(ask(), bytes('b'), fx);
  const late = ask();
  lose(rule, fx, 1);
  rule.reply(late, bytes('c'), fx);
  assert.deepEqual(fx.takeDropped(), ['OutboxFull', 'PipeLost', 'PipeLost']);
});

test('REP: one peer that pours cannot grow the queue, and what a lost peer asked is dropped', () => {
  const [rule, fx] = attached(new Rep(socketOptions({ requestsPerPipe: 2 })), 2);
  for (let n = 0; n < 3; n++) rule.recv(0, 1, unhex('80000001'), fx);
  rule.recv(0, 2, unhex('80000002'), fx);
  assert.deepEqual(fx.takeDropped(), ['QueueFull']);
  lose(rule, fx, 1);
  assert.deepEqual(fx.takeDropped(), ['PipeLost', 'PipeLost']);
  assert.equal(rule.take().pipe, 2);
  assert.equal(rule.take(), undefined);
});

test('REP: requests without an id end the connection, loops do not', () => {
  const [rule, fx] = attached(new Rep(socketOptions({ hopLimit: 2 })));
  rule.recv(0, 1, unhex('00000001 00000002 80000000'), fx);
  assert.deepEqual([fx.takeDropped(), fx.closed], [['HopLimit'], []]);
  rule.recv(0, 1, unhex('00000001'), fx);
  assert.deepEqual([fx.takeDropped(), fx.closed], [['Malformed'], [[1, 'ProtocolViolation']]]);
});

test('SUB: what is not subscribed is dropped here, and an unsubscribe looks at what waits', () => {
  const [rule, fx] = attached(new Sub(socketOptions()));
  rule.recv(0, 1, bytes('a1'), fx);
  rule.subscribe(bytes('a'));
  rule.subscribe(bytes('b'));
  for (const news of ['a1', 'b1', 'c1', 'a2']) rule.recv(0, 1, bytes(news), fx);
  assert.deepEqual(fx.takeDropped(), ['NotSubscribed', 'NotSubscribed']);
  assert.ok(rule.unsubscribe(bytes('a'), fx));
  assert.ok(!rule.unsubscribe(bytes('a'), fx));
  assert.deepEqual(fx.takeDropped(), ['Cancelled', 'Cancelled']);
  assert.equal(text(rule.take()), 'b1');
  assert.equal(rule.take(), undefined);
  assert.deepEqual(fx.sent, [], 'a subscriber never sends');
});

test('SUB: a full queue loses its oldest', () => {
  const [rule, fx] = attached(new Sub(socketOptions({ recvMessages: 2, recvBytes: 10 })));
  rule.subscribe(bytes(''));
  for (const news of ['1', '2', '3', 'a large one']) rule.recv(0, 1, bytes(news), fx);
  assert.deepEqual(fx.takeDropped(), ['QueueFull', 'QueueFull', 'QueueFull']);
  assert.equal(text(rule.take()), 'a large one');
});

test('PUB: everybody gets everything, and nobody is waited for', () => {
  const [rule, fx] = attached(new Pub(socketOptions({ outboxMessages: 2 })), 2);
  for (const news of ['1', '2']) assert.equal(rule.put(0, bytes(news), fx), undefined);
  drain(rule, fx, 2);
  rule.put(0, bytes('3'), fx);
  assert.deepEqual(fx.takeDropped(), ['SlowSubscriber']);
  assert.deepEqual(fx.outboxes.get(1).map(text), ['2', '3'], 'the oldest went');
  assert.deepEqual(fx.outboxes.get(2).map(text), ['3']);
});

test('PUB: without a subscriber messages are dropped, and one that talks is sent away', () => {
  const [rule, fx] = attached(new Pub(socketOptions()), 0);
  rule.put(0, bytes('1'), fx);
  assert.deepEqual(fx.takeDropped(), ['NoPeer']);
  rule.attach(0, 1, fx);
  rule.recv(0, 1, bytes('x'), fx);
  assert.deepEqual([fx.takeDropped(), fx.closed], [['Unexpected'], [[1, 'ProtocolViolation']]]);
});

test('PUB: makes room in bytes, too, and ends when the browser has all', () => {
  const [rule, fx] = attached(new Pub(socketOptions({ outboxBytes: 10 })));
  for (const news of ['1234', '5678', '90']) rule.put(0, bytes(news), fx);
  rule.put(0, bytes('ninebytes'), fx);
  assert.deepEqual(fx.takeDropped(), ['SlowSubscriber', 'SlowSubscriber', 'SlowSubscriber']);
  fx.outboxes.set(1, []);
  rule.put(0, bytes('zz'), fx);
  assert.deepEqual(fx.takeDropped(), ['SlowSubscriber']);
});

test('PUSH: jobs go round those with room, and are refused when nobody has any', () => {
  const [rule, fx] = attached(new Push(socketOptions({ pushWindowMessages: 1 })), 2);
  assert.deepEqual(['1', '2', '3'].map((job) => rule.put(0, bytes(job), fx)), [undefined, undefined, 'Full']);
  drain(rule, fx, 2);
  assert.equal(rule.put(0, bytes('3'), fx), undefined);
  assert.deepEqual(fx.takeSent(), [[1, '31'], [2, '32'], [2, '33']]);
});

test('PUSH: unsent jobs of a lost peer go to the others, before anything new', () => {
  const [rule, fx] = attached(new Push(socketOptions({ pushWindowMessages: 2 })), 2);
  for (const job of ['1', '2', '3']) rule.put(0, bytes(job), fx);
  lose(rule, fx, 1);
  assert.equal(rule.waiting(), 1, 'one of the two had room at the other');
  assert.equal(rule.put(0, bytes('4'), fx), 'Full');
  drain(rule, fx, 2);
  assert.equal(rule.waiting(), 0);
  assert.deepEqual(fx.takeSent().slice(3), [[2, '31'], [2, '33']]);
  assert.equal(fx.resentCount, 2);
});

test('PUSH: data from a peer is dropped and the connection kept', () => {
  const [rule, fx] = attached(new Push(socketOptions()));
  rule.recv(0, 1, bytes('x'), fx);
  assert.deepEqual([fx.takeDropped(), fx.closed], [['Unexpected'], []]);
});

test('PULL: takes in order, and what has no room is lost, counted', () => {
  const [rule, fx] = attached(new Pull(socketOptions({ recvMessages: 2 })), 2);
  rule.recv(0, 1, bytes('1'), fx);
  rule.recv(0, 2, bytes('2'), fx);
  rule.recv(0, 1, bytes('3'), fx);
  assert.deepEqual(fx.takeDropped(), ['QueueFull']);
  assert.deepEqual([rule.take(), rule.take()].map(text), ['1', '2']);
  rule.recv(0, 1, bytes('4'), fx);
  rule.clear(fx);
  assert.deepEqual(fx.takeDropped(), ['Closed']);
});

test('PAIR v0 sends the body alone, v1 starts at one hop', () => {
  const [v0, fx0] = attached(new Pair(0, socketOptions()));
  const [v1, fx1] = attached(new Pair(1, socketOptions()));
  v0.put(0, bytes('a'), fx0);
  v1.put(0, bytes('a'), fx1);
  assert.deepEqual([fx0.takeSent(), fx1.takeSent()], [[[1, '61']], [[1, '0000000161']]]);
});

test('PAIR v1 takes zero hops as mangos sends them, up to the limit, and no more', () => {
  const [rule, fx] = attached(new Pair(1, socketOptions()));
  for (const hops of ['00', '01', '08', '09', 'ff']) rule.recv(0, 1, unhex(`000000${hops}61`), fx);
  assert.deepEqual(fx.takeDropped(), ['HopLimit', 'HopLimit']);
  assert.deepEqual([rule.take(), rule.take(), rule.take()].map(hex), ['61', '61', '61']);
  for (const bad of ['', '000001', '0000010061', '8000000161']) {
    rule.recv(0, 1, unhex(bad), fx);
    assert.deepEqual([fx.takeDropped(), fx.closed.pop()], [['Malformed'], [1, 'ProtocolViolation']], bad);
  }
});

test('PAIR has one peer at a time', () => {
  const [rule, fx] = attached(new Pair(0, socketOptions()));
  assert.equal(rule.attach(0, 2, fx), 'Busy');
  rule.put(0, bytes('a'), fx);
  lose(rule, fx, 1);
  assert.deepEqual(fx.takeDropped(), ['PipeLost']);
  assert.equal(rule.put(0, bytes('b'), fx), 'NoPeer');
  assert.equal(rule.attach(0, 2, fx), undefined);
  assert.equal(rule.put(0, bytes('b'), fx), undefined);
});
