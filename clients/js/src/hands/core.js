/**
 * The core of a socket: brings what happens to the rules, and does what they say.
 *
 * Everything that happens is a *turn*: the rules are told; outboxes are pumped into the browser,
 * which may make room for more; those who wait are served; the timer is set; events are told last,
 * when nothing is half done, since their listeners may call the socket.
 */

import { DialError } from '../rules/errors.js';
import { Ledger } from '../rules/ledger.js';
import { dialOptions, socketOptions } from '../rules/options.js';
import { reasonOfClose } from '../rules/wire.js';
import { Calls } from './calls.js';
import { Dialer } from './dialer.js';
import { Pipe } from './pipe.js';

/** @typedef {import('../rules/ledger.js').DetachReasonName} DetachReasonName */
/** @typedef {import('../rules/options.js').SocketOptions} SocketOptions */
/** @typedef {import('./world.js').World} World */
/** @typedef {{ flushed: number, abandoned: number, unknown: number }} CloseReport */
/** @typedef {(type: string, detail: object) => void} Tell */

/** @template {import('../rules/pattern.js').Pattern} R */
export class Core {
  ledger = new Ledger();
  /** @type {Calls} */
  calls = new Calls(this);
  /** @type {Map<number, Pipe>} */
  #pipes = new Map();
  /** @type {Map<number, Dialer>} By the pipe that each has. */
  #dialerOf = new Map();
  /** @type {Set<Dialer>} */
  #dialers = new Set();
  #nextPipe = 1;
  /**
   * Pipes whose outbox or browser may have changed.
   * @type {Set<Pipe>}
   */
  #dirty = new Set();
  /** @type {(() => void)[]} */
  #events = [];
  /** @type {{ at: number, stop: () => void } | undefined} */
  #timer;
  /** @type {Promise<CloseReport> | undefined} */
  #closing;
  #isClosed = false;
  #flushed = 0;
  #whenDrained = () => {};
  #tell;

  /**
   * @param {import('../rules/wire.js').ProtocolName} protocol
   * @param {Partial<SocketOptions> | undefined} options
   * @param {World} world
   * @param {(options: SocketOptions) => R} rule
   * @param {Tell} tell
   */
  constructor(protocol, options, world, rule, tell) {
    this.protocol = protocol;
    this.options = socketOptions(options);
    this.world = world;
    this.aheadBytes = this.options.aheadBytes;
    this.rule = rule(this.options);
    this.#tell = tell;
    /**
     * REQ: what a request came to.
     * @type {import('../rules/pattern.js').Effects['settle']}
     */
    this.settled = () => {};
    /** REQ: nobody will get a reply any more. */
    this.whenClosing = () => {};
    /** @type {import('../rules/pattern.js').Effects} */
    this.fx = {
      transmit: (id, payload) => {
        const pipe = this.#pipes.get(id);
        pipe?.push(payload);
        if (pipe) this.#dirty.add(pipe);
      },
      dropOldest: (id) => this.#pipes.get(id)?.dropOldest(),
      discard: (why, pipe, bytes) => {
        this.ledger.countDropped(why);
        this.#event('dropped', { why, pipe, bytes });
      },
      close: (id, why) => {
        const pipe = this.#pipes.get(id);
        if (pipe) this.#end(pipe, why, 0, '');
      },
      resent: () => void (this.ledger.resentMessages += 1),
      settle: (id, outcome) => this.settled(id, outcome),
    };
  }

  get isClosed() {
    return this.#isClosed;
  }

