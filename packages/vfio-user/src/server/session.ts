// One connection of a server, from accept to end: VERSION first, then commands in order, each answered once. The
// session turns messages into work, results into replies, and whatever is thrown into an errno. It does not decide who
// may have the device: that is the server's (server.ts), which admits a session after its VERSION and cleans up after
// it.

import { closeFd } from "@emudev/linux";
import type { Clock, Log } from "../environment.ts";
import { errnoOf, isExpected, protocolError, refusal, VfioUserError } from "../errors.ts";
import { Connection, type Message } from "../transport/connection.ts";
import { Linger, poll } from "../transport/linger.ts";
import {
  COMMAND,
  commandName,
  ERRNO,
  FLAG,
  MAX_MESSAGE_SIZE,
  MAX_MSG_FDS,
  MAX_VERSION_MESSAGE_SIZE,
} from "../wire/constants.ts";
import * as header from "../wire/header.ts";
import { after, type Command, type Context, check, closeAll, type Reply } from "./commands/command.ts";
import { COMMANDS } from "./commands/index.ts";
import type { ClientInfo, VfioUserDevice } from "./device.ts";
import { DirtyLog } from "./dirty-log.ts";
import { DmaChannel } from "./dma-channel.ts";
import { DmaTable } from "./dma-table.ts";
import { answerVersion, type Greeting, type Limits, parseVersion } from "./greeting.ts";
import { IrqTable } from "./irq-table.ts";
import { Migration } from "./migration.ts";
import { CommandOrder, type Work } from "./order.ts";
import { RegionTable } from "./region-table.ts";
import { type Access, type RegisterHost, RegisterPath } from "./register-path.ts";
import type { Stats } from "./stats.ts";
import { openTwin } from "./twin.ts";

/** The server, as its sessions see it. */
export interface SessionHost {
  readonly device: VfioUserDevice;
  readonly log: Log;
  readonly clock: Clock;
  readonly stats: Stats;
  readonly dmaTimeoutMs: number;
  readonly limits: Limits;
  /** Read a client's socket all the time. */
  readonly poll: boolean;
  /** Register accesses may go the short way. */
  readonly shortcut: boolean;
  /** VERSION has come and is valid: calls session.admit or session.refuse, now or later. */
  greeted(session: Session): void;
  /** The connection is closed. */
  ended(session: Session, reason: Error | null): void;
}

/** Commands and bytes that may wait for the device before the socket is left to fill up. */
const PAUSE_COMMANDS = 256;
const PAUSE_BYTES = 8 << 20;
/** While a DMA reply is awaited the socket must be read on; a peer that floods it then is dropped at this multiple. */
const FLOOD = 4;

export class Session {
  readonly connection: Connection;
  readonly peer: { pid: number; uid: number; gid: number };
  #host: SessionHost;
  #greeting: Greeting | null = null;
  #context: Context | null = null;
  #dma: DmaChannel | null = null;
  /** The twin socket's connection, when there is one. */
  #twin: Connection | null = null;
  #order = new CommandOrder(() => this.#owed);

