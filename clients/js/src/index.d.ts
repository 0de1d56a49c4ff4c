/** Spanwire for browsers and Node: the Scalability Protocols over WebSocket. */

/** What is sent: text goes out as UTF-8. It is copied, so it may be changed afterwards. */
export type Data = string | ArrayBuffer | ArrayBufferView;

/** What may end a wait early. */
export interface Limits {
  /** Milliseconds; 0 or Infinity: for ever. Default: that of the socket's options. */
  timeoutMs?: number;
  /** When it aborts, the wait rejects with its reason, and nothing is done later. */
  signal?: AbortSignal;
}

/** Options of a socket. Values outside their range are moved to the nearest end of it. */
export interface SocketOptions {
  /** How long `send` waits for room, and `request` for its reply. Default 0: for ever. */
  sendTimeoutMs?: number;
  /** How long `recv` waits. Default 0: for ever. */
  recvTimeoutMs?: number;
  /** Messages that may wait for one peer, not yet handed to the browser. Default 1,024; at least 1. */
  outboxMessages?: number;
  /** Bytes that may wait for one peer. Default 1 MiB; a single message may always wait. */
  outboxBytes?: number;
  /** Bytes handed to the browser ahead of its sending them. Default 256 KiB; at least 1. */
  aheadBytes?: number;
  /** PUSH: messages that may wait for one peer. Default 128; at least 1. */
  pushWindowMessages?: number;
  /** Calls of `send` or `request` that may wait for room; more fail with `Full`. Default 1,024. */
  waitingSends?: number;
  /** REQ: requests that may wait for replies at once; more wait to be sent. Default 1,024. */
  openRequests?: number;
  /** Messages that may wait for the application; more are dropped. Default 1,024; at least 1. */
  recvMessages?: number;
  /** Bytes that may wait for the application. Default 4 MiB; a single message may always wait. */
  recvBytes?: number;
  /** REP: requests that may wait per peer; more are dropped. Default 64; at least 1. */
  requestsPerPipe?: number;
  /** The largest message accepted, header included; a larger one ends its connection. Default 64 MiB. */
  maxMessageBytes?: number;
  /** REQ: when a request without a reply is sent again. Default 60 s; 0: never. */
  resendTimeMs?: number;
  /** REQ: connections lost in the same way with the same request, until it fails. Default 3. */
  resendFailures?: number;
  /** REP and PAIR v1: how many hops a message may make. Default 8; 1 to 15. */
  hopLimit?: number;
}

/** Options of a dialer. */
export interface DialOptions {
  /** Return at once and keep trying, instead of waiting for the first connection. Default false. */
  background?: boolean;
  /** The first wait before another attempt: random, below this. Default 100 ms. */
  reconnectMinMs?: number;
  /** Waits double up to this. Default 10 s. */
  reconnectMaxMs?: number;
  /** How long one attempt may take. Default 10 s; 0: as long as the browser tries. */
  connectTimeoutMs?: number;
  /** When it aborts, `dial` waits no longer for the first connection, and there is no dialer. */
  signal?: AbortSignal;
}

/** What a socket needs of its surroundings; all that is not given is taken from browser or Node. */
export interface World {
  now(): number;
  after(ms: number, call: () => void): () => void;
  random(): number;
  open(url: string, protocol: string): WebSocket;
}

export interface Peer {
  /** The number of the connection in its socket. */
  pipe: number;
  /** Where it was dialled. */
  url: string;
}

/** What became of messages when a socket was closed. */
export interface CloseReport {
  /** Handed to the browser after closing began. */
  flushed: number;
  /** Never sent: time was up, or there was nobody to send them to. */
  abandoned: number;
  /** With the browser, in part or whole, when time was up. */
  unknown: number;
}

