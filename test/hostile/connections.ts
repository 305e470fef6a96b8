// Connections of every kind that a server meets in its life, one function each, made as fast as they go: orderly clients
// with mapped memory and eventfds, others that leave at once, in the middle of a message, with fds on the way, with commands
// unanswered, or that are refused. Used by connections.test.ts.
import { closeFd, eventfd, memfdCreate, SocketMessenger, unixConnect } from "@emudev/linux";
import { COMMAND, MAX_MSG_FDS, VfioUserClient, wire } from "@emudev/vfio-user";

const MAPPED = 1 << 20;

function message(id: number, command: number, body: Uint8Array, size = 16 + body.length): Uint8Array {
  const bytes = new Uint8Array(16 + body.length);
  wire.header.encodeInto(new DataView(bytes.buffer), 0, { id, command, size, flags: 0, error: 0 });
  bytes.set(body, 16);
  return bytes;
}

const VERSION = message(0, COMMAND.VERSION, new Uint8Array(4));
const BAD_VERSION = message(0, COMMAND.VERSION, new TextEncoder().encode("\0\0\0\0{not json\0"));

export class Connections {
  readonly #path: string;
  readonly #memory = memfdCreate("memory", MAPPED);
  readonly #unsealed = memfdCreate("unsealed", MAPPED, { seals: false });
  readonly #eventfds = [eventfd(), eventfd(), eventfd()];
  readonly #map: Uint8Array;
  /** What a connection can be like. */
  readonly kinds: readonly (() => void | Promise<void>)[];

  constructor(path: string) {
    this.#path = path;
    const map = new Uint8Array(wire.dmaMap.SIZE);
    const region = { argsz: wire.dmaMap.SIZE, flags: 3, fileOffset: 0n, iova: 0n, size: BigInt(MAPPED) };
    wire.dmaMap.encodeInto(new DataView(map.buffer), 0, region);
    this.#map = message(1, COMMAND.DMA_MAP, map);
    this.kinds = [
      () => this.#orderly(),
      () => this.#raw(),
      () => this.#raw([VERSION.subarray(0, 7)]),
      () => this.#raw([VERSION], [this.#map, [this.#memory]]),
      () => this.#raw([VERSION], [this.#map.subarray(0, 20), [this.#unsealed]]),
      () => this.#raw([BAD_VERSION]),
      () => this.#raw([VERSION], [this.#map, Array(MAX_MSG_FDS).fill(this.#memory)]),
      () => this.#raw([VERSION], [message(1, COMMAND.REGION_READ, new Uint8Array(16), 0xffffffff)]),
      () => this.#raw([VERSION], [message(1, COMMAND.DEVICE_RESET, new Uint8Array(0))]),
    ];
  }

  close(): void {
    for (const fd of [this.#memory, this.#unsealed, ...this.#eventfds]) closeFd(fd);
  }

  /** A client that uses the device and leaves; another that comes meanwhile is told EBUSY. */
  async #orderly(): Promise<void> {
    const client = await VfioUserClient.connect(this.#path);
    const busy = VfioUserClient.connect(this.#path).then((other) => other.close());
    await Promise.all([
      client.getInfo(),
      client.dmaMap({ iova: 0n, size: BigInt(MAPPED), prot: 3, fd: this.#memory }),
      client.setIrqs(2, 0, this.#eventfds),
      client.regionRead(0, 0x8800, 4),
      client.getRegionInfo(0).then(({ fd }) => fd >= 0 && closeFd(fd)),
      busy.catch(() => {}),
    ]);
    client.close();
  }

  /** Sends messages, with fds, waits for nothing and is gone. */
  #raw(...messages: [bytes: Uint8Array, fds?: readonly number[]][]): void {
    const fd = unixConnect(this.#path);
    try {
      const messenger = new SocketMessenger(fd);
      for (const [bytes, fds] of messages) messenger.send(bytes, 0, bytes.length, fds);
    } catch {
      // The server was faster and has ended it.
    }
    closeFd(fd);
  }
}
