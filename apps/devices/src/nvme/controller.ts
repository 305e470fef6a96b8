// An NVM Express controller as its registers show it: enabling and reset by CC.EN, shutdown by CC.SHN, doorbells (NVM Express
// Base Specification 1.4, chapter 3). It knows no PCI: device.ts puts it behind BAR0. While it is enabled an Engine does
// the work; disabling waits for the engine's last command before CSTS.RDY falls.
import { Engine, type EngineHost } from "./engine.ts";
import { RegisterFile } from "./register-file.ts";
import { type Configuration, CSTS, configurationOf, DOORBELLS, MAX_PAGE_SHIFT, REG } from "./registers.ts";

export type ControllerHost = Omit<EngineHost, "fatal">;

export class NvmeController {
  readonly #host: EngineHost;
  readonly #registers = new RegisterFile();
  #engine: Engine | null = null;
  /** CC.EN as it was last acted upon. */
  #enabled = false;
  #shutdown = 0;
  /** A disabling is under way; CC is looked at again at its end. */
  #stopping = false;
  /** Counts resets from outside, so that what was under way before does not touch what comes after. */
  #era = 0;

  constructor(host: ControllerHost) {
    this.#host = { ...host, raise: (vector) => host.raise(vector), fatal: (why) => this.#fatal(why) };
  }

  /** Reads any bytes of the register space. Doorbells read as 0. */
  read(offset: number, into: Uint8Array): void {
    this.#registers.read(offset, into);
  }

  /** Writes of 4 or 8 bytes to aligned places; hardware ignores others. */
  write(offset: number, data: Uint8Array): void {
    if (offset % 4 !== 0 || (data.length !== 4 && data.length !== 8)) return;
    const view = new DataView(data.buffer, data.byteOffset, data.length);
    for (let at = 0; at < data.length; at += 4) this.#writeWord(offset + at, view.getUint32(at, true));
  }

  /** Reset of the device as a whole: at once, and with all registers back to their first values. */
  reset(): void {
    const clean = (this.#registers.get(REG.CSTS) & CSTS.SHST_MASK) === CSTS.SHST_COMPLETE;
    if (this.#engine !== null && !clean) this.#host.health.unsafeShutdowns++;
    void this.#engine?.stop();
    this.#engine = null;
    this.#enabled = false;
    this.#shutdown = 0;
    this.#stopping = false;
    this.#era++;
    this.#registers.reset();
  }

  #writeWord(offset: number, value: number): void {
    if (offset >= DOORBELLS) {
      this.#engine?.doorbell((offset - DOORBELLS) / 4, value & 0xffff);
      return;
    }
    const register = RegisterFile.at(offset);
    if (register === undefined || register.access === "ro") return;
    switch (register.name) {
      case "INTMS":
        this.#mask(this.#registers.get(REG.INTMS) | value);
        break;
      case "INTMC":
        this.#mask(this.#registers.get(REG.INTMS) & ~value);
        break;
      default:
        this.#registers.set(offset, value);
        if (register.name === "CC") this.#configure();
    }
  }

  /** Both registers show the mask. */
  #mask(mask: number): void {
    this.#registers.set(REG.INTMS, mask >>> 0);
    this.#registers.set(REG.INTMC, mask >>> 0);
  }

  /** Makes CC true. */
  #configure(): void {
    if (this.#stopping) return;
    const wanted = configurationOf(this.#registers.get(REG.CC));
    if (this.#enabled && !wanted.enabled) {
      this.#stop();
      return;
    }
    if (wanted.enabled && !this.#enabled) this.#start(wanted);
    if (wanted.shutdown === this.#shutdown) return;
    this.#shutdown = wanted.shutdown;
    if (wanted.shutdown !== 0) void this.#shutDown();
  }

  #start(wanted: Configuration): void {
    const sizes = this.#registers.get(REG.AQA);
    const admin = {
      submission: { base: this.#registers.address(REG.ASQ), entries: (sizes & 0xfff) + 1 },
      completion: { base: this.#registers.address(REG.ACQ), entries: ((sizes >>> 16) & 0xfff) + 1 },
      pageBytes: 4096 << wanted.pageShift,
    };
    this.#enabled = true;
    const wrong = faultOf(wanted, admin);
    if (wrong === null) {
      this.#engine = new Engine(this.#host, admin);
      this.#setStatus(CSTS.RDY);
    } else {
      this.#fatal(`cannot be enabled: ${wrong}`);
    }
  }

  #stop(): void {
    const era = this.#era;
    const engine = this.#engine;
    this.#engine = null;
    this.#enabled = false;
    this.#stopping = true;
    void (engine?.stop() ?? Promise.resolve()).then(() => {
      if (era !== this.#era) return;
      this.#stopping = false;
      this.#shutdown = 0;
      this.#setStatus(0);
      this.#configure();
    });
  }

  async #shutDown(): Promise<void> {
    const era = this.#era;
    const { store } = this.#host.namespace;
    this.#setStatus((this.#status & ~CSTS.SHST_MASK) | CSTS.SHST_OCCURRING);
    try {
      await store.flush();
    } catch (error) {
      this.#host.log.error(`nvme: the store cannot be flushed at shutdown: ${(error as Error).message}`);
    }
    if (era !== this.#era || this.#shutdown === 0) return;
    this.#setStatus((this.#status & ~CSTS.SHST_MASK) | CSTS.SHST_COMPLETE);
  }

  #fatal(why: string): void {
    this.#host.log.warning(`nvme: ${why}; the controller waits for a reset`);
    this.#setStatus(this.#status | CSTS.CFS);
  }

  get #status(): number {
    return this.#registers.get(REG.CSTS);
  }

  #setStatus(value: number): void {
    this.#registers.set(REG.CSTS, value);
  }
}

/** Why a controller cannot be enabled like this, or null. */
function faultOf(wanted: Configuration, admin: ConstructorParameters<typeof Engine>[1]): string | null {
  if (wanted.commandSet !== 0) return `command set ${wanted.commandSet} is not offered`;
  if (wanted.pageShift > MAX_PAGE_SHIFT) return `pages of ${2 ** wanted.pageShift * 4} KiB are not offered`;
  if (wanted.arbitration !== 0) return `arbitration ${wanted.arbitration} is not offered`;
  if (wanted.sqEntry !== 0 && wanted.sqEntry !== 6) return `submissions of 2^${wanted.sqEntry} bytes`;
  if (wanted.cqEntry !== 0 && wanted.cqEntry !== 4) return `completions of 2^${wanted.cqEntry} bytes`;
  for (const { base, entries } of [admin.submission, admin.completion]) {
    if (entries < 2) return `an admin queue of ${entries} entry`;
    if (base % admin.pageBytes !== 0) return `an admin queue at 0x${base.toString(16)}, not the start of a page`;
  }
  return null;
}
