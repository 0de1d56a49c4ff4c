/** PUB (0020): every message to every subscriber. */

import { Pattern, discardUnsent } from './pattern.js';
import { Peers } from './peers.js';

/** Never waits: a subscriber whose outbox is full loses its oldest message. */
export class Pub extends Pattern {
  #peers;

  /** @param {import('./options.js').SocketOptions} options */
  constructor(options) {
    super();
    this.#peers = new Peers(options.outboxMessages, options.outboxBytes);
  }

  /**
   * @param {number} _now
   * @param {Uint8Array} body
   * @param {import('./pattern.js').Effects} fx
   * @returns {undefined} it is never refused
   */
  put(_now, body, fx) {
    if (this.#peers.size === 0) fx.discard('NoPeer', undefined, body.length);
    for (const pipe of this.#peers.pipes()) {
      let room = this.#peers.reserve(pipe, body.length);
      while (!room) {
        const oldest = fx.dropOldest(pipe);
        // The browser has all that there was: then it is the new message that is lost.
        if (!oldest) break;
        fx.discard('SlowSubscriber', pipe, oldest.length);
        this.#peers.drained(pipe, 1, oldest.length);
        room = this.#peers.reserve(pipe, body.length);
      }
      if (room) fx.transmit(pipe, body);
      else fx.discard('SlowSubscriber', pipe, body.length);
    }
    return undefined;
  }

  /** @override @type {Pattern['attach']} */
  attach(_now, pipe) {
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

  /**
   * A subscriber has nothing to say, and is sent away, as in NNG.
   * @override @type {Pattern['recv']}
   */
  recv(_now, pipe, payload, fx) {
    fx.discard('Unexpected', pipe, payload.length);
    fx.close(pipe, 'ProtocolViolation');
  }
}
