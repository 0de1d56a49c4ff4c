/** REP (0031): answers what was asked. */

import { Pattern, discardUnsent } from './pattern.js';
import { Peers } from './peers.js';
import { Queue } from './queue.js';
import { backtraceEnd, join } from './wire.js';

/** @typedef {import('./pattern.js').PipeId} PipeId */
/** @typedef {import('./pattern.js').Effects} Effects */
/** @typedef {{ payload: Uint8Array, pipe: PipeId, bodyAt: number }} Asked */

/**
 * Requests wait in one queue, with a bound for each peer. A reply goes over the pipe of its request,
 * with the backtrace that came, and nowhere else.
 */
export class Rep extends Pattern {
  #peers;
  /** @type {Queue<Asked>} */
  #queue;
  /**
   * How many requests of each pipe wait.
   * @type {Map<PipeId, number>}
   */
  #waiting = new Map();
  #requestsPerPipe;
  #hopLimit;

  /** @param {import('./options.js').SocketOptions} options */
  constructor(options) {
    super();
    this.#peers = new Peers(options.outboxMessages, options.outboxBytes);
    this.#queue = new Queue(options.recvMessages, options.recvBytes);
    this.#requestsPerPipe = options.requestsPerPipe;
    this.#hopLimit = options.hopLimit;
  }

  /** @returns {Asked | undefined} */
  take() {
    const asked = this.#queue.shift();
    if (asked) this.#waiting.set(asked.pipe, (this.#waiting.get(asked.pipe) ?? 1) - 1);
    return asked;
  }

  /**
   * Sends a reply, or drops it where the one who asked is gone or takes nothing: no server may be
   * held up by one client.
   * @param {Asked} asked
   * @param {Uint8Array} body
   * @param {Effects} fx
   */
  reply(asked, body, fx) {
    const payload = join(asked.payload.subarray(0, asked.bodyAt), body);
    if (!this.#peers.has(asked.pipe)) return fx.discard('PipeLost', asked.pipe, payload.length);
    if (!this.#peers.reserve(asked.pipe, payload.length)) {
      return fx.discard('OutboxFull', asked.pipe, payload.length);
    }
    fx.transmit(asked.pipe, payload);
  }

  /** @override @type {Pattern['attach']} */
  attach(_now, pipe) {
    this.#peers.attach(pipe);
    this.#waiting.set(pipe, 0);
    return undefined;
  }

  /** @override @type {Pattern['detach']} */
  detach(_now, pipe, _why, unsent, fx) {
    this.#peers.detach(pipe);
    this.#waiting.delete(pipe);
    discardUnsent(pipe, unsent, fx);
    // Nobody is left to answer.
    for (const asked of this.#queue.takeWhere((asked) => asked.pipe === pipe)) {
      fx.discard('PipeLost', pipe, asked.payload.length);
    }
  }

  /** @override @type {Pattern['drained']} */
  drained(_now, pipe, messages, bytes) {
    this.#peers.drained(pipe, messages, bytes);
  }

  /** @override @type {Pattern['recv']} */
  recv(_now, pipe, payload, fx) {
    const bodyAt = backtraceEnd(payload, this.#hopLimit);
    if (bodyAt === 'Malformed') {
      fx.discard('Malformed', pipe, payload.length);
      return fx.close(pipe, 'ProtocolViolation');
    }
    if (bodyAt === 'HopLimit') return fx.discard('HopLimit', pipe, payload.length);
    const waiting = this.#waiting.get(pipe) ?? 0;
    if (waiting >= this.#requestsPerPipe || !this.#queue.hasRoom(payload.length)) {
      return fx.discard('QueueFull', pipe, payload.length);
    }
    this.#waiting.set(pipe, waiting + 1);
    this.#queue.push({ payload, pipe, bodyAt });
  }

  /** @override @type {Pattern['clear']} */
  clear(fx) {
    for (const asked of this.#queue.takeWhere(() => true)) fx.discard('Closed', asked.pipe, asked.payload.length);
  }
}
