/** Dialling, losing, refusing and closing, over a fake WebSocket and a clock that is turned by hand. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import * as spanwire from '../src/index.js';
import { FakeWorld, attached, bytes, settled, text } from './support/fake.js';

const { Pair0Socket, PubSocket, PullSocket, PushSocket, RepSocket, ReqSocket, SubSocket } = spanwire;

/** A socket without peers, and what its events said. */
function watched(Socket, options) {
  const world = new FakeWorld();
  const socket = new Socket(options, world);
  const events = [];
  for (const type of ['attached', 'detached', 'refused', 'dialfailed']) {
    socket.addEventListener(type, (event) => events.push([type, event.reason ?? event.error?.kind ?? event.pipe]));
  }
  return { world, socket, events };
}

test('dial waits for the first connection, and keeps it up from then on', async () => {
  const { world, socket, events } = watched(PullSocket);
  const dialing = socket.dial('ws://peer/path');
  world.ws.accept();
  const dialer = await dialing;
  assert.equal(dialer.state, 'Attached');
  assert.deepEqual(socket.peers, [{ pipe: 1, url: 'ws://peer/path' }]);
  world.ws.end();
  assert.deepEqual([dialer.state, socket.peers], ['Waiting', []]);
  await world.pass(49);
  assert.equal(world.opened.length, 1, 'half of 100 ms is what the dice say');
  await world.pass(1);
  assert.equal(world.opened.length, 2);
  world.ws.accept();
  assert.deepEqual(events, [['attached', 1], ['detached', 'ConnectionLost'], ['attached', 2]]);
});

test('a first attempt that fails is an error, and leaves no dialer behind', async () => {
  const { world, socket, events } = watched(PullSocket);
  const dialing = socket.dial('ws://nobody/');
  world.ws.end();
  await assert.rejects(dialing, (error) => error.name === 'DialError' && error.kind === 'Connect' && error.isTransient);
  await world.pass(100_000);
  assert.deepEqual([world.opened.length, world.timers, events], [1, 0, []]);
});

test('an attempt fails once, whether an error is told, a close, or both', async () => {
  for (const told of [['error'], ['close'], ['error', 'close']]) {
    const { world, socket, events } = watched(PullSocket);
    await socket.dial('ws://nobody/', { background: true });
    const { ws } = world;
    for (const what of told) ws[`on${what}`]?.({ code: 1006, reason: '' });
    assert.deepEqual(events, [['dialfailed', 'Connect']], told.join());
    await world.pass(50);
    assert.equal(world.opened.length, 2, told.join());
  }
});

test('in the background it is tried for ever, with growing waits, and told of', async () => {
  const { world, socket, events } = watched(PullSocket);
  const dialer = await socket.dial('ws://later/', { background: true, reconnectMaxMs: 400 });
  const waits = [];
  socket.addEventListener('dialfailed', ({ waitMs }) => waits.push(waitMs));
  for (let n = 0; n < 5; n++) {
    world.ws.end();
    assert.equal(dialer.state, 'Waiting');
    await world.pass(waits.at(-1));
    assert.equal(dialer.state, 'Connecting');
  }
  assert.deepEqual(waits, [50, 100, 200, 200, 200]);
  world.ws.accept();
  assert.deepEqual(events.at(-1), ['attached', 1]);
});

test('a connection that works starts the waits again, one that ends at once does not', async () => {
  const { world, socket } = await attached(PullSocket);
  await socket.dial('ws://peer/', { background: true });
  const wait = async (livedMs) => {
    world.ws.accept();
    await world.pass(livedMs);
    world.ws.end(1000);
    const before = world.opened.length;
    let waited = 0;
    for (; world.opened.length === before && waited < 20_000; waited += 10) await world.pass(10);
    return waited;
  };
  assert.deepEqual([await wait(0), await wait(0), await wait(999)], [50, 100, 200]);
  assert.equal(await wait(1_000), 50);
});

test('an attempt that takes too long is given up', async () => {
  const { world, socket } = watched(PullSocket);
  const dialing = socket.dial('ws://silent/', { connectTimeoutMs: 500 });
  await world.pass(500);
  await assert.rejects(dialing, (error) => error.kind === 'TimedOut');
  assert.equal(world.ws.readyState, 2);
  world.ws.accept();
  assert.deepEqual(socket.peers, [], 'what opens too late is no peer');
  world.ws.end();
  await settled();
  assert.equal(world.timers, 0);
});