  /** Takes over `fd`. */
  constructor(fd: number, peer: { pid: number; uid: number; gid: number }, host: SessionHost) {
    this.peer = peer;
    this.#host = host;
    this.connection = new Connection(fd, {
      maxMessageSize: MAX_VERSION_MESSAGE_SIZE,
      maxFds: 0, // VERSION takes none: strangers are not to use up this process's fd numbers
      onMessage: (message) => this.#onMessage(message),
      onPumped: () => linger.wait(),
      onClose: (reason) => this.#onClose(reason),
    });
    const linger = new Linger(this.connection, () => this.#context !== null && this.#order.size === 0);
  }

  /** What the client has made of the device; null until it is admitted. */
  get context(): Context | null {
    return this.#context;
  }

  get dma(): DmaChannel | null {
    return this.#dma;
  }

  /** VERSION has been sent, whether or not it was answered. */
  get greeted(): boolean {
    return this.#greeting !== null;
  }

  /** The device is this client's: answers VERSION and serves commands. */
  admit(): void {
    const { device, clock, dmaTimeoutMs } = this.#host;
    const { capabilities } = this.#greeting as Greeting;
    const twinFd = capabilities.twinSocket ? this.#openTwin() : null;
    capabilities.twinSocket = twinFd !== null;
    const client: ClientInfo = { ...this.peer, capabilities };
    this.#context = {
      device,
      client,
      regions: new RegionTable(device.regions, capabilities.maxMsgFds > 0),
      irqs: new IrqTable(device.irqs, device.setIrqs === undefined),
      dma: new DmaTable(capabilities.maxDmaMaps),
      migration: device.migration === undefined ? null : new Migration(device.migration),
      dirtyLog: device.migration && device.dirtyLog ? new DirtyLog(device.dirtyLog) : null,
    };
    this.#dma = new DmaChannel(this.#twin ?? this.connection, {
      maxCount: capabilities.maxDataXferSize,
      timeoutMs: dmaTimeoutMs,
      clock,
      sent: () => {
        if (this.#twin !== null) return;
        this.connection.resume();
        this.#order.kick();
      },
    });
    this.connection.maxMessageSize = MAX_MESSAGE_SIZE;
    this.connection.maxFds = MAX_MSG_FDS;
    if (this.#host.shortcut) this.connection.shortcut = new RegisterPath(this.#context, this.#registerHost()).serve;
    if (this.#host.poll) poll(this.connection, () => this.#order.size === 0);
    const { id, body } = answerVersion(this.#greeting as Greeting, twinFd !== null, device.migration !== undefined);
    this.connection.send(id, COMMAND.VERSION, FLAG.REPLY, 0, body, twinFd === null ? undefined : [twinFd]);
    if (twinFd !== null) closeFd(twinFd);
    try {
      device.connected?.(client);
    } catch (error) {
      this.#host.log.error(`connected failed in the device: ${(error as Error)?.stack ?? error}`);
    }
    this.connection.resume();
  }

  /** Answers VERSION with an error and ends the connection. */
  refuse(errno: number): void {
    this.#fail((this.#greeting as Greeting).id, COMMAND.VERSION, errno);
    this.connection.close();
  }

  /** Resolves when no callback of this client is running any more. The connection must be closed. */
  settled(): Promise<void> {
    return this.#order.idle();
  }

  /** The command that the device is busy with. */
  get current(): string | undefined {
    return this.#order.current;
  }

  /** A reply that this client owes comes by the socket of its commands, so that one must be read on. */
  get #owed(): boolean {
    return this.#twin === null && (this.#dma?.outstanding ?? 0) > 0;
  }

  /** The client's end. */
  #openTwin(): number | null {
    const settle = (message: Message): boolean | "late" => {
      this.#host.stats.messages++;
      return this.#dma?.settle(message) ?? false;
    };
    const twin = openTwin(settle, (reason) => this.connection.close(reason), this.#host.log);
    this.#twin = twin?.connection ?? null;
    return twin?.clientFd ?? null;
  }

  #onMessage(message: Message): void {
    this.#host.stats.messages++;
    if (this.#context === null) {
      this.#onGreeting(message);
    } else if (header.isReply(message.header) && message.fault === null) {
      this.#onReply(message);
    } else {
      this.#push(this.#workOf(message, this.#context));
    }
  }