/** The events of a socket. */
export interface SocketEvents {
  /** A peer is attached: messages flow. */
  attached: SocketEvent & Peer;
  /** A peer that was attached is gone. Code and text are those of its close, if it sent one. */
  detached: SocketEvent & Peer & { reason: DetachReasonName; code: number; text: string };
  /** A connection did not become a pipe. */
  refused: SocketEvent & { url: string; reason: DetachReasonName };
  /** A dialer did not get its connection, and tries again after so many milliseconds. */
  dialfailed: SocketEvent & { url: string; error: DialError; waitMs: number };
  /** A message was discarded. */
  dropped: SocketEvent & { why: DroppedName; pipe: number | undefined; bytes: number };
}

export declare class SocketEvent extends Event {}

/** What all sockets can do. */
export declare abstract class Socket {
  protected constructor();
  /** The peers that are attached. */
  readonly peers: Peer[];
  /** What was sent, received and dropped until now. */
  stats(): Ledger;
  /**
   * Dials, and keeps the connection up from then on. Waits for the first connection, and rejects
   * with a {@link DialError} if that fails, unless `background` is set.
   */
  dial(url: string, options?: DialOptions): Promise<Dialer>;
  /** Waits until so many peers are attached. Rejects with a {@link RecvError}. */
  waitPeers(count: number, limits?: Limits): Promise<void>;
  /** Closes the socket. Resolves within the deadline (1 s), whatever the peers do; never rejects. */
  close(deadlineMs?: number): Promise<CloseReport>;
  addEventListener<K extends keyof SocketEvents>(
    type: K,
    listener: (event: SocketEvents[K]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  removeEventListener<K extends keyof SocketEvents>(
    type: K,
    listener: (event: SocketEvents[K]) => void,
    options?: boolean | EventListenerOptions,
  ): void;
}

/** Asks, any number of questions at once. */
export declare class ReqSocket extends Socket {
  constructor(options?: SocketOptions, world?: Partial<World>);
  /**
   * Asks, and waits for the reply. The request is sent again when its connection is lost or the
   * resend time has passed. Rejects with a {@link RequestError}.
   */
  request(data: Data, limits?: Limits): Promise<Uint8Array>;
}

/** Answers. */
export declare class RepSocket extends Socket {
  constructor(options?: SocketOptions, world?: Partial<World>);
  /** Waits for a request. Rejects with a {@link RecvError}. */
  recv(limits?: Limits): Promise<Request>;
  /** Requests until the socket is closed, or the signal aborts. */
  requests(limits?: Limits): AsyncGenerator<Request, void, void>;
  [Symbol.asyncIterator](): AsyncGenerator<Request, void, void>;
}

/** A request, and the way back to who asked. */
export declare class Request {
  private constructor();
  readonly body: Uint8Array;
  /** Answers, once; a reply whose peer is gone or takes nothing is dropped and counted. */
  reply(data: Data): void;
}

interface Sending {
  /**
   * Sends, waiting for room where the pattern waits. Resolves when the message is in the outbox of a
   * peer. Rejects with a {@link SendError} that has the message in it.
   */
  send(data: Data, limits?: Limits): Promise<void>;
  /** Sends at once, or throws a {@link SendError}. */
  trySend(data: Data): void;
}

interface Receiving {
  /** Waits for a message. Rejects with a {@link RecvError}; a wait that ends takes no message along. */
  recv(limits?: Limits): Promise<Uint8Array>;
  /** A message that waits, or undefined. */
  tryRecv(): Uint8Array | undefined;
  /** Messages until the socket is closed, or the signal aborts. */
  messages(limits?: Limits): AsyncGenerator<Uint8Array, void, void>;
  [Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, void>;
}

/** Publishes to all; a subscriber that is slow loses its oldest messages, and `send` never waits. */
export declare class PubSocket extends Socket {
  constructor(options?: SocketOptions, world?: Partial<World>);
}
export interface PubSocket extends Sending {}

/** Receives what starts with a subscribed topic; nothing without one. */
export declare class SubSocket extends Socket {
  constructor(options?: SocketOptions, world?: Partial<World>);
  /** Lets messages in that start with these bytes; empty: all. */
  subscribe(topic: Data): void;
  /** Takes it back; what waits and fits no other is dropped. Throws {@link NotSubscribed}. */
  unsubscribe(topic: Data): void;
}
export interface SubSocket extends Receiving {}

/** Gives each job to one peer; waits for one that has room. */
export declare class PushSocket extends Socket {
  constructor(options?: SocketOptions, world?: Partial<World>);
}
export interface PushSocket extends Sending {}

/** Receives jobs. */
export declare class PullSocket extends Socket {
  constructor(options?: SocketOptions, world?: Partial<World>);
}
export interface PullSocket extends Receiving {}

/** Talks to one peer, both ways. */
export declare class Pair0Socket extends Socket {
  constructor(options?: SocketOptions, world?: Partial<World>);
}
export interface Pair0Socket extends Sending, Receiving {}

/** Talks to one peer, both ways; messages count their hops. */
export declare class Pair1Socket extends Socket {
  constructor(options?: SocketOptions, world?: Partial<World>);
}
export interface Pair1Socket extends Sending, Receiving {}

/** Keeps one connection up. */
export declare class Dialer {
  private constructor();
  readonly url: string;
  readonly state: 'Connecting' | 'Attached' | 'Waiting' | 'Closed';
  /** Stops dialling, and ends the connection. */
  close(): void;
}

/** Why a message was not sent: `body` is the message. */
export declare class SendError extends Error {
  private constructor();
  readonly kind: 'Closed' | 'TimedOut' | 'Full' | 'NoPeer' | 'State';
  readonly body: Uint8Array;
  readonly isTransient: boolean;
}

/** Why no message was received. */
export declare class RecvError extends Error {
  private constructor();
  readonly kind: 'Closed' | 'TimedOut' | 'ConnectionLost' | 'Rejected';
  readonly isTransient: boolean;
}

/** Why a request got no reply: `cause` is a SendError when no peer ever took it. */
export declare class RequestError extends Error {
  private constructor();
  readonly kind: SendError['kind'] | RecvError['kind'];
  readonly cause: SendError | RecvError;
  readonly isTransient: boolean;
}

/** Why a dialer got no connection. */
export declare class DialError extends Error {
  private constructor();
  /**
   * `Connect`: nobody is there, or the server refused the path, the origin or the protocol; browsers
   * do not tell pages which.
   */
  readonly kind: 'Address' | 'Connect' | 'TimedOut' | 'Refused' | 'Closed';
  readonly url: string;
  /** Of those who were refused: why. */
  readonly reason: DetachReasonName | undefined;
  readonly isTransient: boolean;
}

/** An unsubscribe of what was never subscribed. */
export declare class NotSubscribed extends Error {
  private constructor();
}

export type DroppedName =
  | 'Malformed'
  | 'HopLimit'
  | 'NoRequest'
  | 'NotSubscribed'
  | 'QueueFull'
  | 'SlowSubscriber'
  | 'OutboxFull'
  | 'NoPeer'
  | 'PipeLost'
  | 'Cancelled'
  | 'Unexpected'
  | 'TooLarge'
  | 'Closed';

export type DetachReasonName =
  | 'PeerClosed'
  | 'ConnectionLost'
  | 'WrongProtocol'
  | 'ProtocolViolation'
  | 'MessageTooLarge'
  | 'Busy'
  | 'ClosedHere';

/** Each reason for a discarded message, in a few words. */
export declare const Dropped: Readonly<Record<DroppedName, string>>;

/** Each reason for the end of a connection, in a few words. */
export declare const DetachReason: Readonly<Record<DetachReasonName, string>>;

/** What a socket counts: totals since it was made. */
export declare class Ledger {
  private constructor();
  readonly sentMessages: number;
  /** Without headers. */
  readonly sentBytes: number;
  readonly receivedMessages: number;
  /** With headers. */
  readonly receivedBytes: number;
  readonly deliveredMessages: number;
  /** Requests or jobs that were sent again. */
  readonly resentMessages: number;
  /** Messages that the browser still held when their connection was cut; more may be lost. */
  readonly unknownMessages: number;
  readonly attachedPipes: number;
  readonly refusedPipes: number;
  /** Discarded messages by reason; reasons that never occurred are not there. */
  readonly dropped: Readonly<Partial<Record<DroppedName, number>>>;
}
