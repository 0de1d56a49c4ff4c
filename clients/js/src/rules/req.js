/** REQ (0030): asks one peer after the other until somebody replies. */

import { Pattern, discardUnsent } from './pattern.js';
import { Peers } from './peers.js';
import { TAG_BYTES, join, nextId, readTag, tagBytes } from './wire.js';

/** @typedef {import('./pattern.js').PipeId} PipeId */
/** @typedef {import('./pattern.js').Effects} Effects */
/** @typedef {import('./pattern.js').Refusal} Refusal */
/** @typedef {import('./ledger.js').DetachReasonName} DetachReasonName */

/**
 * A request on its way.
 *
 *              ask, to a peer with room                      reply
 *     (none) ──────────────────────────────▶ InFlight ────────────────────▶ settled
 *                        pipe lost, or time past │  ▲ a peer has room
 *                                                ▼  │
 *                                            WaitsForRoom ── reply, late ─▶ settled
 *
 *     cancel, from anywhere: gone, and a late reply is dropped
 *     pipe lost and resending is off: settled as ConnectionLost
 *     pipe lost in the same way once too often: settled as Rejected
 *
 * @typedef {object} Request
 * @property {Uint8Array} payload as it goes out each time, id and body
 * @property {PipeId | undefined} pipe that carries it; undefined: it waits for room
 * @property {number} resendAt when it goes out again; Infinity: never
 * @property {DetachReasonName | undefined} lost why the latest pipes went away with it
 * @property {number} lostTimes how many did so in a row
 */

/**
 * Any number of requests at once, each with an id of its own. When the pipe of one is lost, or the
 * resend time has passed, it goes to the next peer with the same id and the same bytes; what waits
 * to be sent again comes before anything new. The reply may come over any pipe.
 */
export class Req extends Pattern {
  #peers;
  #nextId;
  /**
   * By id, in the order in which they were asked.
   * @type {Map<number, Request>}
   */
  #requests = new Map();
  /**
   * Ids that wait for room to be sent again, the oldest first.
   * @type {Set<number>}
   */
  #resends = new Set();
  #options;

  /**
   * @param {import('./options.js').SocketOptions} options
   * @param {number} seed any 32 bits; random, so that replies to a former page find nobody
   */
  constructor(options, seed) {
    super();
    this.#options = options;
    this.#peers = new Peers(options.outboxMessages, options.outboxBytes);
    this.#nextId = nextId(seed >>> 0);
  }

  /**
   * A new request; its id, or why it was not taken.
   * @param {number} now
   * @param {Uint8Array} body
   * @param {Effects} fx
   * @returns {{ id: number } | { refusal: Refusal }}
   */
  ask(now, body, fx) {
    if (this.#requests.size >= this.#options.openRequests) return { refusal: 'Full' };
    const pipe = this.#resends.size > 0 ? undefined : this.#peers.pick(TAG_BYTES + body.length);
    if (pipe === undefined) return { refusal: this.#peers.refusal() };
    const id = this.#freeId();
    const payload = join(tagBytes(id), body);
    this.#requests.set(id, {
      payload,
      pipe,
      resendAt: this.#resendAt(now),
      lost: undefined,
      lostTimes: 0,
    });
    fx.transmit(pipe, payload);
    return { id };
  }

