/** A dialer: keeps one connection to one address up. */

import { Backoff } from '../rules/backoff.js';
import { DialError } from '../rules/errors.js';
import { subProtocol } from '../rules/wire.js';

/** @typedef {import('../rules/ledger.js').DetachReasonName} DetachReasonName */
/** @typedef {import('../rules/options.js').DialOptions} DialOptions */

/**
 * @typedef {object} DialHost
 * @property {import('./world.js').World} world
 * @property {import('../rules/wire.js').ProtocolName} protocol
 * @property {(ws: WebSocket, dialer: Dialer) => DetachReasonName | undefined} attach makes a pipe of
 *   an open connection, or says why not
 * @property {(dialer: Dialer, error: DialError, waitMs: number) => void} failed
 * @property {(dialer: Dialer) => void} closed
 */

/** A connection that lived less long did not work, even if it was open: a busy PAIR ends it at once. */
const STEADY_MS = 1_000;

/**
 *                  ┌──────── the wait is over ────────┐
 *                  ▼                                  │
 *     dial ─▶ Connecting ── open ─▶ Attached ── ended ─▶ Waiting
 *                  └── failed, refused, timed out ────▲
 *
 *     close, from anywhere: Closed; as is a first attempt that fails while `dial` waits for it
 *
 * @typedef {'Connecting' | 'Attached' | 'Waiting' | 'Closed'} DialerState
 */
export class Dialer {
  #host;
  #options;
  #backoff;
  /** @type {DialerState} */
  #state = 'Connecting';
  /** Gives up what the state waits for. */
  #stop = () => {};
  /**
   * Who waits for the first attempt.
   * @type {{ resolve: () => void, reject: (why: unknown) => void } | undefined}
   */
  #first;
  /**
   * What the browser has against the address.
   * @type {DialError | undefined}
   */
  #broken;
  /** What closing does to the pipe, while there is one. */
  #closePipe = () => {};

  /**
   * @param {DialHost} host
   * @param {string} url
   * @param {DialOptions} options
   */
  constructor(host, url, options) {
    this.url = url;
    this.#host = host;
    this.#options = options;
    this.#backoff = new Backoff(options.reconnectMinMs, options.reconnectMaxMs, host.world.random);
  }

  /**
   * What it is doing.
   * @returns {DialerState}
   */
  get state() {
    return this.#state;
  }

  /**
   * The first attempt; the promise tells how it ended.
   * @returns {Promise<void>}
   */
  start() {
    return new Promise((resolve, reject) => {
      this.#first = { resolve, reject };
      this.#connect();
    });
  }

  /** The same, with nobody waiting: it is tried for ever, unless the browser takes no such address. */
  startInBackground() {
    this.#connect();
    if (this.#broken) throw this.#broken;
  }

  /**
   * Stops dialling, and ends the connection.
   * @param {unknown} [why] what those are told who wait for the first attempt
   */
  close(why = new DialError('Closed', this.url)) {
    if (this.#state === 'Closed') return;
    this.#state = 'Closed';
    this.#stop();
    this.#closePipe();
    this.#host.closed(this);
    this.#first?.reject(why);
  }

  /**
   * The pipe is attached; `close` is how to end it.
   * @param {() => void} close
   */
  attached(close) {
    this.#state = 'Attached';
    this.#closePipe = close;
  }

  /**
   * The pipe is gone.
   * @param {number} livedMs
   */
  ended(livedMs) {
    this.#closePipe = () => {};
    if (this.#state === 'Closed') return;
    if (livedMs >= STEADY_MS) this.#backoff.reset();
    this.#wait();
  }

  #connect() {
    this.#state = 'Connecting';
    const expected = subProtocol(this.#host.protocol);
    /** @type {WebSocket} */
    let ws;
    try {
      ws = this.#host.world.open(this.url, expected);
    } catch (cause) {
      // A page over https may not dial ws://, and some addresses are none.
      const why = cause instanceof Error ? cause.message : undefined;
      this.#broken = new DialError('Address', this.url, { why, cause });
      return this.close(this.#broken);
    }
    ws.binaryType = 'arraybuffer';
    // From here on the end of this attempt, whichever it is, is the only one.
    const leave = () => {
      this.#stop = () => {};
      cancel();
      ws.onopen = ws.onerror = ws.onclose = null;
    };
    const giveUp = () => {
      leave();
      ws.close();
    };
    const cancel = this.#host.world.after(this.#options.connectTimeoutMs || Infinity, () => {
      giveUp();
      this.#failed(new DialError('TimedOut', this.url));
    });
    this.#stop = giveUp;
    // Browsers tell of both, the error first; Node tells of the error alone.
    ws.onerror = ws.onclose = () => {
      leave();
      this.#failed(new DialError('Connect', this.url));
    };
    ws.onopen = () => {
      leave();
      const refused = ws.protocol === expected ? this.#host.attach(ws, this) : 'WrongProtocol';
      if (!refused) {
        this.#first?.resolve();
        this.#first = undefined;
        return;
      }
      ws.close(1000);
      this.#failed(new DialError('Refused', this.url, { reason: refused }));
    };
  }

  /** @param {DialError} error */
  #failed(error) {
    // Who was told of the connection may have closed the socket.
    if (this.#state === 'Closed') return;
    if (this.#first) {
      const { reject } = this.#first;
      this.#first = undefined;
      this.#state = 'Closed';
      this.#host.closed(this);
      return reject(error);
    }
    this.#host.failed(this, error, this.#wait());
  }

  /** @returns {number} how long, in milliseconds */
  #wait() {
    this.#state = 'Waiting';
    const waitMs = this.#backoff.nextWait();
    this.#stop = this.#host.world.after(waitMs, () => this.#connect());
    return waitMs;
  }
}
