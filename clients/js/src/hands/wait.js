/**
 * Waits: promises with a timeout and an AbortSignal, and lines of them, first come first served.
 */

/** @typedef {import('./world.js').World} World */
/** @typedef {{ timeoutMs?: number, signal?: AbortSignal }} Limits */

/**
 * One promise, and what may end it early. Whoever gives up leaves: nothing is done for him later.
 * @template T
 */
export class Wait {
  /** @type {(value: T) => void} */
  #resolve = () => {};
  /** @type {(why: unknown) => void} */
  #reject = () => {};
  #stop = () => {};
  #over = false;

  /**
   * @param {World} world
   * @param {Limits} limits no timeout, 0 or Infinity: for ever
   * @param {() => unknown} timedOut the error of a timeout
   */
  constructor(world, { timeoutMs = 0, signal }, timedOut) {
    /** @type {Promise<T>} */
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    /**
     * Called when it ends early.
     * @type {() => void}
     */
    this.left = () => {};
    if (signal?.aborted) {
      this.#giveUp(signal.reason);
      return;
    }
    const aborted = () => this.#giveUp(signal?.reason);
    signal?.addEventListener('abort', aborted, { once: true });
    const cancel =
      timeoutMs > 0 && timeoutMs < Infinity ? world.after(timeoutMs, () => this.#giveUp(timedOut())) : () => {};
    this.#stop = () => {
      cancel();
      signal?.removeEventListener('abort', aborted);
    };
  }

  get isOver() {
    return this.#over;
  }

  /** @param {T} value */
  resolve(value) {
    if (this.#end()) this.#resolve(value);
  }

  /** @param {unknown} why */
  reject(why) {
    if (this.#end()) this.#reject(why);
  }

  /** @param {unknown} why */
  #giveUp(why) {
    if (!this.#end()) return;
    this.#reject(why);
    this.left();
  }

  #end() {
    if (this.#over) return false;
    this.#over = true;
    this.#stop();
    return true;
  }
}

/**
 * Those who wait for the same thing. Each has an attempt, which is made again whenever something has
 * changed, and answers whether it went well.
 */
export class Line {
  /** @type {Set<{ wait: Wait<any>, attempt: () => boolean, closed: () => unknown }>} */
  #waiting = new Set();
  #someoneLeft;

  /**
   * @param {() => void} [someoneLeft] told when one gives up: those behind may have waited for him alone
   */
  constructor(someoneLeft = () => {}) {
    this.#someoneLeft = someoneLeft;
  }

  get length() {
    return this.#waiting.size;
  }

  /**
   * @param {Wait<any>} wait
   * @param {() => boolean} attempt true: it went well, and has told the wait, now or later
   * @param {() => unknown} closed the error when the line is closed
   */
  join(wait, attempt, closed) {
    if (wait.isOver) return;
    const place = { wait, attempt, closed };
    this.#waiting.add(place);
    wait.left = () => {
      this.#waiting.delete(place);
      this.#someoneLeft();
    };
  }

  /** Attempts, the first of the line first, until one fails: those behind it have to wait, too. */
  serve() {
    for (const place of this.#waiting) {
      if (!place.attempt()) return;
      this.#waiting.delete(place);
    }
  }

  /** Attempts for all, as where each waits for something else. */
  serveAll() {
    for (const place of this.#waiting) {
      if (place.attempt()) this.#waiting.delete(place);
    }
  }

  /** Everybody has waited in vain. */
  fail() {
    const all = [...this.#waiting];
    this.#waiting.clear();
    for (const { wait, closed } of all) wait.reject(closed());
  }
}
