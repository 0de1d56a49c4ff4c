/**
 * The ledger: why messages were dropped, why connections went away, and how often. The names are
 * those of the Rust library.
 */

/** Why a message was discarded. Each discard is counted once, under one of these. */
export const Dropped = Object.freeze(
  /** @type {const} */ ({
    /** The peer sent what its protocol does not allow; its connection is closed. */
    Malformed: 'malformed payload',
    /** The message had been through as many devices as the hop limit allows. */
    HopLimit: 'hop limit reached',
    /** A reply whose request is not, or no longer, waiting. */
    NoRequest: 'no such request',
    /** No subscription matches. */
    NotSubscribed: 'not subscribed',
    /** The receive queue was full. A page cannot make its browser stop reading. */
    QueueFull: 'receive queue full',
    /** The outbox of a subscriber was full; its oldest message made room. */
    SlowSubscriber: 'slow subscriber',
    /** The outbox of the addressed peer was full, and the pattern does not wait. */
    OutboxFull: 'outbox full',
    /** Nobody was attached who could have had it. */
    NoPeer: 'no peer',
    /** The peer it was for is gone, with the message not handed to the browser. */
    PipeLost: 'connection lost',
    /** The application gave up before this was taken. */
    Cancelled: 'cancelled',
    /** The peer sent data on a socket that only sends. */
    Unexpected: 'data on a socket that only sends',
    /** The message was larger than the limit; the connection is closed. */
    TooLarge: 'message over the size limit',
    /** It was still waiting when the socket was closed. */
    Closed: 'socket closed',
  }),
);

/** Why a connection went away, or never became a pipe. */
export const DetachReason = Object.freeze(
  /** @type {const} */ ({
    /** The peer closed the connection. */
    PeerClosed: 'closed by the peer',
    /** The connection broke. */
    ConnectionLost: 'connection lost',
    /** The server answered with another sub-protocol, or none. */
    WrongProtocol: 'peer has an incompatible protocol',
    /** A frame or a payload broke the protocol. */
    ProtocolViolation: 'peer broke the protocol',
    /** A message was over the size limit: the peer's over ours, or ours over that of the peer. */
    MessageTooLarge: 'message over the size limit',
    /** The socket has its one peer already (PAIR). */
    Busy: 'socket has its peer already',
    /** The application closed the dialer or the socket. */
    ClosedHere: 'closed here',
  }),
);

/** @typedef {keyof typeof Dropped} DroppedName */
/** @typedef {keyof typeof DetachReason} DetachReasonName */

/** What a socket counts. All numbers are totals since the socket was made. */
export class Ledger {
  /** Messages accepted from the application, and their bytes without headers. */
  sentMessages = 0;
  sentBytes = 0;
  /** Messages that came in from peers, whatever became of them; bytes with headers. */
  receivedMessages = 0;
  receivedBytes = 0;
  /** Messages handed to the application. */
  deliveredMessages = 0;
  /** Requests or jobs that were sent again, to the same peer or another. */
  resentMessages = 0;
  /**
   * Messages that the browser still held, in part or whole, when their connection was cut. What it
   * had given to the network by then may be lost as well; no page can tell.
   */
  unknownMessages = 0;
  /** Pipes that were attached. */
  attachedPipes = 0;
  /** Connections that were refused before they became pipes. */
  refusedPipes = 0;
  /** @type {Partial<Record<DroppedName, number>>} Discarded messages by reason. */
  dropped = {};

  /**
   * Counts a discarded message: the one place where that happens.
   * @param {DroppedName} why
   */
  countDropped(why) {
    this.dropped[why] = (this.dropped[why] ?? 0) + 1;
  }

  /**
   * A copy that does not change any more.
   * @returns {Ledger}
   */
  snapshot() {
    return Object.assign(new Ledger(), this, { dropped: { ...this.dropped } });
  }
}
