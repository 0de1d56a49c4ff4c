/** The sockets that send or receive messages and no more: PUB, SUB, PUSH, PULL, PAIR. */

import { Wait } from '../hands/wait.js';
import { NotSubscribed, SendError } from '../rules/errors.js';
import { Pair } from '../rules/pair.js';
import { Pub } from '../rules/pub.js';
import { Pull } from '../rules/pull.js';
import { Push } from '../rules/push.js';
import { Sub } from '../rules/sub.js';
import { Socket, coreOf, toBytes, untilClosed, withDefault } from './socket.js';

/** @typedef {import('../rules/options.js').SocketOptions} SocketOptions */
/** @typedef {import('../hands/world.js').World} World */
/** @typedef {import('../hands/wait.js').Limits} Limits */
/** @typedef {import('./socket.js').Data} Data */

/** What those can do who send without an answer. */
class Sending extends Socket {
  /**
   * @param {Data} data
   * @param {Limits} [limits]
   * @returns {Promise<void>}
   */
  async send(data, limits = {}) {
    const core = coreOf(this);
    const body = toBytes(data);
    /** @type {Wait<void>} */
    const wait = new Wait(core.world, withDefault(limits, core.options.sendTimeoutMs), () => {
      return new SendError('TimedOut', body);
    });
    const attempt = () => {
      if (core.rule.put(core.world.now(), body, core.fx)) return false;
      wait.resolve();
      return true;
    };
    core.calls.send(body, wait, attempt, (kind) => new SendError(kind, body));
    return wait.promise;
  }

  /**
   * @param {Data} data
   */
  trySend(data) {
    const core = coreOf(this);
    const body = toBytes(data);
    core.calls.trySend(body, () => core.rule.put(core.world.now(), body, core.fx));
  }
}

/**
 * What those can do, too, who receive.
 *
 * @template {new (...args: any[]) => Socket} Base
 * @param {Base} base
 */
const receiving = (base) =>
  class extends base {
    /**
     * @param {Limits} [limits]
     * @returns {Promise<Uint8Array>}
     */
    recv(limits = {}) {
      const core = coreOf(this);
      return core.calls.recv(() => core.rule.take(), limits);
    }

    tryRecv() {
      const core = coreOf(this);
      return core.calls.tryRecv(() => core.rule.take());
    }

    /** @param {{ signal?: AbortSignal }} [limits] */
    messages(limits) {
      return untilClosed(() => this.recv(limits));
    }

    [Symbol.asyncIterator]() {
      return this.messages();
    }
  };

class Receiving extends receiving(Socket) {}

class PairSocket extends receiving(Sending) {}

export class PubSocket extends Sending {
  /**
   * @param {Partial<SocketOptions>} [options]
   * @param {Partial<World>} [world]
   */
  constructor(options, world) {
    super('pub', options, world, (options) => new Pub(options));
  }
}

export class PushSocket extends Sending {
  /**
   * @param {Partial<SocketOptions>} [options]
   * @param {Partial<World>} [world]
   */
  constructor(options, world) {
    super('push', options, world, (options) => new Push(options));
  }
}

export class SubSocket extends Receiving {
  /**
   * @param {Partial<SocketOptions>} [options]
   * @param {Partial<World>} [world]
   */
  constructor(options, world) {
    super('sub', options, world, (options) => new Sub(options));
  }

  /** @param {Data} topic */
  subscribe(topic) {
    coreOf(this).rule.subscribe(toBytes(topic));
  }

  /** @param {Data} topic */
  unsubscribe(topic) {
    const core = coreOf(this);
    const prefix = toBytes(topic);
    if (!core.turn(() => core.rule.unsubscribe(prefix, core.fx))) throw new NotSubscribed();
  }
}

export class PullSocket extends Receiving {
  /**
   * @param {Partial<SocketOptions>} [options]
   * @param {Partial<World>} [world]
   */
  constructor(options, world) {
    super('pull', options, world, (options) => new Pull(options));
  }
}

export class Pair0Socket extends PairSocket {
  /**
   * @param {Partial<SocketOptions>} [options]
   * @param {Partial<World>} [world]
   */
  constructor(options, world) {
    super('pair', options, world, (options) => new Pair(0, options));
  }
}

export class Pair1Socket extends PairSocket {
  /**
   * @param {Partial<SocketOptions>} [options]
   * @param {Partial<World>} [world]
   */
  constructor(options, world) {
    super('pair1', options, world, (options) => new Pair(1, options));
  }
}
