/** PUSH (0050): gives each job to exactly one peer that has room. */

import { Pattern } from './pattern.js';
import { Peers } from './peers.js';
import { Fifo } from './queue.js';

/** @typedef {import('./pattern.js').Effects} Effects */

/**
 * Jobs go round the peers that have room. What the browser had not been given of a lost peer's jobs
 * goes to the others; what it had been given does not, or a job could be done twice.
 */
export class Push extends Pattern {
  #peers;
  /**
   * Unsent jobs of peers that are gone; they go out before anything new.
   * @type {Fifo<Uint8Array>}
   */
  #orphans = new Fifo();

  /** @param {import('./options.js').SocketOptions} options */
  constructor(options) {
    super();
    this.#peers = new Peers(options.pushWindowMessages, options.outboxBytes);
  }

  /**
   * @param {number} _now
   * @param {Uint8Array} body
   * @param {Effects} fx
   * @returns {import('./pattern.js').Refusal | undefined}
   */
  put(_now, body, fx) {
    const pipe = this.#orphans.length > 0 ? undefined : this.#peers.pick(body.length);
    if (pipe === undefined) return this.#peers.refusal();
    fx.transmit(pipe, body);
    return undefined;
  }

  /** @override @type {Pattern['attach']} */
  attach(_now, pipe, fx) {
    this.#peers.attach(pipe);
    this.#placeOrphans(fx);
    return undefined;
  }

  /** @override @type {Pattern['detach']} */
  detach(_now, pipe, _why, unsent, fx) {
    if (!this.#peers.detach(pipe)) return;
    for (const job of unsent) this.#orphans.push(job);
    this.#placeOrphans(fx);
  }

  /** @override @type {Pattern['drained']} */
  drained(_now, pipe, messages, bytes, fx) {
    this.#peers.drained(pipe, messages, bytes);
    this.#placeOrphans(fx);
  }

  /**
   * Data that arrives at a PUSH is dropped; the connection stays.
   * @override @type {Pattern['recv']}
   */
  recv(_now, pipe, payload, fx) {
    fx.discard('Unexpected', pipe, payload.length);
  }

  /** @override */
  waiting() {
    return this.#orphans.length;
  }

  /** @override @type {Pattern['clear']} */
  clear(fx) {
    for (const job of this.#orphans.drain()) fx.discard('Closed', undefined, job.length);
  }

  /** @param {Effects} fx */
  #placeOrphans(fx) {
    for (let job = this.#orphans.peek(); job; job = this.#orphans.peek()) {
      const pipe = this.#peers.pick(job.length);
      if (pipe === undefined) return;
      this.#orphans.shift();
      fx.resent();
      fx.transmit(pipe, job);
    }
  }
}
