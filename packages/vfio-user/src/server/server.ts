// A device behind a socket: listens, gives the device to one client at a time, cleans up after it and gives it to the
// next. While one client has the device, others are told EBUSY; while one is being cleaned up after, others wait. This
// is the class that device models use; api/ has the original library's interface on top of it.

import { closeFd, peerCredentials, unixAccept, type Watcher, watch } from "@emudev/linux";
import { type Clock, type Log, SILENT, SYSTEM_CLOCK } from "../environment.ts";
import { protocolError, VfioUserError } from "../errors.ts";
import { inherited, type Listening, listenAt } from "../transport/address.ts";
import { ERRNO, MAX_DATA_XFER_SIZE, MAX_DMA_MAPS } from "../wire/constants.ts";
import { forbidden, type PeerRule } from "./admission.ts";
import { cleanUp } from "./clean-up.ts";
import type { ClientInfo, VfioUserDevice } from "./device.ts";
import { Session, type SessionHost } from "./session.ts";
import { newStats, type Stats } from "./stats.ts";
import { Strangers } from "./strangers.ts";

export interface ServerOptions {
  log?: Log;
  clock?: Clock;
  /** A listening socket that the process inherited; `sockAddr` is then only a name. It is closed by stop. */
  fd?: number;
  /** Permission bits of the socket file, 0o660 for instance: who may write it may connect. Default: the umask's. */
  mode?: number | undefined;
  /** Owner and group of the socket file; default: the process's. */
  uid?: number | undefined;
  gid?: number | undefined;
  /** Who may have the device; anybody else is answered EACCES, whatever the socket file allows. */
  peer?: PeerRule | undefined;
  /** DMA regions that one client may have. Default and most: 4096. */
  maxDmaMaps?: number;
  /** Largest count of one REGION or DMA access. Default and most: 1 MiB. */
  maxDataXferSize?: number;
  /**
   * The thread reads its client's socket all the time instead of being woken: the shortest answers, for a whole core while
   * a client is connected. Timers and other sockets are served every 0.1 ms. Default false.
   */
  poll?: boolean | undefined;
  /** Register accesses take the short way (register-path.ts), which shows in nothing but time. Default true. */
  shortcut?: boolean;
  /** For each DMA message to the client. Default 5000. */
  dmaTimeoutMs?: number;
  /** Within which a connection must have sent VERSION. Default 10000. */
  greetingTimeoutMs?: number;
}

const ACCEPTS_PER_WAKE = 16;
/** Rest after a failed accept (no fd numbers left), which would otherwise be reported again at once. */
const ACCEPT_PAUSE_MS = 100;

export class VfioUserServer {
  readonly sockAddr: string;
  readonly stats: Stats = newStats();
  #device: VfioUserDevice;
  #options: ServerOptions;
  #log: Log;
  #clock: Clock;
  #host: SessionHost;
  #listening: Listening | null = null;
  #watcher: Watcher | null = null;
  #holder: Session | null = null;
  /** The cleaning up after the last holder, while it lasts. */
  #leaving: Promise<void> | null = null;
  /** Greeted while somebody was being cleaned up after, in order of arrival. */
  #waiting: Session[] = [];
  /** Every connection but the holder. */
  #strangers = new Strangers();

