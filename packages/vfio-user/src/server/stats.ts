// What a server counts about its clients' behaviour, since misbehaviour is never thrown and only sparsely logged.

export interface Stats {
  /** Connections accepted, whether or not they came to VERSION. */
  connections: number;
  /** Clients that got the device. */
  clients: number;
  /** Clients that were told EBUSY. */
  busy: number;
  /** Clients that were told EACCES. */
  forbidden: number;
  /** Messages received. */
  messages: number;
  /** Commands answered with an error, or posted and failed. */
  refused: number;
  /** Connections closed for breaking the protocol. */
  dropped: number;
}

export function newStats(): Stats {
  return { connections: 0, clients: 0, busy: 0, forbidden: 0, messages: 0, refused: 0, dropped: 0 };
}
