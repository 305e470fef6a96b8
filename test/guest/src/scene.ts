// What a guest test sets up and must take down again: a folder for sockets, testpmds, guests, namespaces. `scene` hands these
// out, ends them in the right order whatever happens, and adds both logs to a failure. It also turns what this machine lacks
// into a skip that says why, or, where the equipment must be there, into a failure.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureLab, type Lab } from "./fetch.ts";
import { LabError } from "./lab-error.ts";
import { fullyEquipped, noTap } from "./machine.ts";
import { NetNs } from "./netns.ts";
import { Program } from "./program.ts";
import { Guest, type GuestOptions } from "./qemu.ts";
import { Testpmd, type TestpmdOptions } from "./testpmd.ts";

/** The part of vitest's test context that is used here. */
export interface Context {
  skip(reason?: string): never;
}

const UNAVAILABLE = new Set(["PLATFORM", "TOOL", "MIRROR", "FETCH"]);
const fetched = new Map<boolean, Promise<Lab>>();

/** Skips the test for a reason, unless this machine has all that it takes: then the reason is a failure. */
export function unavailable(context: Context, reason: string): never {
  if (fullyEquipped()) throw new LabError("PLATFORM", `cannot run, though this machine is equipped for it: ${reason}`);
  context.skip(reason);
}

export class Scene {
  readonly folder = mkdtempSync(join(tmpdir(), "emudev-scene-"));
  readonly #lab: Lab;
  readonly #guests: Guest[] = [];
  readonly #testpmds: Testpmd[] = [];
  readonly #programs: Program[] = [];
  readonly #namespaces: NetNs[] = [];

  constructor(lab: Lab) {
    this.#lab = lab;
  }

  socket(index = 0): string {
    return join(this.folder, `avf${index}.sock`);
  }

  /** Devargs of an AVF and of its backend port; both are number `index`. */
  avf(index = 0, devargs = "", backend = ""): string[] {
    const with_ = (text: string): string => (text === "" ? "" : `,${text}`);
    return [
      `--vdev=emu_iavf${index},path=${this.socket(index)},id=${index}${with_(devargs)}`,
      `--vdev=net_avfbe${index},id=${index},avf_emu_id=${index}${with_(backend)}`,
    ];
  }

  async testpmd(options: TestpmdOptions): Promise<Testpmd> {
    const testpmd = await Testpmd.start(options);
    this.#testpmds.push(testpmd);
    return testpmd;
  }

  /** Starts a program of apps/devices, which gets a socket's path as its first argument, and waits until it listens. */
  async device(program: string, ...args: string[]): Promise<Program> {
    const device = new Program(`apps/devices/dist/${program}`, [this.socket(this.#programs.length), ...args]);
    this.#programs.push(device);
    await device.said(/\n/);
    return device;
  }

  async boot(options: Partial<GuestOptions> & { name: string }): Promise<Guest> {
    const guest = new Guest(this.#lab, { devices: [this.socket()], ...options });
    this.#guests.push(guest);
    await guest.up(1);
    return guest;
  }

  netns(): NetNs {
    const netns = new NetNs();
    this.#namespaces.push(netns);
    return netns;
  }

  /** Logs of all that runs, for a failure's message. */
  logs(): string {
    const testpmds = this.#testpmds.map((testpmd) => `\n--- testpmd:\n${testpmd.tail()}`);
    const programs = this.#programs.map(({ name, output }) => `\n--- ${name}:\n${output.slice(-3000)}`);
    return [...testpmds, ...programs, ...this.#guests.map((guest) => guest.log())].join("");
  }

  /** Ends everything; a testpmd or a device that did not end in order is told. */
  async close(): Promise<string | null> {
    await Promise.all(this.#guests.map((guest) => guest.destroy()));
    const exits = await Promise.all(this.#testpmds.map((testpmd) => testpmd.quit()));
    const ends = await Promise.all(this.#programs.map((program) => program.end()));
    const lost = ends.findIndex(({ code }) => code !== 0);
    const bad = exits.findIndex(({ code }) => code !== 0);
    for (const netns of this.#namespaces) netns.remove();
    rmSync(this.folder, { recursive: true, force: true });
    if (lost >= 0) return `${this.#programs[lost]!.name} ended with ${JSON.stringify(ends[lost])}${this.logs()}`;
    return bad < 0 ? null : `testpmd ended with ${JSON.stringify(exits[bad])}:\n${this.#testpmds[bad]!.tail()}`;
  }
}

/** Wraps a test's body: sets the scene, and strikes it whatever happens. */
export function scene(
  body: (scene: Scene, context: Context) => Promise<void>,
  needs: { tap?: boolean; drivers?: boolean } = {},
) {
  return async (context: Context): Promise<void> => {
    const lacking = needs.tap ? noTap() : null;
    if (lacking !== null) unavailable(context, lacking);
    const drivers = needs.drivers ?? false;
    const ensured = fetched.get(drivers) ?? ensureLab({ say: console.log, drivers });
    fetched.set(drivers, ensured);
    const lab = await ensured.catch((error: LabError) => {
      if (UNAVAILABLE.has(error.code)) unavailable(context, error.message);
      throw error;
    });
    const set = new Scene(lab);
    try {
      await body(set, context);
    } catch (error) {
      if (error instanceof Error) error.message += set.logs();
      await set.close();
      throw error;
    }
    const disorder = await set.close();
    if (disorder !== null) throw new LabError("COMMAND", disorder);
  };
}
