/** Spanwire for browsers and Node: the Scalability Protocols over WebSocket. See README.md. */

export { PubSocket, SubSocket, PushSocket, PullSocket, Pair0Socket, Pair1Socket } from './sockets/plain.js';
export { ReqSocket } from './sockets/req.js';
export { RepSocket, Request } from './sockets/rep.js';
export { Socket, SocketEvent } from './sockets/socket.js';
export { Dialer } from './hands/dialer.js';
export { SendError, RecvError, RequestError, DialError, NotSubscribed } from './rules/errors.js';
export { Dropped, DetachReason, Ledger } from './rules/ledger.js';
