/** Rules that all patterns share: the wire, backoff, queues, peers, topics, options. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Backoff } from '../src/rules/backoff.js';
import { SOCKET_DEFAULTS, dialOptions, socketOptions } from '../src/rules/options.js';
import { Peers } from '../src/rules/peers.js';
import { Fifo, Queue } from '../src/rules/queue.js';
import { Topics } from '../src/rules/topics.js';
import { PEER_OF, backtraceEnd, codeOfClose, nextId, readTag, reasonOfClose, subProtocol, tagBytes } from '../src/rules/wire.js';
import { hex, unhex } from './support/script.js';
import { bytes } from './support/fake.js';

/** What other libraries were seen to send; the tests of the Rust library read the same file. */
const captured = JSON.parse(readFileSync(new URL('../../../tests/vectors/websocket.json', import.meta.url), 'utf8'));

test('the sub-protocol is the one that NNG, nanomsg and mangos offer as REQ', () => {
  const heads = captured.vectors.filter(({ id }) => id.endsWith('-client-upgrade'));
  assert.ok(heads.length >= 4, 'several libraries were captured');
  for (const { text, id } of heads) {
    assert.ok(text.includes(`Sec-WebSocket-Protocol: ${subProtocol('req')}\r\n`), id);
  }
});

test('each side names the protocol of the server', () => {
  assert.equal(subProtocol('rep'), 'req.sp.nanomsg.org');
  assert.equal(subProtocol('pair1'), 'pair1.sp.nanomsg.org');
  for (const [ours, peer] of Object.entries(PEER_OF)) assert.equal(PEER_OF[peer], ours);
});

test('captured requests are an id with its top bit set, and a body', () => {
  const requests = captured.vectors.filter(({ id }) => id.endsWith('-client-data'));
  assert.ok(requests.length >= 4);
  for (const { frames } of requests) {
    const payload = unhex(frames[0].payload_unmasked);
    assert.equal(backtraceEnd(payload, 8), 4);
    assert.equal(hex(tagBytes(readTag(payload))), hex(payload.subarray(0, 4)));
    assert.equal(hex(payload.subarray(4)), hex(bytes('hello world')));
  }
});

test('a backtrace ends at the first tag with its top bit set', () => {
  assert.equal(backtraceEnd(unhex('00000001 7fffffff 80000000 80000001'), 8), 12);
  assert.equal(backtraceEnd(unhex('ffffffff'), 1), 4);
});

test('a backtrace without an id is malformed, one that is too long is a loop', () => {
  for (const bad of ['', '800000', '00000001', '00000001 800000']) {
    assert.equal(backtraceEnd(unhex(bad), 8), 'Malformed', bad);
  }
  const hops = (count) => unhex('00000001'.repeat(count - 1) + '80000000');
  assert.equal(backtraceEnd(hops(8), 8), 32, 'the limit itself passes');
  assert.equal(backtraceEnd(hops(9), 8), 'HopLimit');
});

test('ids wrap inside the half with the top bit', () => {
  assert.equal(nextId(0xffff_ffff), 0x8000_0000);
  assert.equal(nextId(0x8000_0000), 0x8000_0001);
  assert.equal(nextId(5), 0x8000_0006);
});

test('pages close with codes that they may send', () => {
  for (const reason of ['ProtocolViolation', 'MessageTooLarge', 'ClosedHere', 'Busy']) {
    const code = codeOfClose(reason);
    assert.ok(code === 1000 || (code >= 3000 && code <= 4999), reason);
  }
});

test('the code of a close tells a cut from a goodbye', () => {
  assert.equal(reasonOfClose(1006), 'ConnectionLost');
  assert.equal(reasonOfClose(1009), 'MessageTooLarge');
  for (const code of [1000, 1001, 1005, 1002, 4321]) assert.equal(reasonOfClose(code), 'PeerClosed');
});

