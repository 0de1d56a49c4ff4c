/**
 * A pipe: one attached connection, its outbox, and what the browser holds of it.
 *
 *     outbox ── pump, while the browser holds less than `aheadBytes` ──▶ WebSocket ──▶ network
 *
 *     Open ── close ──▶ Closing ── the browser tells of the end ──▶ Ended
 *       └── the browser tells of the end ──────────────────────────▲
 */

import { Fifo } from '../rules/queue.js';
import { codeOfClose } from '../rules/wire.js';

/** @typedef {import('../rules/ledger.js').DetachReasonName} DetachReasonName */

/**
 * @typedef {object} PipeHost
 * @property {import('./world.js').World} world
 * @property {number} aheadBytes
 * @property {(pipe: Pipe, data: string | ArrayBuffer) => void} received
 * @property {(pipe: Pipe, code: number, text: string) => void} ended not after `close`
 * @property {(pipe: Pipe) => void} wantsPump the browser may have room again
 */

/** Browsers do not tell when they have sent something, so we look, less and less often. */
const LOOK_FIRST_MS = 1;
const LOOK_LAST_MS = 50;

const OPEN = 1;

export class Pipe {
  #ws;
  #host;
  /** @type {'Open' | 'Closing' | 'Ended'} */
  #state = 'Open';
  /** @type {Fifo<Uint8Array>} */
  #outbox = new Fifo();
  /**
   * Sizes of what the browser was given and may still hold, the oldest first.
   * @type {Fifo<number>}
   */
  #held = new Fifo();
  #heldBytes = 0;
  #lookMs = LOOK_FIRST_MS;
  /** @type {(() => void) | undefined} */
  #stopLooking;
  #tellEnded = () => {};

  /**
   * @param {number} id
   * @param {string} url
   * @param {WebSocket} ws open
   * @param {PipeHost} host
   */
  constructor(id, url, ws, host) {
    this.id = id;
    this.url = url;
    this.attachedAt = host.world.now();
    /**
     * Resolved when the browser has told of the end.
     * @type {Promise<void>}
     */
    this.whenEnded = new Promise((resolve) => (this.#tellEnded = resolve));
    this.#ws = ws;
    this.#host = host;
    ws.onmessage = (event) => this.#state === 'Open' && host.received(this, event.data);
    ws.onclose = (event) => this.#ended(event.code, event.reason);
  }

  /** Messages that the browser has not taken. */
  get waiting() {
    return this.#outbox.length;
  }

  /** Messages that the browser may still hold, in part or whole. */
  get held() {
    this.#forgetSent();
    return this.#held.length;
  }

  /** @param {Uint8Array} payload */
  push(payload) {
    this.#outbox.push(payload);
  }

  dropOldest() {
    return this.#outbox.shift();
  }

  /** Takes all that the browser has not taken. */
  takeUnsent() {
    return this.#outbox.drain();
  }

  /** Gives the browser what it shall hold; returns how much that was. */
  pump() {
    let messages = 0;
    let bytes = 0;
    // In another state the browser would take everything and throw it away.
    while (this.#state === 'Open' && this.#ws.readyState === OPEN && this.#ws.bufferedAmount < this.#host.aheadBytes) {
      const payload = this.#outbox.shift();
      if (!payload) break;
      this.#ws.send(payload);
      this.#held.push(payload.length);
      this.#heldBytes += payload.length;
      messages += 1;
      bytes += payload.length;
    }
    this.#forgetSent();
    if (messages > 0) this.#lookMs = LOOK_FIRST_MS;
    if (this.#state === 'Open' && this.#outbox.length > 0) this.#look();
    return { messages, bytes };
  }

  /**
   * Says goodbye. What the browser holds goes out before that.
   * @param {DetachReasonName} reason
   */
  close(reason) {
    if (this.#state !== 'Open') return;
    this.#state = 'Closing';
    this.#stopLooking?.();
    this.#ws.close(codeOfClose(reason));
  }

  #look() {
    if (this.#stopLooking) return;
    this.#stopLooking = this.#host.world.after(this.#lookMs, () => {
      this.#stopLooking = undefined;
      this.#lookMs = Math.min(2 * this.#lookMs, LOOK_LAST_MS);
      this.#host.wantsPump(this);
    });
  }

  #forgetSent() {
    const still = this.#ws.bufferedAmount;
    while (this.#held.length > 0 && this.#heldBytes - (this.#held.peek() ?? 0) >= still) {
      this.#heldBytes -= this.#held.shift() ?? 0;
    }
  }

  /**
   * @param {number} code
   * @param {string} text
   */
  #ended(code, text) {
    const was = this.#state;
    this.#state = 'Ended';
    this.#stopLooking?.();
    this.#tellEnded();
    if (was === 'Open') this.#host.ended(this, code, text);
  }
}
