/** Thousands of operations in an order that dice choose: whatever happens, every message is accounted for. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PubSocket, PushSocket, ReqSocket, RequestError, SendError } from '../src/index.js';
import { FakeWorld, settled } from './support/fake.js';

/** Numbers below `bound`, the same for the same seed (a linear congruential generator). */
function dice(seed) {
  let state = seed >>> 0;
  return (bound) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state >>> 8) % bound;
  };
}

/** One of the WebSockets in this state, if there is one. */
function some(world, roll, readyState) {
  const found = world.opened.filter((ws) => ws.readyState === readyState);
  return found[roll(Math.max(1, found.length))];
}

/** What the network may do, the same for all patterns. */
const NETWORK = {
  accept: (world, roll) => some(world, roll, 0)?.accept(),
  refuse: (world, roll) => some(world, roll, 0)?.end(),
  cut: (world, roll) => some(world, roll, 1)?.end(roll(2) ? 1006 : 1000),
  clog: (world, roll) => void (Object(some(world, roll, 1)).flows = false),
  take: (world, roll) => some(world, roll, 1)?.take(),
  finish: (world, roll) => some(world, roll, 2)?.end(1000),
};

/** Does `steps` things by chance to a socket with two dialers, and closes it. */
async function tumble(Socket, seed, steps, options, operations) {
  const world = new FakeWorld();
  const roll = dice(seed);
  world.random = () => roll(1_000) / 1_000;
  const socket = new Socket({ outboxMessages: 3, pushWindowMessages: 2, aheadBytes: 4, ...options }, world);
  for (const url of ['ws://one/', 'ws://two/']) await socket.dial(url, { background: true });
  const all = Object.values({ ...NETWORK, ...operations });
  for (let step = 0; step < steps; step++) {
    all[roll(all.length)](world, roll, socket);
    if (roll(4) === 0) await world.pass(roll(300));
  }
  const closing = socket.close(roll(2) ? 0 : 1_000);
  await world.pass(1_000);
  const report = await closing;
  await settled();
  assert.equal(world.timers, 0, `seed ${seed}: nothing is left that would wake anybody`);
  assert.deepEqual(socket.peers, []);
  return { world, socket, report };
}

test('PUSH: each job goes to one peer once, or its end is counted', async () => {
  for (let seed = 1; seed <= 60; seed++) {
    let next = 0;
    let refused = 0;
    const strange = [];
    const send = (_world, _roll, socket) => {
      const limits = { timeoutMs: 500 };
      socket.send(String(next++), limits).catch((error) => {
        refused++;
        if (!(error instanceof SendError)) strange.push(error);
      });
    };
    const { world, socket, report } = await tumble(PushSocket, seed, 400, {}, { send, more: send });
    const went = world.opened.flatMap((ws) => ws.texts);
    const { dropped, sentMessages } = socket.stats();
    assert.deepEqual(strange, []);
    assert.ok(went.length > 10, `seed ${seed}: it is no test if nothing moves`);
    assert.equal(new Set(went).size, went.length, `seed ${seed}: no job went out twice`);
    assert.equal(sentMessages + refused, next, `seed ${seed}: every send ended`);
    assert.equal(went.length + (dropped.Closed ?? 0), sentMessages, `seed ${seed}: no job vanished`);
    assert.equal(report.abandoned, dropped.Closed ?? 0);
    assert.deepEqual(Object.keys(dropped).filter((why) => why !== 'Closed'), []);
  }
});

test('REQ: every request ends once, with its own reply or an error', async () => {
  let total = 0;
  for (let seed = 1; seed <= 60; seed++) {
    let asked = 0;
    let ended = 0;
    let answered = 0;
    const strange = [];
    const request = (_world, roll, socket) => {
      const body = String(asked++);
      const leave = new AbortController();
      socket.request(body, { timeoutMs: roll(2) ? 0 : 200, signal: leave.signal }).then(
        (reply) => {
          ended++;
          answered++;
          if (Buffer.from(reply).toString() !== body) strange.push(reply);
        },
        (error) => {
          ended++;
          if (!(error instanceof RequestError) && error.name !== 'AbortError') strange.push(error);
        },
      );
      if (roll(5) === 0) leave.abort();
    };
    const reply = (world, roll) => {
      const ws = some(world, roll, 1);
      const payload = ws?.sent[roll(Math.max(1, ws.sent.length))];
      if (payload) ws.deliver(payload);
    };
    const options = { resendTimeMs: seed % 3 === 0 ? 0 : 700, openRequests: 20 };
    const { socket } = await tumble(ReqSocket, seed, 400, options, { request, reply, again: reply });
    assert.deepEqual(strange, []);
    assert.equal(ended, asked, `seed ${seed}`);
    total += answered;
    const { deliveredMessages, receivedMessages, dropped } = socket.stats();
    assert.equal(deliveredMessages + (dropped.NoRequest ?? 0), receivedMessages, `seed ${seed}: replies`);
    assert.equal(answered, deliveredMessages);
  }
  assert.ok(total > 200, `only ${total} were answered: it is no test if nothing moves`);
});

test('PUB: what each subscriber is sent, and what it misses, is all that was published', async () => {
  let total = 0;
  for (let seed = 1; seed <= 60; seed++) {
    let copies = 0;
    let unheard = 0;
    const publish = (_world, _roll, socket) => {
      const peers = socket.peers.length;
      copies += peers;
      unheard += peers === 0 ? 1 : 0;
      socket.trySend('news');
    };
    const { world, socket } = await tumble(PubSocket, seed, 400, {}, { publish, more: publish });
    const sent = world.opened.reduce((sum, ws) => sum + ws.sent.length, 0);
    const { dropped } = socket.stats();
    const missed = ['SlowSubscriber', 'PipeLost', 'Closed'].reduce((sum, why) => sum + (dropped[why] ?? 0), 0);
    total += Math.min(sent, missed);
    assert.equal(sent + missed, copies, `seed ${seed}`);
    assert.equal(dropped.NoPeer ?? 0, unheard, `seed ${seed}`);
  }
  assert.ok(total > 500, `${total}: it is no test if nothing moves`);
});
