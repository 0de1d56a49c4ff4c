/** What is tried in a real browser, and in Node, against a real server: each pattern, and what goes wrong. */

import {
  Pair0Socket,
  Pair1Socket,
  PubSocket,
  PullSocket,
  PushSocket,
  RepSocket,
  ReqSocket,
  SubSocket,
} from '../../src/index.js';

/** @typedef {{ base: string, restarting: string, dead: string, secure: string, strange: string }} Config */
/** @typedef {(what: string) => Promise<string>} Order */
/** @typedef {(config: Config, order: Order) => Promise<void>} Case */

const MIB = 1024 * 1024;

/**
 * What is tried everywhere.
 * @type {Record<string, Case>}
 */
export const cases = {
  async 'REQ gets replies: small, empty, many at once'({ base }) {
    const socket = new ReqSocket();
    await socket.dial(`${base}/echo`);
    same(text(await socket.request('hello')), 'hello');
    same((await socket.request('')).length, 0);
    const replies = await Promise.all(Array.from({ length: 200 }, (_, n) => socket.request(`${n}`)));
    replies.forEach((reply, n) => same(text(reply), `${n}`));
    await closeCleanly(socket);
  },

  async 'REQ gets 1 MiB and more back unharmed'({ base }) {
    const socket = new ReqSocket();
    await socket.dial(`${base}/echo`);
    for (const length of [65_535, 65_536, MIB - 4, MIB, 3 * MIB + 1]) {
      const sent = pattern(length);
      sameBytes(await socket.request(sent), sent);
    }
    await closeCleanly(socket);
  },

  async 'SUB takes what it subscribed to, in order, 1 MiB too'({ base }, order) {
    const socket = new SubSocket();
    socket.subscribe('a');
    await socket.dial(`${base}/feed`);
    same(await order('publish'), 'done');
    for (let n = 0; n < 100; n++) same(text(await socket.recv()), `a${n}`);
    const large = await socket.recv();
    same([large.length, large[0], large[MIB - 1]], [MIB, 97, 97]);
    same(socket.stats().dropped, { NotSubscribed: 100 });
    await closeCleanly(socket);
  },

  async 'PUB reaches a subscriber'({ base }, order) {
    const socket = new PubSocket();
    await socket.dial(`${base}/ear`);
    await order('ear-attached');
    for (let n = 0; n < 100; n++) await socket.send(`news ${n}`);
    await socket.send(pattern(MIB));
    same(await order('heard'), `101 messages, ${bytesOf(100, 'news ') + MIB} bytes`);
    await closeCleanly(socket);
  },

  async 'PUSH gives jobs to a PULL'({ base }, order) {
    const socket = new PushSocket();
    await socket.dial(`${base}/work`);
    for (let n = 0; n < 1_000; n++) await socket.send(`job ${n}`);
    await socket.send(pattern(MIB));
    same(await order('worked'), `1001 messages, ${bytesOf(1_000, 'job ') + MIB} bytes`);
    await closeCleanly(socket);
  },

  async 'PUSH waits while nobody takes, and loses nothing'({ base }, order) {
    const socket = new PushSocket();
    await socket.dial(`${base}/lazy`);
    const job = pattern(256 * 1024);
    let sent = 0;
    const stop = new AbortController();
    const sending = (async () => {
      for (; !stop.signal.aborted; sent++) await socket.send(job, { signal: stop.signal });
    })();
    sending.catch(() => {});
    // Buffers of both systems, of both sockets, of the browser: then no send goes through any more. How
    // much that is nobody can say, so it is over when nothing has moved for a while.
    for (let quiet = 0, before = sent; quiet < 4; quiet = before === sent ? quiet + 1 : 0) {
      before = sent;
      await pause(500);
    }
    stop.abort();
    await rejects(sending, 'AbortError');
    const waiting = socket.send('the last');
    same(await Promise.race([waiting.then(() => 'sent'), pause(100).then(() => 'waits')]), 'waits');
    same(await order(`lazy-takes-${sent + 1}`), `${sent + 1} messages, ${sent * job.length + 8} bytes`);
    await waiting;
    await closeCleanly(socket);
  },

  async 'PULL gets jobs of a PUSH'({ base }, order) {
    const socket = new PullSocket();
    await socket.dial(`${base}/jobs`);
    const pushing = order('push');
    for (let n = 0; n < 1_000; n++) same(text(await socket.recv()), `job ${n}`);
    same(await pushing, 'done');
    await closeCleanly(socket);
  },

  async 'PAIR v0 talks both ways'({ base }) {
    await talks(new Pair0Socket(), `${base}/pair0`);
  },

  async 'PAIR v1 talks both ways'({ base }) {
    await talks(new Pair1Socket(), `${base}/pair1`);
  },

  async 'REP answers a server that asks'({ base }, order) {
    const socket = new RepSocket();
    await socket.dial(`${base}/ask`);
    const answer = order('ask');
    const request = await socket.recv();
    request.reply(`${text(request.body)}? yes`);
    same(await answer, 'anybody there? yes');
    await closeCleanly(socket);
  },

  async 'a request outlives a restart of the server'({ restarting }, order) {
    const socket = new ReqSocket();
    /** @type {string[]} */
    const events = [];
    socket.addEventListener('attached', () => events.push('attached'));
    socket.addEventListener('detached', ({ reason }) => events.push(reason));
    await socket.dial(restarting);
    same(text(await socket.request('before')), 'before');
    await order('stop');
    same(socket.peers.length === 0 || (await event(socket, 'detached')) !== undefined, true);
    const reply = socket.request('meanwhile');
    await event(socket, 'dialfailed');
    await order('start');
    same(text(await reply), 'meanwhile');
    same([events[0], events.at(-1), events.length], ['attached', 'attached', 3]);
    await closeCleanly(socket);
  },

  async 'a request in flight is sent again when its connection is lost'({ restarting }, order) {
    const socket = new ReqSocket();
    await socket.dial(restarting);
    const reply = socket.request('swallow');
    await order('swallowed');
    await order('stop');
    await order('start');
    same(text(await reply), 'swallow');
    same(socket.stats().resentMessages >= 1, true);
    await closeCleanly(socket);
  },

  async 'a server that has another protocol is an error'({ base }) {
    const socket = new SubSocket();
    await dialFails(socket, `${base}/echo`);
    await closeCleanly(socket);
  },

  async 'a path that is not there is an error'({ base }) {
    const socket = new ReqSocket();
    await dialFails(socket, `${base}/nowhere`);
    await closeCleanly(socket);
  },

  async 'a port where nobody listens is an error, and close does not wait for it'({ dead }) {
    const socket = new ReqSocket();
    await dialFails(socket, dead);
    await socket.dial(dead, { background: true });
    await event(socket, 'dialfailed');
    await rejects(socket.request('x', { timeoutMs: 50 }), 'RequestError', 'TimedOut');
    const began = performance.now();
    await closeCleanly(socket);
    same(performance.now() - began < 900, true);
  },

  async 'a message over the limit of the server fails, and others go on'({ base }) {
    const socket = new ReqSocket();
    await socket.dial(`${base}/small`, { reconnectMaxMs: 100 });
    await rejects(socket.request(pattern(100_000)), 'RequestError', 'Rejected');
    same(text(await socket.request('small')), 'small');
    await closeCleanly(socket);
  },

  async 'a message over our limit ends the connection, counted'({ base }) {
    const socket = new ReqSocket({ maxMessageBytes: 1_000, resendFailures: 1 });
    await socket.dial(`${base}/echo`);
    const detached = event(socket, 'detached');
    await rejects(socket.request(pattern(10_000)), 'RequestError', 'Rejected');
    same((await detached).reason, 'MessageTooLarge');
    same(socket.stats().dropped, { TooLarge: 1 });
    await closeCleanly(socket);
  },

  async 'a second peer of a PAIR is sent away until the first is gone'({ base }) {
    const first = new Pair0Socket();
    await first.dial(`${base}/pair0`);
    await first.send('mine');
    same(text(await first.recv()), 'mine');
    const second = new Pair0Socket();
    await second.dial(`${base}/pair0`, { background: true, reconnectMaxMs: 200 });
    await event(second, 'detached');
    await first.close();
    for (let tries = 0, reply; reply !== 'now mine'; tries++) {
      if (tries === 50) throw new Error('the second never got in');
      await second.send('now mine', { timeoutMs: 5_000 });
      reply = await second.recv({ timeoutMs: 200 }).then(text, () => undefined);
    }
    await closeCleanly(second);
  },

  async 'what is sent just before close arrives'({ base }, order) {
    const socket = new PushSocket();
    await socket.dial(`${base}/work`);
    for (let n = 0; n < 50; n++) await socket.send(pattern(10_000));
    const { abandoned, unknown } = await socket.close(5_000);
    same([abandoned, unknown], [0, 0]);
    same(await order('worked-50'), '50 messages, 500000 bytes');
  },
};

