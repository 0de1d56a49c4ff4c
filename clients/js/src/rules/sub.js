/** SUB (0021): takes what starts with a subscribed topic. */

import { Pattern } from './pattern.js';
import { Queue } from './queue.js';
import { Topics } from './topics.js';

/** @typedef {import('./pattern.js').PipeId} PipeId */
/** @typedef {import('./pattern.js').Effects} Effects */

/**
 * Subscriptions never travel: the publisher sends everything, and what does not fit is dropped here.
 * A full queue drops its oldest message. Nothing is ever sent, or a nanomsg publisher would end its
 * process.
 */
export class Sub extends Pattern {
  #topics = new Topics();
  /** @type {Queue<{ payload: Uint8Array, pipe: PipeId }>} */
  #queue;

  /** @param {import('./options.js').SocketOptions} options */
  constructor(options) {
    super();
    this.#queue = new Queue(options.recvMessages, options.recvBytes);
  }

  /**
   * Lets messages in that start with `topic`; an empty one lets in all.
   * @param {Uint8Array} topic
   */
  subscribe(topic) {
    this.#topics.insert(topic);
  }

  /**
   * Takes a subscription back. What waits and fits no other is discarded. False: there was none.
   * @param {Uint8Array} topic
   * @param {Effects} fx
   */
  unsubscribe(topic, fx) {
    if (!this.#topics.remove(topic)) return false;
    for (const message of this.#queue.takeWhere((message) => !this.#topics.matches(message.payload))) {
      fx.discard('Cancelled', message.pipe, message.payload.length);
    }
    return true;
  }

  take() {
    return this.#queue.shift()?.payload;
  }

  /** @override @type {Pattern['recv']} */
  recv(_now, pipe, payload, fx) {
    if (!this.#topics.matches(payload)) return fx.discard('NotSubscribed', pipe, payload.length);
    while (!this.#queue.hasRoom(payload.length)) {
      const oldest = this.#queue.shift();
      if (oldest) fx.discard('QueueFull', oldest.pipe, oldest.payload.length);
    }
    this.#queue.push({ payload, pipe });
  }

  /** @override @type {Pattern['clear']} */
  clear(fx) {
    for (const { payload, pipe } of this.#queue.takeWhere(() => true)) fx.discard('Closed', pipe, payload.length);
  }
}
