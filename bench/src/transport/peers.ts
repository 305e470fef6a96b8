// The programs of the transport bench: the C server and the C client, compiled when they are older than their sources,
// and our server. Servers stay up for the whole bench and sleep while it is not their turn.
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { compileProgram } from "../native.ts";

const OURS = fileURLToPath(new URL("server.js", import.meta.url));

/** What the client prints: nanoseconds. */
export interface Figures {
  p50: number;
  p99: number;
  p999: number;
  /** Of all operations together. */
  total: number;
}

export interface Server {
  path: string;
  stop(): Promise<void>;
}

/** The client's CPU is the second of `cpus`, the servers' the first. */
export type Cpus = readonly [number, number];

export function startC(path: string, [cpu]: Cpus, poll: boolean): Promise<Server> {
  return started(path, "taskset", ["-c", `${cpu}`, compileProgram("vfio-server"), path, ...(poll ? ["poll"] : [])]);
}

export function startOurs(path: string, [cpu]: Cpus, poll: boolean): Promise<Server> {
  return started(path, process.execPath, [OURS, path, `${cpu}`, ...(poll ? ["poll"] : [])]);
}

/** Runs the client once. `spin`: it waits awake. */
export async function measure(path: string, cpus: Cpus, job: string, count: number, spin: boolean): Promise<Figures> {
  const args = ["-c", `${cpus[1]}`, compileProgram("vfio-client"), path, job, `${count}`, ...(spin ? ["spin"] : [])];
  const child = spawn("taskset", args, { stdio: ["ignore", "pipe", "inherit"], timeout: 120_000 });
  let output = "";
  child.stdout.on("data", (chunk) => {
    output += chunk;
  });
  const code = await new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status, signal) => resolve(status ?? signal));
  });
  if (code !== 0) throw new Error(`the client ended with ${code}`);
  return JSON.parse(output) as Figures;
}

function started(path: string, command: string, args: readonly string[]): Promise<Server> {
  const child: ChildProcess = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise<void>((resolve) => child.on("close", () => resolve()));
  const stop = async (): Promise<void> => {
    child.kill();
    await ended;
  };
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.stdout?.once("data", () => resolve({ path, stop }));
    ended.then(() => reject(new Error(`${args.join(" ")} ended before it was ready`)));
  });
}
