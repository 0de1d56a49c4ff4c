/** Socket: what all of them can do, and what they share. */

import { Core } from '../hands/core.js';
import { WORLD } from '../hands/world.js';
import { RecvError } from '../rules/errors.js';

/** @typedef {import('../rules/options.js').SocketOptions} SocketOptions */
/** @typedef {import('../hands/world.js').World} World */
/** @typedef {import('../hands/wait.js').Limits} Limits */
/** @typedef {string | ArrayBuffer | ArrayBufferView} Data */

/** Something that happened to a socket. Which fields it has depends on its type. */
export class SocketEvent extends Event {
  /**
   * @param {string} type
   * @param {object} detail
   */
  constructor(type, detail) {
    super(type);
    Object.assign(this, detail);
  }
}

/** @type {(socket: Socket) => Core<any>} */
export let coreOf;

/** What all sockets can do. */
export class Socket extends EventTarget {
  #core;
  /** Events that somebody has asked for; others are not even made. */
  #wanted = new Set();

  static {
    coreOf = (socket) => socket.#core;
  }

  /**
   * @param {import('../rules/wire.js').ProtocolName} protocol
   * @param {Partial<SocketOptions> | undefined} options
   * @param {Partial<World> | undefined} world
   * @param {(options: SocketOptions, world: World) => any} rule
   */
  constructor(protocol, options, world, rule) {
    super();
    const whole = { ...WORLD, ...world };
    /** @type {import('../hands/core.js').Tell} */
    const tell = (type, detail) => {
      if (this.#wanted.has(type)) this.dispatchEvent(new SocketEvent(type, detail));
    };
    this.#core = new Core(protocol, options, whole, (options) => rule(options, whole), tell);
  }

  /**
   * @override
   * @type {EventTarget['addEventListener']}
   */
  addEventListener(type, listener, options) {
    this.#wanted.add(type);
    super.addEventListener(type, listener, options);
  }

  /** The pipes that are attached: their numbers and where they were dialled. */
  get peers() {
    return this.#core.peers;
  }

  /** What was sent, received and dropped until now. */
  stats() {
    return this.#core.ledger.snapshot();
  }

  /**
   * Dials, and keeps the connection up from then on.
   * @param {string} url `ws://` or `wss://`
   * @param {Partial<import('../rules/options.js').DialOptions> & { signal?: AbortSignal }} [options]
   */
  dial(url, options = {}) {
    return this.#core.dial(url, options);
  }

  /**
   * Waits until so many peers are attached.
   * @param {number} count
   * @param {Limits} [limits]
   */
  waitPeers(count, limits = {}) {
    return this.#core.calls.waitPeers(count, limits);
  }

  /**
   * Closes the socket; resolves within the deadline, whatever the peers do.
   * @param {number} [deadlineMs]
   */
  close(deadlineMs = 1_000) {
    return this.#core.close(deadlineMs);
  }
}

/**
 * @template T
 * @param {() => Promise<T>} next
 */
export async function* untilClosed(next) {
  for (;;) {
    let item;
    try {
      item = await next();
    } catch (error) {
      if (error instanceof RecvError && error.kind === 'Closed') return;
      throw error;
    }
    yield item;
  }
}

/**
 * @param {Limits} limits
 * @param {number} timeoutMs
 */
export function withDefault(limits, timeoutMs) {
  return { timeoutMs: limits.timeoutMs ?? timeoutMs, signal: limits.signal };
}

const UTF8 = new TextEncoder();

/**
 * A copy, so that nobody changes a message that waits to be sent.
 * @param {Data} data
 */
export function toBytes(data) {
  if (typeof data === 'string') return UTF8.encode(data);
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice();
  // By its name, as one of another frame is no instance of ours.
  if (Object.prototype.toString.call(data) === '[object ArrayBuffer]') return new Uint8Array(data.slice(0));
  throw new TypeError('a message is a string, an ArrayBuffer, or a view of one');
}
