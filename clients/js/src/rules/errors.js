/**
 * Errors: one class per operation, with a `kind` that says who must act. The kinds are named as the
 * variants in the Rust library. A wait that an AbortSignal ended rejects with the signal's reason
 * instead, as everywhere in JavaScript.
 */

const SEND = /** @type {const} */ ({
  Closed: 'socket is closed',
  TimedOut: 'no peer took the message in time',
  Full: 'every outbox is full, and so is the line of those who wait',
  NoPeer: 'no peer is connected',
  State: 'there is no request to reply to',
});

const RECV = /** @type {const} */ ({
  Closed: 'socket is closed',
  TimedOut: 'no message came in time',
  ConnectionLost: 'the connection that carried the request is lost',
  Rejected: 'the peer ended the connection each time it got this request',
});

const DIAL = /** @type {const} */ ({
  Address: 'the address cannot be dialled',
  // Told apart nowhere: browsers hide the answer from the page, so that it cannot scan networks.
  Connect: 'nobody is there, or the server refused the path, the origin or the protocol',
  TimedOut: 'timed out',
  Refused: 'it is not a peer of this socket',
  Closed: 'the socket or the dialer is closed',
});

/** Why a message was not sent. */
export class SendError extends Error {
  /**
   * @param {keyof typeof SEND} kind
   * @param {Uint8Array} body the message, back
   */
  constructor(kind, body) {
    super(SEND[kind]);
    this.name = 'SendError';
    this.kind = kind;
    this.body = body;
  }

  /** Whether the same call may succeed later without anything being changed. */
  get isTransient() {
    return this.kind !== 'Closed' && this.kind !== 'State';
  }
}

/** Why no message was received. */
export class RecvError extends Error {
  /** @param {keyof typeof RECV} kind */
  constructor(kind) {
    super(RECV[kind]);
    this.name = 'RecvError';
    this.kind = kind;
  }

  /** Whether the same call may succeed later without anything being changed. */
  get isTransient() {
    return this.kind === 'TimedOut';
  }
}

/** Why a request got no reply: `cause` is a SendError when no peer ever took it. */
export class RequestError extends Error {
  /** @param {SendError | RecvError} cause */
  constructor(cause) {
    super(`request not ${cause instanceof SendError ? 'sent' : 'answered'}: ${cause.message}`, { cause });
    this.name = 'RequestError';
    this.kind = cause.kind;
    /** Declared again, as not every library of types knows it. */
    this.cause = cause;
  }

  /** Whether the same call may succeed later without anything being changed. */
  get isTransient() {
    return this.cause.isTransient;
  }
}

/** Why a dialer got no connection. */
export class DialError extends Error {
  /**
   * @param {keyof typeof DIAL} kind
   * @param {string} url whom we dialled
   * @param {{ reason?: import('./ledger.js').DetachReasonName, why?: string, cause?: unknown }} more
   */
  constructor(kind, url, more = {}) {
    super(`cannot connect to ${url}: ${more.why ?? DIAL[kind]}`, { cause: more.cause });
    this.name = 'DialError';
    this.kind = kind;
    this.url = url;
    /** Of those who were refused: why. */
    this.reason = more.reason;
  }

  /** Whether the same call may succeed later without anything being changed here. */
  get isTransient() {
    return this.kind === 'Connect' || this.kind === 'TimedOut' || this.reason === 'Busy';
  }
}

/** An unsubscribe of what was never subscribed. */
export class NotSubscribed extends Error {
  constructor() {
    super('there is no such subscription');
    this.name = 'NotSubscribed';
  }
}
