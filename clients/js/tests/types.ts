/** What the declared types allow and refuse. It is compiled and never run. */

import {
  DetachReason,
  DialError,
  Dropped,
  Pair1Socket,
  PubSocket,
  PushSocket,
  RepSocket,
  ReqSocket,
  RequestError,
  SendError,
  SubSocket,
} from '../src/index';

export async function allowed(signal: AbortSignal): Promise<string> {
  const req = new ReqSocket({ resendTimeMs: 1_000 });
  const dialer = await req.dial('ws://localhost/', { background: true });
  if (dialer.state === 'Attached') dialer.close();
  const reply: Uint8Array = await req.request(new Float32Array(3), { signal, timeoutMs: 5 });

  const sub = new SubSocket();
  sub.subscribe('topic');
  for await (const message of sub) if (message.length > 3) break;
  for await (const message of sub.messages({ signal })) if (message.length > 3) break;

  const rep = new RepSocket();
  for await (const request of rep) request.reply(request.body);

  const pair = new Pair1Socket(undefined, { open: (url, protocol) => new WebSocket(url, [protocol]) });
  await pair.send((await pair.recv()).subarray(1));
  pair.addEventListener('detached', ({ reason, code }) => console.log(DetachReason[reason], code));
  pair.addEventListener('dropped', ({ why }) => console.log(Dropped[why]));
  const { abandoned } = await pair.close(100);

  try {
    new PushSocket().trySend('x');
  } catch (error) {
    if (error instanceof SendError && error.kind === 'Full') return String(error.body.length + abandoned);
    if (error instanceof RequestError && error.cause.isTransient) return error.cause.kind;
    if (error instanceof DialError && error.reason) return DetachReason[error.reason];
  }
  return reply.toString();
}

export function refused(): void {
  // @ts-expect-error: a publisher receives nothing
  void new PubSocket().recv();
  // @ts-expect-error: a subscriber sends nothing
  void new SubSocket().send('x');
  // @ts-expect-error: a number is no message
  void new PushSocket().send(5);
  // @ts-expect-error: there is no such option
  void new PushSocket({ outboxMesages: 5 });
  // @ts-expect-error: there is no such event
  new PushSocket().addEventListener('atached', () => {});
  // @ts-expect-error: nor such a field
  new PushSocket().addEventListener('attached', ({ reason }) => reason);
}