  /**
   * Nobody waits for this request any more. Nothing tells the peer.
   * @param {number} now
   * @param {number} id
   * @param {Effects} fx
   */
  cancel(now, id, fx) {
    const request = this.#requests.get(id);
    if (!request) return;
    this.#requests.delete(id);
    if (!this.#resends.delete(id)) return;
    fx.discard('Cancelled', undefined, request.payload.length);
    this.#placeResends(now, fx);
  }

  /** @override @type {Pattern['attach']} */
  attach(now, pipe, fx) {
    this.#peers.attach(pipe);
    this.#placeResends(now, fx);
    return undefined;
  }

  /** @override @type {Pattern['detach']} */
  detach(now, pipe, why, unsent, fx) {
    if (!this.#peers.detach(pipe)) return;
    const neverLeft = new Map(unsent.map((payload) => [readTag(payload) ?? 0, payload]));
    for (const [id, request] of this.#requests) {
      if (request.pipe !== pipe) continue;
      if (this.#options.resendTimeMs === 0) {
        this.#end(id, 'ConnectionLost', fx);
        continue;
      }
      // What never left cannot be why the pipe died.
      if (!neverLeft.delete(id) && this.#blame(request, why)) {
        this.#end(id, 'Rejected', fx);
        continue;
      }
      request.pipe = undefined;
      this.#resends.add(id);
    }
    // Copies of requests that are settled, cancelled, or on another pipe by now.
    discardUnsent(pipe, [...neverLeft.values()], fx);
    this.#placeResends(now, fx);
  }

  /** @override @type {Pattern['drained']} */
  drained(now, pipe, messages, bytes, fx) {
    this.#peers.drained(pipe, messages, bytes);
    this.#placeResends(now, fx);
  }

  /** @override @type {Pattern['recv']} */
  recv(now, pipe, payload, fx) {
    const id = readTag(payload);
    if (id === undefined) {
      fx.discard('Malformed', pipe, payload.length);
      return fx.close(pipe, 'ProtocolViolation');
    }
    if (!this.#requests.has(id)) return fx.discard('NoRequest', pipe, payload.length);
    this.#end(id, payload.subarray(TAG_BYTES), fx);
    if (this.#resends.delete(id)) this.#placeResends(now, fx);
  }

  /** @override */
  deadline() {
    // Each request is put behind the others when it goes out, all wait equally long: the first that
    // is in flight is the next.
    for (const request of this.#requests.values()) {
      if (request.pipe !== undefined) return request.resendAt === Infinity ? undefined : request.resendAt;
    }
    return undefined;
  }

  /**
   * Sends overdue requests again, each one resend time after it last went out.
   * @override @type {Pattern['expire']}
   */
  expire(now, fx) {
    for (const [id, request] of this.#requests) {
      if (request.pipe === undefined) continue;
      if (request.resendAt > now) break;
      request.pipe = undefined;
      // A pipe has carried it for so long that it is not what ends pipes.
      request.lostTimes = 0;
      this.#resends.add(id);
    }
    this.#placeResends(now, fx);
  }

  /** @override */
  waiting() {
    return this.#resends.size;
  }

  /** @override @type {Pattern['clear']} */
  clear(fx) {
    for (const id of this.#resends) {
      fx.discard('Closed', undefined, this.#requests.get(id)?.payload.length ?? 0);
    }
    this.#resends.clear();
    this.#requests.clear();
  }

  /**
   * @param {number} id
   * @param {Uint8Array | 'ConnectionLost' | 'Rejected'} outcome
   * @param {Effects} fx
   */
  #end(id, outcome, fx) {
    this.#requests.delete(id);
    fx.settle(id, outcome);
  }

  /**
   * A pipe went away for `why` with this in flight on it. Whether that was once too often.
   * @param {Request} request
   * @param {DetachReasonName} why
   */
  #blame(request, why) {
    // What this side closed says nothing about the request.
    if (why === 'ClosedHere') return false;
    request.lostTimes = request.lost === why ? request.lostTimes + 1 : 1;
    request.lost = why;
    return request.lostTimes >= this.#options.resendFailures;
  }

  /**
   * Gives requests that wait to whoever has room.
   * @param {number} now
   * @param {Effects} fx
   */
  #placeResends(now, fx) {
    for (const id of this.#resends) {
      const request = this.#requests.get(id);
      const pipe = request && this.#peers.pick(request.payload.length);
      if (request === undefined || pipe === undefined) return;
      this.#resends.delete(id);
      // Behind the others: see `deadline`.
      this.#requests.delete(id);
      this.#requests.set(id, request);
      request.pipe = pipe;
      request.resendAt = this.#resendAt(now);
      fx.resent();
      fx.transmit(pipe, request.payload);
    }
  }

  /** @param {number} now */
  #resendAt(now) {
    return this.#options.resendTimeMs === 0 ? Infinity : now + this.#options.resendTimeMs;
  }

  /** Those in use are passed over: one may live as long as it takes to count through all. */
  #freeId() {
    while (this.#requests.has(this.#nextId)) this.#nextId = nextId(this.#nextId);
    const id = this.#nextId;
    this.#nextId = nextId(id);
    return id;
  }
}