/**
 * What is tried only where there are pages with an origin, and certificates that are trusted by order.
 * @type {Record<string, Case>}
 */
export const inBrowsersOnly = {
  async 'a foreign origin is refused'({ base }) {
    const socket = new ReqSocket();
    await dialFails(socket, `${base}/elsewhere`);
    await closeCleanly(socket);
  },

  async 'wss:// works with a certificate that the browser trusts'({ secure }) {
    const socket = new ReqSocket();
    await socket.dial(secure);
    for (const length of [0, 1, MIB]) {
      const sent = pattern(length);
      sameBytes(await socket.request(sent), sent);
    }
    await closeCleanly(socket);
  },

  async 'a certificate that the browser does not trust is an error'({ strange }) {
    const socket = new ReqSocket();
    await dialFails(socket, strange);
    await closeCleanly(socket);
  },

  async 'the page of the example shows its feed, gets answers, and chats'() {
    const [ann, bob] = await Promise.all([examplePage(), examplePage()]);
    const oslo = /^oslo -?\d+\.\d °C$/;
    await shows(ann, '#feed .log li', (words) => oslo.test(words));
    await shows(ann, '#feed .counters', (words) => / [1-9]\d* not subscribed$/.test(words));
    submit(ann, '#ask', '2 * (3 + 4)');
    await shows(ann, '#ask .log li', (words) => words.startsWith('2 * (3 + 4) = 14 '));
    submit(ann, '#ask', 'hello');
    await shows(ann, '#ask .log li:last-child', (words) => words.startsWith('hello = that is no sum '));
    await shows(bob, '#chat .state', (words) => words === 'connected');
    await shows(ann, '#chat .state', (words) => words === 'connected');
    submit(bob, '#chat', 'hello, ann');
    await shows(ann, '#chat .log li', (words) => words === 'hello, ann');
    await shows(bob, '#chat .log li.mine', (words) => words === 'hello, ann');
  },
};

