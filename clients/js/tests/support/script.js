/** Effects that are written down instead of done: what a rule is tested with. */
export class Script {
  sent = [];
  dropped = [];
  closed = [];
  settled = [];
  resentCount = 0;
  /** Payloads in the outboxes, by pipe. */
  outboxes = new Map();

  transmit = (pipe, payload) => {
    this.sent.push([pipe, payload]);
    this.outboxes.set(pipe, [...(this.outboxes.get(pipe) ?? []), payload]);
  };
  dropOldest = (pipe) => this.outboxes.get(pipe)?.shift();
  discard = (why, pipe, bytes) => void this.dropped.push([why, pipe, bytes]);
  close = (pipe, why) => void this.closed.push([pipe, why]);
  resent = () => void this.resentCount++;
  settle = (id, outcome) => void this.settled.push([id, outcome]);

  /** What was sent since the last look, as hexadecimal. */
  takeSent() {
    return this.sent.splice(0).map(([pipe, payload]) => [pipe, hex(payload)]);
  }

  /** Why messages were dropped since the last look. */
  takeDropped() {
    return this.dropped.splice(0).map(([why]) => why);
  }
}

export const hex = (payload) => Buffer.from(payload).toString('hex');
export const unhex = (digits) => Uint8Array.from(Buffer.from(digits.replaceAll(' ', ''), 'hex'));