test('a signal ends the wait for the first connection, and nothing later', async () => {
  const { world, socket } = watched(PullSocket);
  const leave = new AbortController();
  const dialing = socket.dial('ws://peer/', { signal: leave.signal });
  leave.abort(new Error('gone home'));
  await assert.rejects(dialing, /gone home/);
  assert.deepEqual([world.ws.readyState, world.timers], [2, 0]);
  await assert.rejects(socket.dial('ws://peer/', { signal: leave.signal }), /gone home/);
  const late = new AbortController();
  const second = socket.dial('ws://peer/', { signal: late.signal });
  world.ws.accept();
  const dialer = await second;
  late.abort();
  assert.equal(dialer.state, 'Attached');
});

test('a server that agrees to another sub-protocol, or to none, is refused', async () => {
  for (const other of ['', 'pub.sp.nanomsg.org', 'PUSH.sp.nanomsg.org']) {
    const { world, socket } = watched(PullSocket);
    const dialing = socket.dial('ws://peer/');
    world.ws.accept(other);
    await assert.rejects(dialing, (error) => error.reason === 'WrongProtocol' && !error.isTransient);
    assert.deepEqual([socket.peers, world.ws.closedWith], [[], 1000]);
  }
});

test('addresses that cannot be dialled are errors at once', async () => {
  const { socket } = watched(PullSocket);
  for (const url of ['', 'nonsense', 'tcp://peer:1', 'http://peer/', 'ws://peer/#part']) {
    await assert.rejects(socket.dial(url), (error) => error.kind === 'Address' && !error.isTransient, url);
  }
  await assert.rejects(socket.dial('ws://peer/', { bakground: true }), TypeError);
  const open = () => {
    throw new Error('a page over https may not do that');
  };
  const secure = new PullSocket({}, { ...new FakeWorld(), open });
  for (const background of [false, true]) {
    await assert.rejects(secure.dial('ws://peer/', { background }), (error) => {
      return error.kind === 'Address' && /over https/.test(error.message);
    });
  }
});

test('a PAIR refuses a second peer and goes on with the first', async () => {
  const { world, socket, events } = watched(Pair0Socket);
  const [one, two] = [socket.dial('ws://one/'), socket.dial('ws://two/')];
  world.opened[0].accept();
  await one;
  world.opened[1].accept();
  await assert.rejects(two, (error) => error.reason === 'Busy' && error.isTransient);
  assert.deepEqual(events, [['attached', 1], ['refused', 'Busy']]);
  await socket.send('hi');
  assert.deepEqual([world.opened[0].texts, world.opened[1].texts], [['hi'], []]);
  assert.equal(socket.stats().refusedPipes, 1);
});

test('text frames and messages over the limit end the connection, and nothing else', async () => {
  const { world, socket } = await attached(PullSocket, { options: { maxMessageBytes: 4 } });
  world.ws.deliver(bytes('1234'));
  world.ws.deliver(bytes('12345'));
  assert.equal(world.ws.closedWith, 4009);
  world.ws.deliver(bytes('late'));
  world.ws.end(1000);
  await world.pass(100);
  world.ws.accept();
  world.ws.deliver('text');
  assert.equal(world.ws.closedWith, 4002);
  assert.deepEqual(socket.stats().dropped, { TooLarge: 1, Malformed: 1 });
  assert.equal(text(await socket.recv()), '1234');
  assert.equal(socket.tryRecv(), undefined, 'what came after the end is not heard');
});

test('a socket may be closed by who is told of a refusal', async () => {
  const { world, socket } = watched(Pair0Socket);
  const dialing = socket.dial('ws://one/');
  world.ws.accept();
  await dialing;
  const second = await socket.dial('ws://two/', { background: true });
  socket.addEventListener('refused', () => void socket.close(0));
  world.ws.accept();
  await world.pass(100_000);
  assert.deepEqual([second.state, world.opened.length, world.timers], ['Closed', 2, 0]);
});

test('waitPeers waits for as many as it says', async () => {
  const { world, socket } = watched(PubSocket);
  const [one, two] = [1, 2].map((count) => socket.waitPeers(count).then(() => count));
  const never = socket.waitPeers(3, { timeoutMs: 10 });
  await socket.dial('ws://one/', { background: true });
  await socket.dial('ws://two/', { background: true });
  world.opened[1].accept();
  assert.equal(await Promise.race([one, two]), 1);
  world.opened[0].accept();
  assert.equal(await two, 2);
  await world.pass(10);
  await assert.rejects(never, (error) => error.kind === 'TimedOut');
});

test('what the browser is told while the peer says goodbye is not lost', async () => {
  const { world, socket } = await attached(PushSocket);
  world.ws.readyState = 2;
  await socket.send('1');
  assert.deepEqual(world.ws.sent, []);
  world.ws.end(1000);
  await world.pass(100);
  world.ws.accept();
  assert.deepEqual(world.ws.texts, ['1']);
});

