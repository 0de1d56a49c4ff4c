/** Calls: what the application asks of a socket, and the lines of those who have to wait for it. */

import { RecvError, SendError } from '../rules/errors.js';
import { Line, Wait } from './wait.js';

/** @typedef {import('./wait.js').Limits} Limits */

export class Calls {
  #core;
  /** Those who wait for room, for messages, for peers. */
  #senders = new Line(() => this.#core.turn(() => {}));
  #receivers = new Line();
  #watchers = new Line();

  /** @param {import('./core.js').Core<any>} core */
  constructor(core) {
    this.#core = core;
  }

  /**
   * Waits in the line of senders until the attempt goes well.
   * @template T
   * @param {Uint8Array} body
   * @param {Wait<T>} wait
   * @param {() => boolean} attempt
   * @param {(kind: 'Closed' | 'Full') => unknown} error
   */
  send(body, wait, attempt, error) {
    if (wait.isOver) return;
    if (this.#core.isClosed) return wait.reject(error('Closed'));
    const counted = () => {
      const taken = attempt();
      if (taken) {
        this.#core.ledger.sentMessages += 1;
        this.#core.ledger.sentBytes += body.length;
      }
      return taken;
    };
    this.#core.turn(() => {
      if (this.#senders.length === 0 && counted()) return;
      if (this.#senders.length >= this.#core.options.waitingSends) return wait.reject(error('Full'));
      this.#senders.join(wait, counted, () => error('Closed'));
    });
  }

  /**
   * Sends now or not at all.
   * @param {Uint8Array} body
   * @param {() => import('../rules/pattern.js').Refusal | undefined} attempt
   */
  trySend(body, attempt) {
    if (this.#core.isClosed) throw new SendError('Closed', body);
    const refusal = this.#core.turn(() => (this.#senders.length > 0 ? 'Full' : attempt()));
    if (refusal) throw new SendError(refusal, body);
    this.#core.ledger.sentMessages += 1;
    this.#core.ledger.sentBytes += body.length;
  }

  /**
   * @template T
   * @param {() => T | undefined} take
   * @param {Limits} limits
   * @returns {Promise<T>}
   */
  recv(take, { timeoutMs = this.#core.options.recvTimeoutMs, signal }) {
    /** @type {Wait<T>} */
    const wait = new Wait(this.#core.world, { timeoutMs, signal }, () => new RecvError('TimedOut'));
    if (this.#core.isClosed) wait.reject(new RecvError('Closed'));
    const attempt = () => {
      const message = take();
      if (message === undefined) return false;
      this.#core.ledger.deliveredMessages += 1;
      wait.resolve(message);
      return true;
    };
    if (wait.isOver || (this.#receivers.length === 0 && attempt())) return wait.promise;
    this.#receivers.join(wait, attempt, () => new RecvError('Closed'));
    return wait.promise;
  }

  /**
   * @template T
   * @param {() => T | undefined} take
   */
  tryRecv(take) {
    if (this.#core.isClosed) throw new RecvError('Closed');
    // Those who wait were there first.
    const message = this.#receivers.length > 0 ? undefined : take();
    if (message !== undefined) this.#core.ledger.deliveredMessages += 1;
    return message;
  }

  /**
   * @param {number} count
   * @param {Limits} limits
   * @returns {Promise<void>}
   */
  waitPeers(count, limits) {
    /** @type {Wait<void>} */
    const wait = new Wait(this.#core.world, limits, () => new RecvError('TimedOut'));
    if (this.#core.isClosed) wait.reject(new RecvError('Closed'));
    const attempt = () => {
      if (this.#core.peers.length < count) return false;
      wait.resolve();
      return true;
    };
    if (!wait.isOver && !attempt()) this.#watchers.join(wait, attempt, () => new RecvError('Closed'));
    return wait.promise;
  }

  /** There may be room now. */
  serveSenders() {
    this.#senders.serve();
  }

  /** There may be messages or peers now. */
  serveOthers() {
    this.#receivers.serve();
    this.#watchers.serveAll();
  }

  /** The socket is closed: everybody has waited in vain. */
  fail() {
    this.#senders.fail();
    this.#receivers.fail();
    this.#watchers.fail();
  }
}