test('redial waits up to twice as long each time, and no longer than the maximum', () => {
  const waits = new Backoff(100, 1_000, () => 0.999);
  const bounds = [100, 200, 400, 800, 1_000, 1_000];
  for (const bound of bounds) assert.ok(Math.abs(waits.nextWait() - bound * 0.999) < 1e-9);
  waits.reset();
  assert.ok(waits.nextWait() < 100);
  assert.equal(new Backoff(100, 10, () => 0.5).nextWait(), 50, 'a smaller maximum is the minimum');
});

test('a fifo keeps its order and forgets what was taken', () => {
  const fifo = new Fifo();
  let next = 0;
  for (let n = 0; n < 1_000; n++) {
    fifo.push(n);
    if (n % 3 === 2) assert.equal(fifo.shift(), next++);
  }
  assert.equal(fifo.length, 1_000 - next);
  assert.deepEqual(fifo.takeWhere((n) => n === 500), [500]);
  while (fifo.length > 0) {
    if (next === 500) next++;
    assert.equal(fifo.shift(), next++);
  }
  assert.equal(fifo.shift(), undefined);
});

test('a queue is full by messages or by bytes, and one message always fits', () => {
  const item = (length) => ({ payload: new Uint8Array(length), pipe: 1 });
  const queue = new Queue(2, 10);
  assert.ok(queue.hasRoom(1_000));
  queue.push(item(1_000));
  assert.ok(!queue.hasRoom(0));
  queue.shift();
  queue.push(item(4));
  assert.ok(queue.hasRoom(6) && !queue.hasRoom(7));
  queue.push(item(0));
  assert.ok(!queue.hasRoom(0), 'two messages');
  assert.equal(queue.takeWhere(({ payload }) => payload.length === 4).length, 1);
  assert.equal(queue.bytes, 0);
});

test('peers are picked in turn, and only with room', () => {
  const peers = new Peers(1, 10);
  assert.equal(peers.refusal(), 'NoPeer');
  for (const pipe of [1, 2, 3]) peers.attach(pipe);
  assert.deepEqual([peers.pick(1), peers.pick(99), peers.pick(1), peers.pick(1)], [1, 2, 3, undefined]);
  assert.equal(peers.refusal(), 'Full');
  peers.drained(2, 1, 99);
  assert.equal(peers.pick(1), 2);
  assert.ok(peers.detach(2) && !peers.detach(2));
});

test('a topic is any prefix of bytes; none lets in nothing', () => {
  const topics = new Topics();
  assert.ok(!topics.matches(bytes('x')));
  topics.insert(bytes('ab'));
  topics.insert(bytes('ab'));
  topics.insert(Uint8Array.of(0xff, 0));
  assert.ok(topics.matches(bytes('abc')) && topics.matches(bytes('ab')));
  assert.ok(!topics.matches(bytes('a')) && !topics.matches(bytes('b')));
  assert.ok(topics.matches(Uint8Array.of(0xff, 0, 1)));
  assert.ok(topics.remove(bytes('ab')) && !topics.remove(bytes('ab')));
  assert.ok(!topics.matches(bytes('abc')));
  topics.insert(bytes(''));
  assert.ok(topics.matches(bytes('')) && topics.matches(bytes('zzz')));
});

test('options are moved into their ranges, and slips are errors', () => {
  assert.deepEqual(socketOptions(), { ...SOCKET_DEFAULTS });
  const options = socketOptions({ hopLimit: 99, recvMessages: 0, pushWindowMessages: 9, outboxMessages: 4, resendTimeMs: -1 });
  assert.deepEqual([options.hopLimit, options.recvMessages, options.pushWindowMessages], [15, 1, 4]);
  assert.equal(options.resendTimeMs, 0);
  assert.throws(() => socketOptions({ recvMesages: 1 }), /no option recvMesages/);
  assert.throws(() => socketOptions({ recvMessages: '1' }), TypeError);
  assert.throws(() => socketOptions({ recvMessages: NaN }), TypeError);
  assert.equal(dialOptions({ reconnectMinMs: undefined }).reconnectMinMs, 100);
});