  get peers() {
    return [...this.#pipes.values()].map(({ id, url }) => ({ pipe: id, url }));
  }

  // What the application does.

  /**
   * @param {string} url
   * @param {Partial<import('../rules/options.js').DialOptions> & { signal?: AbortSignal }} given the
   *   signal ends the wait for the first connection, and means nothing later
   * @returns {Promise<Dialer>}
   */
  async dial(url, given) {
    const { signal, ...rest } = given;
    const options = dialOptions(rest);
    if (signal?.aborted) throw signal.reason;
    if (this.isClosed) throw new DialError('Closed', url);
    const bad = whatIsWrong(url);
    if (bad) throw new DialError('Address', url, { why: bad });
    const dialer = new Dialer(this, url, options);
    this.#dialers.add(dialer);
    if (options.background) {
      dialer.startInBackground();
      return dialer;
    }
    const leave = () => dialer.close(signal?.reason);
    signal?.addEventListener('abort', leave, { once: true });
    try {
      await dialer.start();
    } finally {
      signal?.removeEventListener('abort', leave);
    }
    return dialer;
  }

  /**
   * @param {number} deadlineMs
   * @returns {Promise<CloseReport>}
   */
  close(deadlineMs) {
    this.#closing ??= this.#shut(deadlineMs);
    return this.#closing;
  }

  // What dialers and pipes tell.

  /**
   * @param {WebSocket} ws
   * @param {Dialer} dialer
   * @returns {DetachReasonName | undefined}
   */
  attach(ws, dialer) {
    return this.turn(() => {
      const pipe = new Pipe(this.#nextPipe++, dialer.url, ws, this);
      this.#pipes.set(pipe.id, pipe);
      const refused = this.rule.attach(this.world.now(), pipe.id, this.fx);
      if (refused) {
        this.#pipes.delete(pipe.id);
        ws.onmessage = ws.onclose = null;
        this.ledger.refusedPipes += 1;
        this.#event('refused', { url: dialer.url, reason: refused });
        return refused;
      }
      this.#dialerOf.set(pipe.id, dialer);
      dialer.attached(() => this.turn(() => this.#end(pipe, 'ClosedHere', 0, '')));
      this.ledger.attachedPipes += 1;
      this.#event('attached', { pipe: pipe.id, url: pipe.url });
      return undefined;
    });
  }

  /**
   * @param {Dialer} dialer
   * @param {DialError} error
   * @param {number} waitMs
   */
  failed(dialer, error, waitMs) {
    this.turn(() => this.#event('dialfailed', { url: dialer.url, error, waitMs }));
  }

  /** @param {Dialer} dialer */
  closed(dialer) {
    this.#dialers.delete(dialer);
  }

  /**
   * @param {Pipe} pipe
   * @param {string | ArrayBuffer} data
   */
  received(pipe, data) {
    this.turn(() => {
      // Where the peer is heard, it may have read something as well.
      if (pipe.waiting > 0) this.#dirty.add(pipe);
      this.ledger.receivedMessages += 1;
      if (typeof data === 'string') {
        // A text frame. Nobody of the family sends them, and NNG ends the connection, too.
        this.fx.discard('Malformed', pipe.id, data.length);
        return this.fx.close(pipe.id, 'ProtocolViolation');
      }
      const payload = new Uint8Array(data);
      this.ledger.receivedBytes += payload.length;
      if (payload.length > this.options.maxMessageBytes) {
        this.fx.discard('TooLarge', pipe.id, payload.length);
        return this.fx.close(pipe.id, 'MessageTooLarge');
      }
      this.rule.recv(this.world.now(), pipe.id, payload, this.fx);
    });
  }

  /**
   * @param {Pipe} pipe
   * @param {number} code
   * @param {string} text
   */
  ended(pipe, code, text) {
    this.turn(() => this.#end(pipe, reasonOfClose(code), code, text));
  }

  /** @param {Pipe} pipe */
  wantsPump(pipe) {
    this.turn(() => this.#dirty.add(pipe));
  }

  // Turns.

  /**
   * @template T
   * @param {() => T} work
   * @returns {T}
   */
  turn(work) {
    const result = work();
    do {
      for (const pipe of this.#dirty) {
        this.#dirty.delete(pipe);
        const { messages, bytes } = pipe.pump();
        if (this.isClosed) this.#flushed += messages;
        if (messages > 0) this.rule.drained(this.world.now(), pipe.id, messages, bytes, this.fx);
      }
      this.calls.serveSenders();
    } while (this.#dirty.size > 0);
    this.calls.serveOthers();
    this.#setTimer();
    if (this.isClosed) this.#tellDrained();
    for (const tell of this.#events.splice(0)) tell();
    return result;
  }

  /**
   * @param {string} type
   * @param {object} detail
   */
  #event(type, detail) {
    this.#events.push(() => this.#tell(type, detail));
  }

  #setTimer() {
    const at = this.isClosed ? undefined : this.rule.deadline();
    // One that comes too early finds nothing to do, and sets the next.
    if (at === undefined || (this.#timer && this.#timer.at <= at)) return;
    this.#timer?.stop();
    const stop = this.world.after(Math.max(0, at - this.world.now()), () => {
      this.#timer = undefined;
      this.turn(() => this.rule.expire(this.world.now(), this.fx));
    });
    this.#timer = { at, stop };
  }

  /**
   * @param {Pipe} pipe
   * @param {DetachReasonName} reason
   * @param {number} code
   * @param {string} text
   */
  #end(pipe, reason, code, text) {
    if (!this.#pipes.delete(pipe.id)) return;
    this.#dirty.delete(pipe);
    if (reason !== 'ClosedHere') this.ledger.unknownMessages += pipe.held;
    pipe.close(reason);
    this.rule.detach(this.world.now(), pipe.id, reason, pipe.takeUnsent(), this.fx);
    this.#event('detached', { pipe: pipe.id, url: pipe.url, reason, code, text });
    const dialer = this.#dialerOf.get(pipe.id);
    this.#dialerOf.delete(pipe.id);
    dialer?.ended(this.world.now() - pipe.attachedAt);
    if (this.isClosed) dialer?.close();
  }

  // Closing.

  /**
   *     Open ── close ─▶ Draining ── outboxes empty ─▶ Goodbye ── all connections ended ─▶ Closed
   *                          └──────── time is up ───────┴──────────────────────────────▲
   *
   * @param {number} deadlineMs
   * @returns {Promise<CloseReport>}
   */
  async #shut(deadlineMs) {
    this.#isClosed = true;
    let cancel = () => {};
    const late = new Promise((resolve) => (cancel = this.world.after(deadlineMs, () => resolve(undefined))));
    this.#timer?.stop();
    this.calls.fail();
    this.whenClosing();
    for (const dialer of this.#dialers) if (dialer.state !== 'Attached') dialer.close();

    const drained = new Promise((resolve) => (this.#whenDrained = () => resolve(undefined)));
    this.turn(() => {});
    await Promise.race([drained, late]);

    const pipes = [...this.#pipes.values()];
    const abandoned = this.turn(() => {
      let count = this.rule.waiting();
      this.rule.clear(this.fx);
      for (const pipe of pipes) {
        for (const payload of pipe.takeUnsent()) {
          count += 1;
          this.fx.discard('Closed', pipe.id, payload.length);
        }
        this.#end(pipe, 'ClosedHere', 0, '');
      }
      return count;
    });
    await Promise.race([Promise.all(pipes.map((pipe) => pipe.whenEnded)), late]);
    cancel();
    const unknown = pipes.reduce((sum, pipe) => sum + pipe.held, 0);
    this.ledger.unknownMessages += unknown;
    return { flushed: this.#flushed, abandoned, unknown };
  }

  #tellDrained() {
    const waiting = [...this.#pipes.values()].reduce((sum, pipe) => sum + pipe.waiting, this.rule.waiting());
    // Without a pipe nothing will ever leave.
    if (waiting === 0 || this.#pipes.size === 0) this.#whenDrained();
  }
}

/**
 * @param {string} url
 * @returns {string | undefined}
 */
function whatIsWrong(url) {
  let scheme;
  try {
    scheme = new URL(url).protocol;
  } catch {
    return 'it is no URL';
  }
  if (scheme !== 'ws:' && scheme !== 'wss:') return 'only ws:// and wss:// can be dialled from here';
  return url.includes('#') ? 'it has a fragment' : undefined;
}
