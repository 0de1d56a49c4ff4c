/**
 * The world: all that a socket needs of browser or Node. A test gives another one, with a clock that
 * it turns by hand; a program may give its own WebSocket.
 *
 * @typedef {object} World
 * @property {() => number} now milliseconds from an arbitrary start, never going back
 * @property {(ms: number, call: () => void) => () => void} after calls once; returns how to cancel it
 * @property {() => number} random in [0, 1)
 * @property {(url: string, protocol: string) => WebSocket} open
 */

/** The longest that a timer can do; longer ones would fire at once. */
const LONGEST_MS = 2 ** 31 - 1;

/** @type {World} */
export const WORLD = Object.freeze({
  now: () => performance.now(),
  after(ms, call) {
    const timer = setTimeout(call, Math.min(ms, LONGEST_MS));
    return () => clearTimeout(timer);
  },
  random: () => Math.random(),
  open: (url, protocol) => new WebSocket(url, protocol),
});