  #onReply(message: Message): void {
    const { id, command } = message.header;
    const settled = this.#twin === null && (this.#dma?.settle(message) ?? false);
    closeAll(message.fds);
    // As libvfio-user: an answer to what nobody asked is answered with EINVAL. Not so one that is merely late.
    if (settled === false) this.#fail(id, command, ERRNO.EINVAL);
  }

  #onGreeting(message: Message): void {
    closeAll(message.fds);
    const { id, command } = message.header;
    if (message.fault === "oversize") return;
    try {
      if (this.#greeting !== null) throw refusal(ERRNO.EINVAL, "a command before the reply to VERSION");
      this.#greeting = parseVersion(message, this.#host.limits);
    } catch (error) {
      this.#host.log.info(`client ${this.peer.pid} cannot be talked to: ${(error as Error).message}`);
      this.#fail(id, command, errnoOf(error));
      this.connection.close();
      return;
    }
    // Nothing more is read until the server has decided.
    this.connection.pause();
    this.#host.greeted(this);
  }

  #workOf(message: Message, context: Context): Work {
    const { id, command: number, size, flags } = message.header;
    const posted = !header.wantsReply(message.header);
    const fail = (error: unknown): void => this.#refuseCommand(id, number, posted, error);
    let command: Command;
    let request: unknown;
    try {
      check(faultOf(message));
      command = commandOf(number, flags);
      check(message.fds.length <= command.maxFds ? null : `${message.fds.length} fds with ${commandName(number)}`);
      request = command.parse(message, context);
    } catch (error) {
      closeAll(message.fds);
      return { control: false, bytes: 0, name: commandName(number), run: () => fail(error), drop() {} };
    }
    const own = (): Reply | Promise<Reply> => command.run(request, context, posted);
    const drop = (): void => closeAll(message.fds);
    return this.#work({ id, command: number, size, posted }, command.control(request), own, drop);
  }

  /** What is thrown or rejected becomes the errno of the reply. */
  #work(access: Access, control: boolean, action: () => Reply | Promise<Reply>, drop: () => void): Work {
    const { id, command, size, posted } = access;
    const succeed = (reply: Reply): void => {
      if (!posted) this.connection.send(id, command, FLAG.REPLY, 0, reply.body, reply.fds);
    };
    const fail = (error: unknown): void => this.#refuseCommand(id, command, posted, error);
    return {
      control,
      bytes: size,
      name: commandName(command),
      drop,
      run() {
        try {
          const reply = action();
          return reply instanceof Promise ? reply.then(succeed).catch(fail) : succeed(reply);
        } catch (error) {
          return fail(error);
        }
      },
    };
  }

  #registerHost(): RegisterHost {
    return {
      order: this.#order,
      stats: this.#host.stats,
      later: (access, control, outcome, reply) => {
        this.#push(
          this.#work(
            access,
            control,
            () => after(outcome, reply),
            () => {},
          ),
        );
      },
      failed: ({ id, command, posted }, error) => this.#refuseCommand(id, command, posted, error),
    };
  }

  #push(work: Work): void {
    const order = this.#order;
    order.push(work);
    if (order.size < PAUSE_COMMANDS && order.bytes < PAUSE_BYTES) return;
    if (!this.#owed) {
      this.connection.pause();
      order.idle().then(() => this.connection.resume());
    } else if (order.size >= FLOOD * PAUSE_COMMANDS || order.bytes >= FLOOD * PAUSE_BYTES) {
      this.connection.close(protocolError(ERRNO.ENOBUFS, `${order.size} commands wait while it owes a DMA reply`));
    }
  }

  #refuseCommand(id: number, command: number, posted: boolean, error: unknown): void {
    const { log, stats } = this.#host;
    const errno = errnoOf(error);
    stats.refused++;
    if (isExpected(error)) log.debug(`${commandName(command)} refused, errno ${errno}: ${(error as Error).message}`);
    else log.error(`${commandName(command)} failed in the device: ${(error as Error)?.stack ?? error}`);
    if (!posted) this.#fail(id, command, errno);
  }

  #fail(id: number, command: number, errno: number): void {
    this.connection.send(id, command, FLAG.REPLY | FLAG.ERROR, errno);
  }

  #onClose(reason: Error | null): void {
    this.#twin?.close();
    this.#order.drop();
    this.#dma?.abandon(new VfioUserError("VFU_CLOSED", ERRNO.ENOTCONN, "the client has left"));
    this.#host.ended(this, reason);
  }
}

function commandOf(number: number, flags: number): Command {
  const type = flags & FLAG.TYPE_MASK;
  check(type === FLAG.COMMAND ? null : `message type ${type}`);
  const command = COMMANDS.get(number);
  if (command === undefined) throw refusal(ERRNO.EINVAL, `${commandName(number)} is not served here`);
  return command;
}

function faultOf(message: Message): string | null {
  if (message.fault === "fds") throw refusal(ERRNO.EMFILE, "more fds than max_msg_fds, or than this process can take");
  if (message.fault === "socket") return "a socket, or what fstat refuses, among its fds";
  return message.fault === null ? null : `a message of ${message.header.size} bytes`;
}
