/** ReqSocket. */

import { Wait } from '../hands/wait.js';
import { RecvError, RequestError, SendError } from '../rules/errors.js';
import { Req } from '../rules/req.js';
import { Socket, coreOf, toBytes, withDefault } from './socket.js';

/** @typedef {import('../rules/options.js').SocketOptions} SocketOptions */
/** @typedef {import('../hands/world.js').World} World */
/** @typedef {import('../hands/wait.js').Limits} Limits */
/** @typedef {import('./socket.js').Data} Data */

/** Asks, any number of questions at once. */
export class ReqSocket extends Socket {
  /**
   * Those who wait for the replies to their requests.
   * @type {Map<number, Wait<Uint8Array>>}
   */
  #replies = new Map();

  /**
   * @param {Partial<SocketOptions>} [options]
   * @param {Partial<World>} [world]
   */
  constructor(options, world) {
    super('req', options, world, (options, world) => new Req(options, world.random() * 2 ** 32));
    const core = coreOf(this);
    core.settled = (id, outcome) => {
      const wait = this.#replies.get(id);
      this.#replies.delete(id);
      if (typeof outcome === 'string') return wait?.reject(new RequestError(new RecvError(outcome)));
      core.ledger.deliveredMessages += 1;
      wait?.resolve(outcome);
    };
    core.whenClosing = () => {
      for (const wait of this.#replies.values()) wait.reject(new RequestError(new RecvError('Closed')));
      this.#replies.clear();
    };
  }

  /**
   * @param {Data} data
   * @param {Limits} [limits]
   * @returns {Promise<Uint8Array>}
   */
  async request(data, limits = {}) {
    const core = coreOf(this);
    const body = toBytes(data);
    /** @type {number | undefined} */
    let id;
    const timedOut = () => (id === undefined ? new SendError('TimedOut', body) : new RecvError('TimedOut'));
    /** @type {Wait<Uint8Array>} */
    const wait = new Wait(core.world, withDefault(limits, core.options.sendTimeoutMs), () => {
      return new RequestError(timedOut());
    });
    const attempt = () => {
      const asked = core.rule.ask(core.world.now(), body, core.fx);
      if ('refusal' in asked) return false;
      id = asked.id;
      this.#replies.set(asked.id, wait);
      wait.left = () => {
        this.#replies.delete(asked.id);
        core.turn(() => core.rule.cancel(core.world.now(), asked.id, core.fx));
      };
      return true;
    };
    core.calls.send(body, wait, attempt, (kind) => new RequestError(new SendError(kind, body)));
    return wait.promise;
  }
}
