/** Sockets over a WebSocket whose other end is the test, and a clock that is turned by hand. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  NotSubscribed,
  Pair0Socket,
  Pair1Socket,
  PubSocket,
  PullSocket,
  PushSocket,
  RepSocket,
  ReqSocket,
  SubSocket,
} from '../src/index.js';
import { attached, bytes, settled, text } from './support/fake.js';
import { hex, unhex } from './support/script.js';

test('a request carries an id and gets its reply', async () => {
  const { world, socket } = await attached(ReqSocket);
  assert.equal(world.ws.offered, 'rep.sp.nanomsg.org');
  assert.equal(world.ws.binaryType, 'arraybuffer');
  const reply = socket.request('hi');
  const [request] = world.ws.sent;
  assert.equal(request[0] & 0x80, 0x80);
  assert.equal(text(request.subarray(4)), 'hi');
  world.ws.deliver([...request.subarray(0, 4), ...bytes('yo')]);
  assert.equal(text(await reply), 'yo');
  const { sentMessages, deliveredMessages, receivedBytes } = socket.stats();
  assert.deepEqual([sentMessages, deliveredMessages, receivedBytes], [1, 1, 6]);
  assert.equal(world.timers, 1, 'that of the resend, which finds nothing to do');
  await world.pass(60_000);
  assert.deepEqual([world.timers, world.ws.sent.length], [0, 1]);
});

test('a request is sent again after the resend time, and on the next connection', async () => {
  const { world, socket } = await attached(ReqSocket);
  const first = world.ws;
  const reply = socket.request('hi');
  await world.pass(60_000);
  assert.equal(first.sent.length, 2);
  assert.deepEqual(first.sent[0], first.sent[1]);
  first.end();
  await world.pass(100);
  world.ws.accept();
  assert.deepEqual(world.ws.sent, [first.sent[0]]);
  world.ws.deliver([...first.sent[0].subarray(0, 4)]);
  assert.equal((await reply).length, 0);
  assert.equal(socket.stats().resentMessages, 2);
});

test('a request says whether it was never sent or never answered', async () => {
  const { world, socket } = await attached(ReqSocket, { peers: 0 });
  const unsent = socket.request('hi', { timeoutMs: 50 });
  const dialing = socket.dial('ws://peer/');
  await world.pass(50);
  await assert.rejects(unsent, (error) => {
    assert.deepEqual([error.name, error.kind, error.cause.name], ['RequestError', 'TimedOut', 'SendError']);
    assert.equal(text(error.cause.body), 'hi', 'the message is back');
    return error.isTransient;
  });
  world.ws.accept();
  await dialing;
  assert.equal(world.ws.sent.length, 0, 'nobody waits for it any more');
  const unanswered = socket.request('hi', { timeoutMs: 50 });
  await world.pass(50);
  await assert.rejects(unanswered, (error) => error.cause.name === 'RecvError' && error.kind === 'TimedOut');
  world.ws.deliver([...world.ws.sent[0]]);
  assert.deepEqual(socket.stats().dropped, { NoRequest: 1 });
});

test('a signal cancels, with its own reason, and leaves nothing behind', async () => {
  const { world, socket } = await attached(ReqSocket);
  const leave = new AbortController();
  const reply = socket.request('hi', { signal: leave.signal });
  leave.abort(new Error('gone home'));
  await assert.rejects(reply, /gone home/);
  await assert.rejects(socket.request('hi', { signal: leave.signal }), /gone home/);
  assert.equal(world.ws.sent.length, 1, 'the second was never sent');
  await world.pass(60_000);
  assert.equal(world.ws.sent.length, 1, 'nor the first again');
});

test('replies of a server that always cuts end in an error', async () => {
  const { world, socket } = await attached(ReqSocket);
  const reply = socket.request('hi');
  for (let n = 0; n < 3; n++) {
    world.ws.end(1009);
    await world.pass(10_000);
    if (n < 2) world.ws.accept();
  }
  await assert.rejects(reply, (error) => error.kind === 'Rejected' && !error.isTransient);
});

test('a server in the browser answers each request once', async () => {
  const { world, socket } = await attached(RepSocket);
  assert.equal(world.ws.offered, 'req.sp.nanomsg.org');
  world.ws.deliver(unhex('80000001 6869'));
  const request = await socket.recv();
  assert.equal(text(request.body), 'hi');
  request.reply('yo');
  assert.deepEqual(world.ws.sent.map(hex), ['80000001796f']);
  assert.throws(() => request.reply('again'), (error) => error.kind === 'State');
});

test('a subscriber takes what it wants and never sends', async () => {
  const { world, socket } = await attached(SubSocket);
  socket.subscribe('a');
  for (const news of ['b1', 'a1', 'a2']) world.ws.deliver(bytes(news));
  assert.equal(text(await socket.recv()), 'a1');
  assert.equal(text(socket.tryRecv()), 'a2');
  assert.equal(socket.tryRecv(), undefined);
  assert.throws(() => socket.unsubscribe('zz'), NotSubscribed);
  assert.deepEqual([world.ws.sent, socket.stats().dropped], [[], { NotSubscribed: 1 }]);
});

test('messages come as an async iterator that ends when the socket is closed', async () => {
  const { world, socket } = await attached(SubSocket);
  socket.subscribe('');
  const seen = [];
  const reading = (async () => {
    for await (const message of socket) seen.push(text(message));
  })();
  for (const news of ['1', '2', '3']) world.ws.deliver(bytes(news));
  await settled();
  const closing = socket.close();
  world.ws.end(1000);
  await closing;
  await reading;
  assert.deepEqual(seen, ['1', '2', '3']);
});

test('receivers are served in their order; one that gives up takes no message along', async () => {
  const { world, socket } = await attached(PullSocket);
  const leave = new AbortController();
  const [left, first, second] = [socket.recv({ signal: leave.signal }), socket.recv(), socket.recv({ timeoutMs: 10 })];
  leave.abort();
  await assert.rejects(left, { name: 'AbortError' });
  world.ws.deliver(bytes('1'));
  assert.equal(text(await first), '1');
  await world.pass(10);
  await assert.rejects(second, (error) => error.name === 'RecvError' && error.kind === 'TimedOut');
  world.ws.deliver(bytes('2'));
  assert.equal(text(await socket.recv()), '2');
});

test('PUB drops the oldest for a subscriber that takes nothing, and never waits', async () => {
  const { world, socket } = await attached(PubSocket, { options: { outboxMessages: 2, aheadBytes: 1 } });
  world.ws.flows = false;
  for (const news of ['1', '2', '3', '4', '5']) await socket.send(news);
  assert.deepEqual(world.ws.texts, ['1'], 'the browser was given what it may hold');
  assert.deepEqual(socket.stats().dropped, { SlowSubscriber: 2 });
  world.ws.take();
  await world.pass(50);
  world.ws.take();
  await world.pass(50);
  assert.deepEqual(world.ws.texts, ['1', '4', '5']);
});

test('PUSH waits for bufferedAmount to go down, in the order of the sends', async () => {
  const { world, socket } = await attached(PushSocket, { options: { pushWindowMessages: 1, aheadBytes: 1 } });
  world.ws.flows = false;
  await socket.send('1');
  await socket.send('2');
  const sends = ['3', '4'].map((job) => socket.send(job).then(() => job));
  const first = Promise.race([...sends, world.pass(1_000).then(() => 'nobody')]);
  assert.equal(await first, 'nobody');
  assert.throws(() => socket.trySend('5'), (error) => error.kind === 'Full');
  for (let n = 0; n < 4; n++) {
    world.ws.take();
    await world.pass(50);
  }
  assert.deepEqual(await Promise.all(sends), ['3', '4']);
  assert.deepEqual(world.ws.texts, ['1', '2', '3', '4']);
});

test('a peer that is heard has room looked for at once', async () => {
  const { world, socket } = await attached(Pair0Socket, { options: { aheadBytes: 1 } });
  world.ws.flows = false;
  for (const words of ['1', '2']) await socket.send(words);
  world.ws.take();
  world.ws.deliver(bytes('got it'));
  assert.deepEqual(world.ws.texts, ['1', '2']);
});

test('a signal that outlives its waits does not remember them', async () => {
  const { world, socket } = await attached(PullSocket);
  const { signal } = new AbortController();
  let listeners = 0;
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  signal.addEventListener = (...args) => (listeners++, add(...args));
  signal.removeEventListener = (...args) => (listeners--, remove(...args));
  for (let n = 0; n < 3; n++) {
    const waiting = socket.recv({ signal, timeoutMs: 10 });
    assert.equal(listeners, 1);
    if (n < 2) world.ws.deliver(bytes('x'));
    else await world.pass(10);
    await waiting.catch(() => {});
    assert.equal(listeners, 0);
  }
});

test('those who wait for room are bounded, too', async () => {
  const { socket } = await attached(PushSocket, { options: { waitingSends: 1 }, peers: 0 });
  const waits = socket.send('1');
  await assert.rejects(socket.send('2'), (error) => error.kind === 'Full' && text(error.body) === '2');
  assert.throws(() => socket.trySend('3'), (error) => error.name === 'SendError');
  const report = socket.close(0);
  await assert.rejects(waits, (error) => error.kind === 'Closed' && !error.isTransient);
  void report;
});

test('when the first in line gives up, those behind it go on', async () => {
  const options = { pushWindowMessages: 8, outboxBytes: 10, aheadBytes: 1 };
  const { world, socket } = await attached(PushSocket, { options });
  world.ws.flows = false;
  await socket.send('held by the browser');
  await socket.send('123456');
  const leave = new AbortController();
  const large = socket.send('too large as long as another waits', { signal: leave.signal });
  const small = socket.send('78');
  assert.equal(socket.stats().sentMessages, 2, 'it would fit, but is not first');
  leave.abort();
  await assert.rejects(large, { name: 'AbortError' });
  await small;
  assert.deepEqual(socket.stats().sentMessages, 3);
});

test('unsent jobs of a lost connection go out on the next; what the browser held is counted', async () => {
  const { world, socket } = await attached(PushSocket, { options: { aheadBytes: 1 } });
  world.ws.flows = false;
  for (const job of ['1', '2', '3']) await socket.send(job);
  world.ws.end();
  await world.pass(100);
  world.ws.accept();
  assert.deepEqual(world.ws.texts, ['2', '3']);
  const { unknownMessages, resentMessages } = socket.stats();
  assert.deepEqual([unknownMessages, resentMessages], [1, 2]);
});

test('an empty message is a message, and not held for ever', async () => {
  const { world, socket } = await attached(PushSocket);
  await socket.send('');
  await socket.send(new Uint8Array(0));
  assert.deepEqual(world.ws.texts, ['', '']);
  world.ws.end();
  assert.equal(socket.stats().unknownMessages, 0);
});

test('PAIR talks both ways, v1 with its header', async () => {
  for (const [Socket, protocol, header] of [
    [Pair0Socket, 'pair', ''],
    [Pair1Socket, 'pair1', '00000001'],
  ]) {
    const { world, socket } = await attached(Socket);
    assert.equal(world.ws.offered, `${protocol}.sp.nanomsg.org`);
    await socket.send('hi');
    assert.equal(hex(world.ws.sent[0]), `${header}6869`);
    world.ws.deliver(unhex(`${header}796f`));
    assert.equal(text(await socket.recv()), 'yo');
  }
});

test('a message is any bytes, and a copy: nobody changes it later', async () => {
  const { world, socket } = await attached(PushSocket, { options: { aheadBytes: 1 } });
  world.ws.flows = false;
  await socket.send('x');
  const given = Uint8Array.of(1, 2, 3, 4);
  await socket.send(given.subarray(1, 3));
  await socket.send(given.buffer);
  await socket.send(new DataView(given.buffer, 3));
  given.fill(0);
  for (let n = 0; n < 4; n++) {
    world.ws.take();
    await world.pass(50);
  }
  assert.deepEqual(world.ws.sent.map(hex).slice(1), ['0203', '01020304', '04']);
  await assert.rejects(socket.send(5), TypeError);
});

test('events tell what is dropped, and why, to those who ask', async () => {
  const { world, socket } = await attached(SubSocket);
  const seen = [];
  socket.addEventListener('dropped', ({ why, pipe, bytes }) => seen.push([why, pipe, bytes]));
  world.ws.deliver(bytes('abc'));
  assert.deepEqual(seen, [['NotSubscribed', 1, 3]]);
});

test('a listener of an event may use the socket', async () => {
  const { world, socket } = await attached(PushSocket, { peers: 0 });
  socket.addEventListener('attached', () => socket.trySend('welcome'));
  const dialing = socket.dial('ws://peer/');
  world.ws.accept();
  await dialing;
  assert.deepEqual(world.ws.texts, ['welcome']);
});