/** @returns {Promise<Document>} the page of the example, in a frame */
function examplePage() {
  const frame = document.createElement('iframe');
  frame.src = '../../example/index.html';
  document.body.append(frame);
  return new Promise((resolve, reject) => {
    frame.onload = () => (frame.contentDocument ? resolve(frame.contentDocument) : reject(new Error('no page')));
  });
}

/**
 * Waits until the page shows words that are right.
 * @param {Document} page
 * @param {string} where
 * @param {(words: string) => boolean} right
 */
async function shows(page, where, right) {
  let words;
  for (let tries = 0; tries < 200; tries++) {
    words = page.querySelector(where)?.textContent ?? '';
    if (right(words)) return;
    await pause(50);
  }
  throw new Error(`${where} shows ${JSON.stringify(words)}`);
}

/**
 * @param {Document} page
 * @param {string} card
 * @param {string} words
 */
function submit(page, card, words) {
  const input = /** @type {HTMLInputElement} */ (page.querySelector(`${card} input[name]`));
  input.value = words;
  input.form?.requestSubmit();
}

/**
 * @param {Pair0Socket | Pair1Socket} socket
 * @param {string} url
 */
async function talks(socket, url) {
  await socket.dial(url);
  for (let n = 0; n < 100; n++) await socket.send(`${n}`);
  for (let n = 0; n < 100; n++) same(text(await socket.recv()), `${n}`);
  for (const length of [0, MIB]) {
    const sent = pattern(length);
    await socket.send(sent);
    sameBytes(await socket.recv(), sent);
  }
  await closeCleanly(socket);
}

/**
 * @param {import('../../src/index.js').Socket} socket
 * @param {string} url
 */
async function dialFails(socket, url) {
  await rejects(socket.dial(url), 'DialError', 'Connect');
  same(socket.peers, []);
}

/** @param {import('../../src/index.js').Socket} socket */
async function closeCleanly(socket) {
  const { abandoned, unknown } = await socket.close(5_000);
  same([abandoned, unknown], [0, 0]);
}

/**
 * @param {Promise<unknown>} promise
 * @param {string} name
 * @param {string} [kind]
 */
async function rejects(promise, name, kind) {
  const outcome = await promise.then(
    () => 'it went well',
    (error) => [error.name, ...(kind ? [error.kind] : [])],
  );
  same(outcome, [name, ...(kind ? [kind] : [])]);
}

/**
 * @param {any} socket
 * @param {string} type
 * @returns {Promise<any>} the next event of this type
 */
function event(socket, type) {
  return new Promise((resolve) => socket.addEventListener(type, resolve, { once: true }));
}

/**
 * @param {unknown} got
 * @param {unknown} wanted
 */
function same(got, wanted) {
  const [left, right] = [got, wanted].map((value) => JSON.stringify(value));
  if (left !== right) throw new Error(`got ${left}, wanted ${right}`);
}

/**
 * @param {Uint8Array} got
 * @param {Uint8Array} wanted
 */
function sameBytes(got, wanted) {
  same(got.length, wanted.length);
  const wrong = got.findIndex((byte, at) => byte !== wanted[at]);
  if (wrong >= 0) throw new Error(`byte ${wrong} of ${got.length} is ${got[wrong]}`);
}

/** @param {number} length */
function pattern(length) {
  return Uint8Array.from({ length }, (_, at) => (at * 31 + (at >> 8)) & 0xff);
}

/**
 * The bytes of so many messages, each the words and its number.
 * @param {number} count
 * @param {string} words
 */
function bytesOf(count, words) {
  return Array.from({ length: count }, (_, n) => `${words}${n}`.length).reduce((sum, length) => sum + length, 0);
}

/** @param {number} ms */
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** @param {Uint8Array} bytes */
const text = (bytes) => new TextDecoder().decode(bytes);
