/** A world for tests: a clock that is turned by hand, and WebSockets whose other end is the test. */

/** Lets promises that are settled tell those who wait for them. */
export async function settled() {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}

export class FakeWorld {
  /** Every WebSocket that was opened, in order. */
  opened = [];
  /** What `random` says. */
  luck = 0.5;
  #now = 1_000;
  #timers = [];

  now = () => this.#now;
  random = () => this.luck;
  after = (ms, call) => {
    const timer = { at: this.#now + ms, call };
    this.#timers.push(timer);
    return () => void (this.#timers = this.#timers.filter((other) => other !== timer));
  };
  open = (url, protocol) => {
    const ws = new FakeWebSocket(url, protocol);
    this.opened.push(ws);
    return ws;
  };

  /** The latest WebSocket. */
  get ws() {
    return this.opened.at(-1);
  }

  /** How many timers are set for a finite time. */
  get timers() {
    return this.#timers.filter(({ at }) => at < Infinity).length;
  }

  /** Turns the clock, firing what is due in its order. */
  async pass(ms) {
    await settled();
    const end = this.#now + ms;
    for (;;) {
      const due = this.#timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (!due) break;
      this.#timers.splice(this.#timers.indexOf(due), 1);
      this.#now = Math.max(this.#now, due.at);
      due.call();
      await settled();
    }
    this.#now = end;
  }
}

/** The part of WebSocket that is used, with the other end's doings as methods. */
export class FakeWebSocket {
  readyState = 0;
  bufferedAmount = 0;
  protocol = '';
  binaryType = 'blob';
  onopen = null;
  onclose = null;
  onerror = null;
  onmessage = null;
  /** Payloads that were sent. */
  sent = [];
  /** The code of our `close`. */
  closedWith = undefined;
  /** Whether the network takes what is sent at once. */
  flows = true;

  constructor(url, offered) {
    this.url = url;
    this.offered = offered;
  }

  send(payload) {
    if (this.readyState !== 1) throw new Error('sent in the wrong state');
    this.sent.push(payload);
    if (!this.flows) this.bufferedAmount += payload.length;
  }

  close(code) {
    if (code !== undefined && code !== 1000 && !(code >= 3000 && code <= 4999)) {
      throw new Error(`a page may not close with ${code}`);
    }
    if (this.readyState < 2) this.closedWith = code ?? 1005;
    this.readyState = Math.max(this.readyState, 2);
  }

  /** The server agrees. */
  accept(protocol = this.offered) {
    this.protocol = protocol;
    this.readyState = 1;
    this.onopen?.({});
  }

  /** The server sends something: bytes, or a text frame. */
  deliver(data) {
    const isText = typeof data === 'string';
    this.onmessage?.({ data: isText ? data : Uint8Array.from(data).buffer });
  }

  /** The network takes so many bytes. */
  take(bytes = this.bufferedAmount) {
    this.bufferedAmount -= Math.min(bytes, this.bufferedAmount);
  }

  /** The connection is over. */
  end(code = 1006, reason = '') {
    this.readyState = 3;
    this.onclose?.({ code, reason });
  }

  /** What was sent, as text. */
  get texts() {
    return this.sent.map((payload) => new TextDecoder().decode(payload));
  }
}

/** A socket with so many peers attached. */
export async function attached(Socket, { options, peers = 1 } = {}) {
  const world = new FakeWorld();
  const socket = new Socket(options, world);
  for (let n = 1; n <= peers; n++) {
    const dialing = socket.dial(`ws://peer-${n}/`);
    world.ws.accept();
    await dialing;
  }
  return { world, socket };
}

export const bytes = (text) => new TextEncoder().encode(text);
export const text = (payload) => new TextDecoder().decode(payload);
