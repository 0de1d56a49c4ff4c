/** RepSocket and its requests. */

import { SendError } from '../rules/errors.js';
import { Rep } from '../rules/rep.js';
import { Socket, coreOf, toBytes, untilClosed } from './socket.js';

/** @typedef {import('../rules/options.js').SocketOptions} SocketOptions */
/** @typedef {import('../hands/world.js').World} World */
/** @typedef {import('../hands/wait.js').Limits} Limits */
/** @typedef {import('./socket.js').Data} Data */

/** Answers. */
export class RepSocket extends Socket {
  /**
   * @param {Partial<SocketOptions>} [options]
   * @param {Partial<World>} [world]
   */
  constructor(options, world) {
    super('rep', options, world, (options) => new Rep(options));
  }

  /**
   * @param {Limits} [limits]
   * @returns {Promise<Request>}
   */
  async recv(limits = {}) {
    const core = coreOf(this);
    /** @type {import('../rules/rep.js').Asked} */
    const asked = await core.calls.recv(() => core.rule.take(), limits);
    return new Request(asked.payload.subarray(asked.bodyAt), (body) => {
      if (core.isClosed) throw new SendError('Closed', body);
      core.ledger.sentMessages += 1;
      core.ledger.sentBytes += body.length;
      core.turn(() => core.rule.reply(asked, body, core.fx));
    });
  }

  /** @param {{ signal?: AbortSignal }} [limits] */
  requests(limits) {
    return untilClosed(() => this.recv(limits));
  }

  [Symbol.asyncIterator]() {
    return this.requests();
  }
}

/** A request, and the way back to who asked. */
export class Request {
  /** @type {((body: Uint8Array) => void) | undefined} */
  #answer;

  /**
   * @param {Uint8Array} body
   * @param {(body: Uint8Array) => void} answer
   */
  constructor(body, answer) {
    this.body = body;
    this.#answer = answer;
  }

  /** @param {Data} data */
  reply(data) {
    const body = toBytes(data);
    const answer = this.#answer;
    if (!answer) throw new SendError('State', body);
    this.#answer = undefined;
    answer(body);
  }
}
