// What the demo's parent and its two child processes say to each other over Node's IPC channel.
export type Side = "device" | "guest";

/** Parent to child, once, as the first message. */
export interface Setup {
  type: "setup";
  side: Side;
  /** EAL arguments: lcores and devices. */
  eal: string[];
  /** Name of the port. */
  port: string;
  /** Folder of the socket; removed by the child if its parent is gone. */
  folder: string;
  /** Destination address of what this side sends. */
  peer: number[];
  /** Bytes of a packet in memory. */
  bytes: number;
  burst: number;
}

export type Command =
  | Setup
  /** Bring the environment and the port up; answered by `ready`. */
  | { type: "up" }
  /** Start or end sending. */
  | { type: "send"; on: boolean }
  /** Answered by `counts`. */
  | { type: "report"; id: number }
  /** End in order. */
  | { type: "quit" };

/** All counts since the start of the process. */
export interface Counts {
  /** Milliseconds of the monotonic clock, the same in both processes. */
  at: number;
  /** 0 while the link is down. */
  linkMbps: number;
  /** Packets that the driver took for sending. */
  handed: number;
  /** Packets that the application was given. */
  received: number;
  receivedBytes: number;
  /** Packets made but not taken by the driver yet. */
  waiting: number;
  /** Drops on the way out and on the way in, by the name under which this side counts them. */
  outDrops: Record<string, number>;
  inDrops: Record<string, number>;
  /** Turns in which the ring was full, packets not made for want of a buffer: not losses, but why it is not faster. */
  held: Record<string, number>;
}

export type Answer =
  | { type: "loaded" }
  | { type: "ready"; mac: string }
  | { type: "counts"; id: number; counts: Counts }
  | { type: "event"; text: string }
  | { type: "failed"; text: string };
