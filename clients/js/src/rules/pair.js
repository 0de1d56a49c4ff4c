/** PAIR v0 (0010) and v1 (0011): one peer at a time, both ways; v1 counts hops. */

import { Pattern, discardUnsent } from './pattern.js';
import { Peers } from './peers.js';
import { Queue } from './queue.js';
import { FIRST_HOP, MOST_HOPS, TAG_BYTES, join, readTag, tagBytes } from './wire.js';

/** @typedef {import('./pattern.js').Effects} Effects */

/** Whoever comes while a peer is there is refused. */
export class Pair extends Pattern {
  #peers;
  /** @type {Queue<{ payload: Uint8Array, pipe: import('./pattern.js').PipeId }>} */
  #queue;
  #version;
  #hopLimit;

  /**
   * @param {0 | 1} version
   * @param {import('./options.js').SocketOptions} options
   */
  constructor(version, options) {
    super();
    this.#version = version;
    this.#hopLimit = options.hopLimit;
    this.#peers = new Peers(options.outboxMessages, options.outboxBytes);
    this.#queue = new Queue(options.recvMessages, options.recvBytes);
  }

  /**
   * @param {number} _now
   * @param {Uint8Array} body
   * @param {Effects} fx
   * @returns {import('./pattern.js').Refusal | undefined}
   */
  put(_now, body, fx) {
    const payload = this.#version === 1 ? join(tagBytes(FIRST_HOP), body) : body;
    const pipe = this.#peers.pick(payload.length);
    if (pipe === undefined) return this.#peers.refusal();
    fx.transmit(pipe, payload);
    return undefined;
  }

  take() {
    return this.#queue.shift()?.payload;
  }

  /** @override @type {Pattern['attach']} */
  attach(_now, pipe) {
    if (this.#peers.size > 0) return 'Busy';
    this.#peers.attach(pipe);
    return undefined;
  }

  /** @override @type {Pattern['detach']} */
  detach(_now, pipe, _why, unsent, fx) {
    this.#peers.detach(pipe);
    discardUnsent(pipe, unsent, fx);
  }

  /** @override @type {Pattern['drained']} */
  drained(_now, pipe, messages, bytes) {
    this.#peers.drained(pipe, messages, bytes);
  }

  /** @override @type {Pattern['recv']} */
  recv(_now, pipe, payload, fx) {
    let body = payload;
    if (this.#version === 1) {
      const hops = readTag(payload);
      if (hops === undefined || hops > MOST_HOPS) {
        fx.discard('Malformed', pipe, payload.length);
        return fx.close(pipe, 'ProtocolViolation');
      }
      if (hops > this.#hopLimit) return fx.discard('HopLimit', pipe, payload.length);
      body = payload.subarray(TAG_BYTES);
    }
    if (!this.#queue.hasRoom(body.length)) return fx.discard('QueueFull', pipe, payload.length);
    this.#queue.push({ payload: body, pipe });
  }

  /** @override @type {Pattern['clear']} */
  clear(fx) {
    for (const { payload, pipe } of this.#queue.takeWhere(() => true)) fx.discard('Closed', pipe, payload.length);
  }
}