test('close sends what waits, says goodbye, and tells what happened', async () => {
  const { world, socket } = await attached(PushSocket, { options: { aheadBytes: 1 } });
  world.ws.flows = false;
  for (const job of ['1', '2', '3']) await socket.send(job);
  const closing = socket.close(1_000);
  assert.equal(socket.close(), closing, 'there is one end');
  for (let n = 0; n < 2; n++) {
    assert.equal(world.ws.closedWith, undefined, 'not before the browser has all');
    world.ws.take();
    await world.pass(50);
  }
  assert.equal(world.ws.closedWith, 1000);
  world.ws.take();
  world.ws.end(1000);
  assert.deepEqual(await closing, { flushed: 2, abandoned: 0, unknown: 0 });
  await assert.rejects(socket.send('4'), (error) => error.kind === 'Closed');
  await assert.rejects(socket.dial('ws://peer/'), (error) => error.kind === 'Closed');
  assert.equal(world.timers, 0);
});

test('close never hangs, whatever the peer does', async () => {
  const { world, socket } = await attached(PushSocket, { options: { aheadBytes: 1 } });
  world.ws.flows = false;
  for (const job of ['1', '2', '3']) await socket.send(job);
  const closing = socket.close(200);
  await world.pass(200);
  assert.deepEqual(await closing, { flushed: 0, abandoned: 2, unknown: 1 });
  assert.deepEqual(socket.stats().dropped, { Closed: 2 });
  assert.equal(world.timers, 0);
});

test('close without a peer, with dialers at work, is over at once', async () => {
  const { world, socket } = watched(PushSocket);
  const first = socket.dial('ws://connecting/');
  const waiting = await socket.dial('ws://waiting/', { background: true });
  world.ws.end();
  const unsent = socket.send('1');
  assert.deepEqual(await socket.close(), { flushed: 0, abandoned: 0, unknown: 0 });
  await assert.rejects(first, (error) => error.kind === 'Closed');
  await assert.rejects(unsent, (error) => error.kind === 'Closed' && text(error.body) === '1');
  assert.equal(waiting.state, 'Closed');
  assert.equal(world.opened[0].readyState, 2, 'the attempt is given up');
  await world.pass(100_000);
  assert.equal(world.opened.length, 2);
});

test('everybody who waits learns that the socket is closed', async () => {
  const { world, socket } = await attached(ReqSocket);
  const waits = [socket.request('hi'), socket.waitPeers(2)];
  const closing = socket.close();
  for (const wait of waits) await assert.rejects(wait, (error) => error.kind === 'Closed');
  world.ws.end(1000);
  await closing;
  const { socket: rep } = await attached(RepSocket);
  const requests = rep.requests().next();
  void rep.close(0);
  assert.deepEqual(await requests, { done: true, value: undefined });
});

test('closing a dialer ends its connection and no other', async () => {
  const { world, socket, events } = watched(SubSocket);
  const dialers = [];
  for (const url of ['ws://one/', 'ws://two/']) {
    const dialing = socket.dial(url);
    world.ws.accept();
    dialers.push(await dialing);
  }
  dialers[0].close();
  assert.deepEqual([dialers[0].state, dialers[1].state], ['Closed', 'Attached']);
  assert.equal(world.opened[0].closedWith, 1000);
  assert.deepEqual(events.at(-1), ['detached', 'ClosedHere']);
  await world.pass(100_000);
  assert.equal(world.opened.length, 2);
});

test('a dialer that is closed while it connects does not come back', async () => {
  const { world, socket, events } = watched(PullSocket);
  for (const moment of ['before the end', 'in the wait']) {
    const dialer = await socket.dial('ws://peer/', { background: true });
    const ws = world.ws;
    if (moment === 'in the wait') ws.end();
    dialer.close();
    if (moment === 'before the end') ws.end();
    assert.equal(dialer.state, 'Closed', moment);
    const opened = world.opened.length;
    await world.pass(100_000);
    assert.deepEqual([world.opened.length, world.timers, dialer.state], [opened, 0, 'Closed'], moment);
  }
  assert.deepEqual(events, [['dialfailed', 'Connect']]);
});

test('the detached event tells the code and the words of the peer', async () => {
  const { world, socket } = await attached(SubSocket);
  const seen = [];
  socket.addEventListener('detached', ({ reason, code, text }) => seen.push([reason, code, text]));
  world.ws.end(1001, 'going away');
  assert.deepEqual(seen, [['PeerClosed', 1001, 'going away']]);
});

test('the types name what the module exports', () => {
  const types = readFileSync(new URL('../src/index.d.ts', import.meta.url), 'utf8');
  const declared = [...types.matchAll(/^export (?:declare )?(?:abstract )?(?:class|const) (\w+)/gm)].map(([, name]) => name);
  assert.deepEqual(declared.sort(), Object.keys(spanwire).sort());
});
