/** Topics: a set of subscribed prefixes, any bytes, and whether one of them fits. */
export class Topics {
  /**
   * The bytes of each topic as text of one character a byte, sorted into sets by length: a match is
   * one look-up for each length in use, however many topics there are.
   * @type {Map<number, Set<string>>}
   */
  #byLength = new Map();

  /**
   * Adds a prefix; adding it again changes nothing.
   * @param {Uint8Array} topic
   */
  insert(topic) {
    const same = this.#byLength.get(topic.length) ?? new Set();
    this.#byLength.set(topic.length, same.add(latin1(topic)));
  }

  /**
   * Takes a prefix away; false when it was not there.
   * @param {Uint8Array} topic
   */
  remove(topic) {
    const same = this.#byLength.get(topic.length);
    if (!same?.delete(latin1(topic))) return false;
    if (same.size === 0) this.#byLength.delete(topic.length);
    return true;
  }

  /**
   * Whether the body starts with one of them.
   * @param {Uint8Array} body
   */
  matches(body) {
    for (const [length, same] of this.#byLength) {
      if (length <= body.length && same.has(latin1(body.subarray(0, length)))) return true;
    }
    return false;
  }
}

/** @param {Uint8Array} bytes */
function latin1(bytes) {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}
