/**
 * Options: every bound and every timer, with its default and its unit. A value outside its range is
 * moved to the nearest end of it; a name that nobody knows is an error, since it is a slip.
 */

const MIB = 1024 * 1024;

/** Of a socket. */
export const SOCKET_DEFAULTS = Object.freeze({
  /** How long `send` waits for room, and `request` for its reply. 0: for ever. */
  sendTimeoutMs: 0,
  /** How long `recv` waits. 0: for ever. */
  recvTimeoutMs: 0,
  /** Messages that may wait for one peer, not yet handed to the browser. At least 1. */
  outboxMessages: 1024,
  /** Bytes that may wait for one peer, headers included. A single message may always wait. */
  outboxBytes: MIB,
  /** Bytes handed to the browser ahead of its sending them: what `bufferedAmount` may show. */
  aheadBytes: 256 * 1024,
  /** PUSH: messages that may wait for one peer, so that others get the rest. At least 1. */
  pushWindowMessages: 128,
  /** Calls of `send` or `request` that may wait for room at once; more fail with `Full`. */
  waitingSends: 1024,
  /** REQ: requests that may wait for their replies at once; more wait to be sent. */
  openRequests: 1024,
  /** Messages that may wait for the application; more are dropped. At least 1. */
  recvMessages: 1024,
  /** Bytes that may wait for the application. A single message may always wait. */
  recvBytes: 4 * MIB,
  /** REP: requests that may wait per peer. At least 1. */
  requestsPerPipe: 64,
  /** The largest message accepted, header included; a larger one ends its connection. */
  maxMessageBytes: 64 * MIB,
  /** REQ: when a request without a reply is sent again. 0: never; it fails with its connection. */
  resendTimeMs: 60_000,
  /** REQ: connections lost in the same way with the same request, until the request fails. */
  resendFailures: 3,
  /** REP and PAIR v1: how many hops a message may make; 1 to 15. */
  hopLimit: 8,
});

/** Of a dialer. */
export const DIAL_DEFAULTS = Object.freeze({
  /** Return at once and keep trying, instead of waiting for the first connection. */
  background: false,
  /** The first wait before another attempt: random, below this. */
  reconnectMinMs: 100,
  /** Waits double up to this. */
  reconnectMaxMs: 10_000,
  /** How long one attempt may take. */
  connectTimeoutMs: 10_000,
});

/** @typedef {{ -readonly [K in keyof typeof SOCKET_DEFAULTS]: number }} SocketOptions */
/** @typedef {{ -readonly [K in keyof typeof DIAL_DEFAULTS]: typeof DIAL_DEFAULTS[K] }} DialOptions */

const AT_LEAST_ONE = /** @type {const} */ ([
  'outboxMessages',
  'aheadBytes',
  'pushWindowMessages',
  'openRequests',
  'recvMessages',
  'requestsPerPipe',
  'maxMessageBytes',
  'resendFailures',
  'hopLimit',
]);

/**
 * @param {Partial<SocketOptions>} [given]
 * @returns {SocketOptions} all of them, inside their ranges
 */
export function socketOptions(given = {}) {
  /** @type {SocketOptions} */
  const options = complete(SOCKET_DEFAULTS, given);
  for (const name of AT_LEAST_ONE) options[name] = Math.max(1, options[name]);
  options.hopLimit = Math.min(15, options.hopLimit);
  options.pushWindowMessages = Math.min(options.pushWindowMessages, options.outboxMessages);
  return options;
}

/**
 * @param {Partial<DialOptions>} [given]
 * @returns {DialOptions}
 */
export function dialOptions(given = {}) {
  return complete(DIAL_DEFAULTS, given);
}

/**
 * @template {object} T
 * @param {T} defaults
 * @param {object} given
 * @returns {{ -readonly [K in keyof T]: T[K] }}
 */
function complete(defaults, given) {
  const options = /** @type {any} */ ({ ...defaults });
  for (const [name, value] of Object.entries(given)) {
    if (!(name in options)) throw new TypeError(`there is no option ${name}`);
    if (value === undefined) continue;
    if (typeof value !== typeof options[name] || Number.isNaN(value)) {
      throw new TypeError(`the option ${name} is a ${typeof options[name]}`);
    }
    options[name] = typeof value === 'number' ? Math.max(0, value) : value;
  }
  return options;
}
