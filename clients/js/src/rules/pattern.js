/**
 * What a pattern is: the rules of one side of one protocol. No socket, no timer, no clock and no
 * randomness inside: what happens comes in as calls, with the time where it matters; what is to be
 * done goes out through `fx`. The hands, or the script of a test, do it.
 */

/** @typedef {import('./ledger.js').DroppedName} DroppedName */
/** @typedef {import('./ledger.js').DetachReasonName} DetachReasonName */

/**
 * One attached connection, by its number in the socket.
 * @typedef {number} PipeId
 */

/**
 * Why a message was not taken: nobody has room, or there is nobody.
 * @typedef {'Full' | 'NoPeer'} Refusal
 */

/**
 * @typedef {object} Effects
 * @property {(pipe: PipeId, payload: Uint8Array) => void} transmit Puts a payload into the outbox of
 *   a pipe; its room was used before.
 * @property {(pipe: PipeId) => Uint8Array | undefined} dropOldest Takes the oldest payload out of an
 *   outbox, or nothing when the browser has all.
 * @property {(why: DroppedName, pipe: PipeId | undefined, bytes: number) => void} discard Counts a
 *   message that is gone.
 * @property {(pipe: PipeId, why: DetachReasonName) => void} close Ends a pipe; `detach` follows.
 * @property {() => void} resent Counts a message that goes out again.
 * @property {(id: number, outcome: Uint8Array | 'ConnectionLost' | 'Rejected') => void} settle REQ:
 *   a request came to its end.
 */

/** What most patterns do with most things: nothing. */
export class Pattern {
  /**
   * A connection is there; the answer says whether it becomes a pipe.
   * @param {number} _now
   * @param {PipeId} _pipe
   * @param {Effects} _fx
   * @returns {DetachReasonName | undefined} why not
   */
  attach(_now, _pipe, _fx) {
    return undefined;
  }

  /**
   * A pipe is gone; `unsent` is what the browser had not taken, the oldest first.
   * @param {number} _now
   * @param {PipeId} _pipe
   * @param {DetachReasonName} _why
   * @param {Uint8Array[]} _unsent
   * @param {Effects} _fx
   */
  detach(_now, _pipe, _why, _unsent, _fx) {}

  /**
   * The browser has taken so much out of the outbox of a pipe.
   * @param {number} _now
   * @param {PipeId} _pipe
   * @param {number} _messages
   * @param {number} _bytes
   * @param {Effects} _fx
   */
  drained(_now, _pipe, _messages, _bytes, _fx) {}

  /**
   * A payload came in.
   * @param {number} _now
   * @param {PipeId} _pipe
   * @param {Uint8Array} _payload
   * @param {Effects} _fx
   */
  recv(_now, _pipe, _payload, _fx) {}

  /**
   * When `expire` is to be called.
   * @returns {number | undefined}
   */
  deadline() {
    return undefined;
  }

  /**
   * @param {number} _now
   * @param {Effects} _fx
   */
  expire(_now, _fx) {}

  /** Messages that wait for a peer, in no outbox. */
  waiting() {
    return 0;
  }

  /**
   * The socket closes: what waits for the application, or for a peer, is discarded.
   * @param {Effects} _fx
   */
  clear(_fx) {}
}

/**
 * What a lost pipe leaves behind, where nobody else may have it.
 * @param {PipeId} pipe
 * @param {Uint8Array[]} unsent
 * @param {Effects} fx
 */
export function discardUnsent(pipe, unsent, fx) {
  for (const payload of unsent) fx.discard('PipeLost', pipe, payload.length);
}
