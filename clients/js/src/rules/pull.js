/** PULL (0051): takes jobs from whoever has some. */

import { Pattern } from './pattern.js';
import { Queue } from './queue.js';

/** Never sends. A page cannot make its browser stop reading, so a job without room is lost, counted. */
export class Pull extends Pattern {
  /** @type {Queue<{ payload: Uint8Array, pipe: import('./pattern.js').PipeId }>} */
  #queue;

  /** @param {import('./options.js').SocketOptions} options */
  constructor(options) {
    super();
    this.#queue = new Queue(options.recvMessages, options.recvBytes);
  }

  take() {
    return this.#queue.shift()?.payload;
  }

  /** @override @type {Pattern['recv']} */
  recv(_now, pipe, payload, fx) {
    if (!this.#queue.hasRoom(payload.length)) return fx.discard('QueueFull', pipe, payload.length);
    this.#queue.push({ payload, pipe });
  }

  /** @override @type {Pattern['clear']} */
  clear(fx) {
    for (const { payload, pipe } of this.#queue.takeWhere(() => true)) fx.discard('Closed', pipe, payload.length);
  }
}