  constructor(sockAddr: string, device: VfioUserDevice, options: ServerOptions = {}) {
    this.sockAddr = sockAddr;
    this.#device = device;
    this.#options = options;
    this.#log = options.log ?? SILENT;
    this.#clock = options.clock ?? SYSTEM_CLOCK;
    this.#host = {
      device,
      log: this.#log,
      clock: this.#clock,
      stats: this.stats,
      poll: options.poll ?? false,
      shortcut: options.shortcut ?? true,
      dmaTimeoutMs: options.dmaTimeoutMs ?? 5000,
      limits: {
        maxDmaMaps: Math.min(options.maxDmaMaps ?? MAX_DMA_MAPS, MAX_DMA_MAPS),
        maxDataXferSize: Math.min(options.maxDataXferSize ?? MAX_DATA_XFER_SIZE, MAX_DATA_XFER_SIZE),
      },
      greeted: (session) => this.#greeted(session),
      ended: (session, reason) => this.#ended(session, reason),
    };
  }

  /**
   * Listens. @throws VfioUserError VFU_ADDRESS (EADDRINUSE: somebody listens there), VFU_STATE when started already.
   */
  start(): void {
    if (this.#listening !== null) {
      throw new VfioUserError("VFU_STATE", ERRNO.EBUSY, `the server at ${this.sockAddr} is started already`);
    }
    const { fd } = this.#options;
    this.#listening = fd === undefined ? listenAt(this.sockAddr, this.#options) : inherited(fd);
    if (this.#listening.connected) this.#welcome(this.#listening.fd);
    else this.#watcher = watch(this.#listening.fd, { readable: true }, () => this.#accept());
  }

  /**
   * Stops listening, ends every connection and resolves when the device is cleaned up; the socket file is gone then.
   */
  async stop(): Promise<void> {
    this.#watcher?.close();
    this.#watcher = null;
    this.#listening?.close();
    this.#listening = null;
    this.#strangers.closeAll();
    this.#holder?.connection.close();
    await this.#leaving;
  }

  /** Who has the device, or null. */
  get client(): ClientInfo | null {
    return this.#present?.context?.client ?? null;
  }

  /** Ends the connection of who has the device, as for a client that broke the protocol. */
  dropClient(why: string): void {
    this.#present?.connection.close(protocolError(ERRNO.EFAULT, why));
  }

  /** The eventfd of a vector, -1 when none is bound. It is not the caller's to close. */
  irqFd(index: number, vector: number): number {
    return this.#holder?.context?.irqs.fd(index, vector) ?? -1;
  }

  /** Raises an interrupt; false when the vector has no eventfd. For devices that leave their eventfds to the server. */
  irqTrigger(index: number, vector: number): boolean {
    return this.#holder?.context?.irqs.trigger(index, vector) ?? false;
  }

  /**
   * The device has masked a vector by itself, as a level-triggered one does when it fires: writes the eventfd that the
   * client has bound with MASK, if any. What the client masks it is told of without this.
   */
  irqMasked(index: number, vector: number): void {
    this.#holder?.context?.irqs.masks.signal(index, vector);
  }

  /** Reads the client's memory by DMA_READ messages. @throws VfioUserError: see DmaChannel.read. */
  async dmaRead(iova: bigint, bytes: number): Promise<Uint8Array> {
    return await this.#channel().read(iova, bytes);
  }

  /** Writes the client's memory by DMA_WRITE messages. `data` must not change before this resolves. */
  async dmaWrite(iova: bigint, data: Uint8Array): Promise<void> {
    await this.#channel().write(iova, data);
  }

  /** The holder, unless it has left. */
  get #present(): Session | null {
    return this.#holder?.connection.open ? this.#holder : null;
  }

  #channel(): NonNullable<Session["dma"]> {
    const channel = this.#present?.dma;
    if (channel == null) throw new VfioUserError("VFU_CLOSED", ERRNO.ENOTCONN, `no client at ${this.sockAddr}`);
    return channel;
  }

  #accept(): void {
    for (let i = 0; i < ACCEPTS_PER_WAKE && this.#listening !== null; i++) {
      let fd: number;
      try {
        fd = unixAccept(this.#listening.fd);
      } catch (error) {
        this.#log.error(`${this.sockAddr}: no connection can be accepted: ${(error as Error).message}`);
        this.#watcher?.update({ readable: false });
        this.#clock.after(ACCEPT_PAUSE_MS, () => this.#watcher?.update({ readable: true }));
        return;
      }
      if (fd < 0) return;
      this.#welcome(fd);
    }
  }

  #welcome(fd: number): void {
    this.stats.connections++;
    let session: Session;
    try {
      session = new Session(fd, peerCredentials(fd), this.#host);
    } catch (error) {
      this.#log.error(`${this.sockAddr}: a connection cannot be served: ${(error as Error).message}`);
      closeFd(fd);
      return;
    }
    const cancel = this.#clock.after(this.#options.greetingTimeoutMs ?? 10_000, () => {
      if (!session.greeted) session.connection.close(protocolError(ERRNO.ETIMEDOUT, "no VERSION in time"));
    });
    this.#strangers.add(session, this.#isUnwelcome(session), cancel);
  }

  #isUnwelcome(session: Session): boolean {
    const { peer: rule } = this.#options;
    const { pid, uid, gid } = session.peer;
    const why = rule === undefined ? null : forbidden(session.connection.fd, session.peer, rule);
    if (why === null) return false;
    this.#log.warning(`${this.sockAddr}: client pid ${pid}, uid ${uid}, gid ${gid} may not have the device: ${why}`);
    return true;
  }

  #greeted(session: Session): void {
    if (this.#strangers.isUnwelcome(session)) {
      this.stats.forbidden++;
      session.refuse(ERRNO.EACCES);
      return;
    }
    // The holder may have left without our having seen it yet: its end lies in its socket.
    if (this.#leaving === null) this.#holder?.connection.pump(true);
    if (this.#leaving !== null) {
      this.#waiting.push(session);
    } else if (this.#holder === null) {
      this.#admit(session);
    } else {
      this.stats.busy++;
      const holder = this.#holder.peer.pid;
      this.#log.notice(`${this.sockAddr}: client ${session.peer.pid} is refused: in use by client ${holder}`);
      session.refuse(ERRNO.EBUSY);
    }
  }

  #admit(session: Session): void {
    this.#strangers.remove(session);
    this.#holder = session;
    this.stats.clients++;
    this.#log.info(`${this.sockAddr}: client ${session.peer.pid} has connected`);
    session.admit();
  }

  #ended(session: Session, reason: Error | null): void {
    if (reason !== null) {
      if (reason instanceof VfioUserError) this.stats.dropped++;
      this.#log.info(`${this.sockAddr}: connection of client ${session.peer.pid} is closed: ${reason.message}`);
    }
    if (session !== this.#holder) {
      this.#strangers.remove(session);
      return;
    }
    this.#log.info(`${this.sockAddr}: client ${session.peer.pid} has left`);
    this.#leaving = cleanUp(session, this.#device, this.sockAddr, this.#log, this.#clock).then(() => this.#left());
  }

  #left(): void {
    this.#leaving = null;
    this.#holder = null;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const session of waiting) if (session.connection.open) this.#greeted(session);
  }
}
