/**
 * Peers: the attached pipes, the room each has, and whose turn it is.
 *
 * Room is a credit in messages and bytes: used when a pipe is picked, and given back with `drained`
 * once the browser has taken the message. So a refusal comes before anything has moved.
 */

/** @typedef {import('./pattern.js').PipeId} PipeId */
/** @typedef {{ messages: number, bytes: number }} Used */

export class Peers {
  /**
   * In the order of their turns.
   * @type {Map<PipeId, Used>}
   */
  #pipes = new Map();
  #maxMessages;
  #maxBytes;

  /**
   * @param {number} maxMessages per pipe
   * @param {number} maxBytes per pipe; a single message always has room
   */
  constructor(maxMessages, maxBytes) {
    this.#maxMessages = maxMessages;
    this.#maxBytes = maxBytes;
  }

  get size() {
    return this.#pipes.size;
  }

  /**
   * All pipes.
   * @returns {PipeId[]}
   */
  pipes() {
    return [...this.#pipes.keys()];
  }

  /** @param {PipeId} pipe */
  has(pipe) {
    return this.#pipes.has(pipe);
  }

  /** @param {PipeId} pipe */
  attach(pipe) {
    this.#pipes.set(pipe, { messages: 0, bytes: 0 });
  }

  /**
   * Whether it was there.
   * @param {PipeId} pipe
   */
  detach(pipe) {
    return this.#pipes.delete(pipe);
  }

  /**
   * @param {PipeId} pipe
   * @param {number} messages
   * @param {number} bytes
   */
  drained(pipe, messages, bytes) {
    const used = this.#pipes.get(pipe);
    if (!used) return;
    used.messages -= messages;
    used.bytes -= bytes;
  }

  /**
   * Uses the room of this pipe, if it has it.
   * @param {PipeId} pipe
   * @param {number} bytes
   */
  reserve(pipe, bytes) {
    const used = this.#pipes.get(pipe);
    if (!used) return false;
    const has = used.messages < this.#maxMessages && used.bytes + bytes <= this.#maxBytes;
    if (!has && used.messages > 0) return false;
    used.messages += 1;
    used.bytes += bytes;
    return true;
  }

  /**
   * The next pipe in turn that has room; its room is used.
   * @param {number} bytes
   * @returns {PipeId | undefined}
   */
  pick(bytes) {
    for (const [pipe, used] of this.#pipes) {
      if (!this.reserve(pipe, bytes)) continue;
      // To the end of the line.
      this.#pipes.delete(pipe);
      this.#pipes.set(pipe, used);
      return pipe;
    }
    return undefined;
  }

  /**
   * Why nobody was picked.
   * @returns {import('./pattern.js').Refusal}
   */
  refusal() {
    return this.size === 0 ? 'NoPeer' : 'Full';
  }
}
