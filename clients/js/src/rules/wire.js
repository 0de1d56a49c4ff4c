/**
 * What SP looks like on WebSocket: names, sub-protocols, close codes, tags. RFC 6455, and sections 3
 * and 5 of the SP wire.
 *
 * One SP message is one binary WebSocket message: header and body, no length, no type.
 *
 *     hop tag   hop tag   id          body
 *    ┌─────────┬─────────┬─────────┬─ ─ ─ ─
 *    │0 31 bits│0 31 bits│1 31 bits│          REQ, REP: 4 bytes each, big-endian; the id ends the list
 *    └─────────┴─────────┴─────────┴─ ─ ─ ─
 *    ┌─────────────────────────────┬─ ─ ─ ─
 *    │00 00 00 hops                │          PAIR v1
 *    └─────────────────────────────┴─ ─ ─ ─
 *                                             all others: the body alone
 */

/** @typedef {import('./ledger.js').DetachReasonName} DetachReasonName */

/** Each protocol of ours and the one that its peer must have, by their names on the wire. */
export const PEER_OF = Object.freeze(
  /** @type {const} */ ({
    pair: 'pair',
    pair1: 'pair1',
    pub: 'sub',
    sub: 'pub',
    req: 'rep',
    rep: 'req',
    push: 'pull',
    pull: 'push',
  }),
);

/** @typedef {keyof typeof PEER_OF} ProtocolName */

/**
 * What a client offers: the protocol of the *server*. One name and no list, in lower case, or NNG
 * and nanomsg refuse it.
 * @param {ProtocolName} ours
 */
export function subProtocol(ours) {
  return `${PEER_OF[ours]}.sp.nanomsg.org`;
}

/** The top bit of a tag: set on ids, clear on the tags of devices. */
const ID = 0x8000_0000;

/** Bytes of a tag, and of the hop count. */
export const TAG_BYTES = 4;

/** The hop count of a message that has come through no device; mangos starts at 0. */
export const FIRST_HOP = 1;

/** The count is in the last byte; more than this breaks the protocol. */
export const MOST_HOPS = 0xff;

/**
 * The tag at `at`, or undefined where there are not four bytes.
 * @param {Uint8Array} bytes
 * @param {number} [at]
 */
export function readTag(bytes, at = 0) {
  if (bytes.length < at + TAG_BYTES) return undefined;
  return ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0;
}

/**
 * @param {number} tag
 * @returns {Uint8Array} its four bytes
 */
export function tagBytes(tag) {
  return Uint8Array.of(tag >>> 24, tag >>> 16, tag >>> 8, tag);
}

/**
 * A payload in memory of its own.
 * @param {Uint8Array} header
 * @param {Uint8Array} body
 */
export function join(header, body) {
  const payload = new Uint8Array(header.length + body.length);
  payload.set(header);
  payload.set(body, header.length);
  return payload;
}

/**
 * Where the body of a request starts: behind the first tag with its top bit set. Looks at no more
 * than `hopLimit` tags, the id among them.
 * @param {Uint8Array} payload
 * @param {number} hopLimit
 * @returns {number | 'Malformed' | 'HopLimit'}
 */
export function backtraceEnd(payload, hopLimit) {
  for (let hop = 0; hop < hopLimit; hop++) {
    const tag = readTag(payload, hop * TAG_BYTES);
    if (tag === undefined) return 'Malformed';
    if (tag >= ID) return (hop + 1) * TAG_BYTES;
  }
  return 'HopLimit';
}

/**
 * The id that follows, inside 0x80000000 to 0xffffffff.
 * @param {number} id
 */
export function nextId(id) {
  return ((id + 1) | ID) >>> 0;
}

/**
 * Why a connection is gone, by the code that the browser tells: 1005 is a close without a code, 1006
 * no close at all.
 * @param {number} code
 * @returns {DetachReasonName}
 */
export function reasonOfClose(code) {
  switch (code) {
    case 1006:
    case 1015:
      return 'ConnectionLost';
    case 1009:
    case 4009:
      return 'MessageTooLarge';
    default:
      return 'PeerClosed';
  }
}

/**
 * The code that tells the peer why. Pages may send only 1000 and 3000 to 4999, so where RFC 6455 has
 * a code of its own it goes out with 3000 added.
 * @param {DetachReasonName} reason
 */
export function codeOfClose(reason) {
  switch (reason) {
    case 'ProtocolViolation':
      return 4002;
    case 'MessageTooLarge':
      return 4009;
    default:
      return 1000;
  }
}
