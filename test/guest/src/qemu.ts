// One guest: QEMU's command line (vfio-user-pci needs the server to listen before), its process, and the agent in the guest
// that runs a test's commands. A guest is bounded in time and resident memory and never outlives the test. The console goes
// to a log file, which errors quote. Used by the tests and by console.ts.
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Agent, type RunResult } from "./agent.ts";
import { Child, type Exit } from "./child.ts";
import type { Lab } from "./fetch.ts";
import { LabError } from "./lab-error.ts";
import { kvmWorks } from "./machine.ts";

export interface GuestOptions {
  name: string;
  memoryMiB?: number;
  smp?: number;
  /** "shared": a memfd that vfio-user servers can map. "private": no file descriptors. "hugetlb": shared, 2 MiB pages. */
  ram?: "shared" | "private" | "hugetlb";
  /** vfio-user sockets; the first device is at 05.0, the next at 06.0 ... */
  devices: readonly string[];
  /** Whether a reboot restarts the guest; otherwise it ends QEMU. */
  reboot?: boolean;
  /** Seconds after which QEMU is killed whatever happens. */
  maxSeconds?: number;
}

const KERNEL_LINE = "console=ttyS0 quiet panic=-1 nokaslr mitigations=off tsc=reliable no_timer_check";

/** QEMU's arguments for a guest, without its serial ports. */
export function guestArguments(lab: Lab, options: GuestOptions, append = ""): string[] {
  const memory = `${options.memoryMiB ?? 256}M`;
  const huge = options.ram === "hugetlb" ? ",hugetlb=on,hugetlbsize=2M" : "";
  const backend = `memory-backend-memfd,id=mem,size=${memory},share=on${huge}`;
  const shared = options.ram !== "private";
  const accelerator = kvmWorks() ? "kvm" : "tcg,thread=multi";
  const args = ["-accel", accelerator, "-cpu", "max", "-machine", shared ? "q35,memory-backend=mem" : "q35"];
  if (shared) args.push("-object", backend);
  args.push("-m", memory, "-smp", String(options.smp ?? 1), "-nodefaults", "-display", "none");
  if (!options.reboot) args.push("-no-reboot");
  args.push("-kernel", lab.kernel.image, "-initrd", lab.kernel.initrd, "-append", `${KERNEL_LINE} ${append}`.trim());
  options.devices.forEach((path, index) => {
    const device = { driver: "vfio-user-pci", addr: `0${5 + index}.0`, socket: { type: "unix", path } };
    args.push("-device", JSON.stringify(device));
  });
  return args;
}

/** PCI address in the guest of its n-th device. */
export const pciAddress = (index: number): string => `0000:00:0${5 + index}.0`;

export class Guest {
  readonly name: string;
  readonly folder: string;
  readonly exited: Promise<Exit>;
  readonly #child: Child;
  readonly #agent: Agent;
  readonly #watchdog: NodeJS.Timeout;

  /** Starts QEMU; `up` waits for the guest. */
  constructor(lab: Lab, options: GuestOptions) {
    this.name = options.name;
    this.folder = mkdtempSync(join(tmpdir(), `emudev-guest-${options.name}-`));
    const socket = join(this.folder, "agent.sock");
    this.#agent = new Agent(socket);
    const errors = openSync(join(this.folder, "qemu.log"), "w");
    const serial = ["-serial", `file:${join(this.folder, "console.log")}`];
    serial.push("-chardev", `socket,id=agent,path=${socket}`, "-serial", "chardev:agent");
    const [program, ...first] = lab.qemu.argv;
    const args = [...first, ...guestArguments(lab, options), ...serial];
    this.#child = new Child(program!, args, { stdio: ["ignore", errors, errors] });
    closeSync(errors);
    this.exited = this.#child.exited;
    this.exited.then(({ code, signal }) => {
      clearInterval(this.#watchdog);
      this.#agent.close(`QEMU of guest '${this.name}' ended with ${signal ?? `status ${code}`}${this.log()}`);
    });
    const end = Date.now() + (options.maxSeconds ?? 300) * 1000;
    const limit = (options.memoryMiB ?? 256) + 1024;
    this.#watchdog = setInterval(() => {
      if (Date.now() > end || this.#child.residentMiB() > limit) this.kill("SIGKILL");
    }, 1000);
    this.#watchdog.unref();
  }

  /** Starts a guest and waits until its agent answers. */
  static async boot(lab: Lab, options: GuestOptions): Promise<Guest> {
    const guest = new Guest(lab, options);
    try {
      await guest.up(1);
    } catch (error) {
      guest.kill("SIGKILL");
      throw error;
    }
    return guest;
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Waits until the guest has come up `boots` times. */
  async up(boots: number, timeoutMs = 120_000): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      const told = `guest '${this.name}' was not up in ${timeoutMs / 1000} s`;
      timer = setTimeout(() => reject(new LabError("BOOT", told + this.log())), timeoutMs);
    });
    await Promise.race([this.#agent.ready(boots), late]).finally(() => clearTimeout(timer));
  }

  /** Runs a shell command in the guest and returns its exit status and output. */
  run(command: string, timeoutMs = 60_000): Promise<RunResult> {
    return this.#agent.run(command, timeoutMs);
  }

  /** As `run`, but a status other than 0 is an error that shows the output; returns the output. */
  async ok(command: string, timeoutMs = 60_000): Promise<string> {
    const { status, output } = await this.run(command, timeoutMs);
    if (status !== 0)
      throw new LabError(
        "COMMAND",
        `in guest '${this.name}': '${command}' ended with ${status}: ${output}${this.log()}`,
      );
    return output.trimEnd();
  }

  /** Gives the n-th NIC its address, brings it up and waits for the carrier; returns its name. */
  nicUp(index: number, cidr: string): Promise<string> {
    return this.ok(`nic_up ${pciAddress(index)} ${cidr}`);
  }

  /** Reboots the guest inside its QEMU (option `reboot`) and waits until it is up again. */
  async reboot(): Promise<void> {
    const before = this.#agent.boots;
    await this.ok("(sleep 0.2; reboot -f) > /dev/null 2>&1 &");
    await this.up(before + 1);
  }

  /** Lets the guest power off in order, so that its drivers' shutdown is seen too. */
  async powerOff(): Promise<Exit> {
    if (this.#child.exit === null) await this.ok("(sleep 0.1; poweroff -f) > /dev/null 2>&1 &").catch(() => {});
    const timer = setTimeout(() => this.kill("SIGKILL"), 15_000);
    const exit = await this.exited;
    clearTimeout(timer);
    this.#cleanUp();
    return exit;
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Ends the guest at once. */
  async destroy(): Promise<void> {
    this.kill("SIGKILL");
    await this.exited;
    this.#cleanUp();
  }

  /** The end of the console's and of QEMU's own output, for error messages. */
  log(): string {
    const tail = (file: string): string => {
      try {
        const text = readFileSync(join(this.folder, file), "utf8").trimEnd();
        return text === "" ? "" : `\n--- ${file}:\n${text.slice(-3000)}`;
      } catch {
        return "";
      }
    };
    return tail("qemu.log") + tail("console.log");
  }

  #cleanUp(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
