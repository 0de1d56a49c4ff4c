/**
 * How long a dialer waits before it tries again: random in [0, current), doubling from a minimum to
 * a maximum, as the whole family does it. The randomness keeps a thousand pages from coming back in
 * the same millisecond after their server was restarted.
 */
export class Backoff {
  #min;
  #max;
  #current;
  #random;

  /**
   * @param {number} minMs
   * @param {number} maxMs never waits longer, or than `minMs`, if that is larger
   * @param {() => number} random in [0, 1)
   */
  constructor(minMs, maxMs, random) {
    this.#min = minMs;
    this.#max = Math.max(minMs, maxMs);
    this.#current = minMs;
    this.#random = random;
  }

  /** How long to wait this time, in milliseconds. */
  nextWait() {
    const bound = this.#current;
    this.#current = Math.min(2 * bound, this.#max);
    return this.#random() * bound;
  }

  /** The connection worked: start again at the minimum. */
  reset() {
    this.#current = this.#min;
  }
}
