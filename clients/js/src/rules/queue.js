/**
 * Fifo: first in, first out, without the cost of shifting an array. Queue: a Fifo of payloads that
 * is bounded in messages and bytes.
 */

/** Taken places that are not worth moving the rest for. */
const TOLERATED = 64;

/** @template T */
export class Fifo {
  /** @type {(T | undefined)[]} */
  #items = [];
  #head = 0;

  get length() {
    return this.#items.length - this.#head;
  }

  /** @param {T} item */
  push(item) {
    this.#items.push(item);
  }

  /**
   * The first, without taking it.
   * @returns {T | undefined}
   */
  peek() {
    return this.#items[this.#head];
  }

  /** @returns {T | undefined} */
  shift() {
    if (this.length === 0) return undefined;
    const item = this.#items[this.#head];
    this.#items[this.#head++] = undefined;
    if (this.#head > TOLERATED && 2 * this.#head > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }

  /**
   * Takes all that `goes` says yes to, the oldest first.
   * @param {(item: T) => boolean} goes
   */
  takeWhere(goes) {
    const all = /** @type {T[]} */ (this.#items.slice(this.#head));
    const gone = /** @type {T[]} */ ([]);
    this.#items = all.filter((item) => !goes(item) || !gone.push(item));
    this.#head = 0;
    return gone;
  }

  /** Takes all. */
  drain() {
    return this.takeWhere(() => true);
  }
}

/**
 * What waits for the application. A page cannot make its browser stop reading, so what has no room
 * is lost: the caller decides which, and counts it.
 *
 * @template {{ payload: Uint8Array, pipe: number }} T
 */
export class Queue {
  /** @type {Fifo<T>} */
  #fifo = new Fifo();
  #bytes = 0;
  #maxMessages;
  #maxBytes;

  /**
   * @param {number} maxMessages
   * @param {number} maxBytes
   */
  constructor(maxMessages, maxBytes) {
    this.#maxMessages = maxMessages;
    this.#maxBytes = maxBytes;
  }

  get length() {
    return this.#fifo.length;
  }

  get bytes() {
    return this.#bytes;
  }

  /**
   * Whether so many bytes fit; a single message always does.
   * @param {number} bytes
   */
  hasRoom(bytes) {
    if (this.length === 0) return true;
    return this.length < this.#maxMessages && this.#bytes + bytes <= this.#maxBytes;
  }

  /** @param {T} item */
  push(item) {
    this.#fifo.push(item);
    this.#bytes += item.payload.length;
  }

  shift() {
    const item = this.#fifo.shift();
    if (item) this.#bytes -= item.payload.length;
    return item;
  }

  /** @param {(item: T) => boolean} goes */
  takeWhere(goes) {
    const gone = this.#fifo.takeWhere(goes);
    for (const item of gone) this.#bytes -= item.payload.length;
    return gone;
  }
}
