#!/usr/bin/env node
// An NVMe disk at a vfio-user socket: `main.js SOCKET [--size 64M] [--file PATH]`. Ends in order at SIGINT and SIGTERM, and
// then tells what it did. The device is device.ts; where the blocks are kept, store.ts and file-store.ts.
import { parseArgs } from "node:util";
import { type Log, VfioUserError } from "@emudev/vfio-user";
import { MAX_QUEUES, nvmeDevice } from "./device.ts";
import { FileStore } from "./file-store.ts";
import { MemoryStore } from "./store.ts";

const USAGE = `usage: main.js SOCKET [--size BYTES] [--file PATH] [--block-size 512|4096] [--queues N] [--serial TEXT] [--verbose]

  --size        of the disk; 64M by default, K, M and G are known; a file that is there has its own size
  --file        keep the blocks in this file; without it they are lost when this process ends
  --block-size  logical blocks of 512 (default) or 4096 bytes
  --queues      I/O queue pairs, 1 to ${MAX_QUEUES}; 8 by default
  --serial      serial number, up to 20 characters
  --verbose     tell of clients and of what the driver did wrong`;

function bytesOf(text: string): number {
  const match = /^(\d+)([KMG]?)$/i.exec(text);
  const bytes = Number(match?.[1]) * 1024 ** " KMG".indexOf((match?.[2] || " ").toUpperCase());
  if (!(bytes > 0 && bytes <= 2 ** 44)) throw new Error(`'${text}' is no size: a number with K, M or G, up to 16384G`);
  return bytes;
}

function oneOf(text: string, what: string, allowed: (value: number) => boolean, usual: string): number {
  const value = Number(text);
  if (!allowed(value)) throw new Error(`--${what} ${text}: ${usual} is expected`);
  return value;
}

async function start(args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      size: { type: "string" },
      file: { type: "string" },
      "block-size": { type: "string", default: "512" },
      queues: { type: "string", default: "8" },
      serial: { type: "string", default: "EMUDEV0001" },
      verbose: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(USAGE);
    return;
  }
  const [path, ...rest] = positionals;
  if (path === undefined || rest.length > 0) throw new Error("one socket path is expected");
  const blockBytes = oneOf(
    values["block-size"],
    "block-size",
    (value) => value === 512 || value === 4096,
    "512 or 4096",
  );
  const queues = oneOf(values.queues, "queues", (n) => Number.isInteger(n) && n >= 1 && n <= MAX_QUEUES, "1 to 64");
  if (!/^[\x20-\x7e]{1,20}$/.test(values.serial))
    throw new Error("--serial: up to 20 printable characters are expected");
  const size = values.size === undefined ? undefined : bytesOf(values.size);
  const store = values.file === undefined ? new MemoryStore(size ?? 64 << 20) : new FileStore(values.file, size);
  if (store.bytes < blockBytes) throw new Error(`the disk has ${store.bytes} bytes, not even one block`);

  const device = nvmeDevice({ store, blockBytes, queues, serial: values.serial, log: logTo(values.verbose) });
  await device.listen(path);
  console.log(`nvme: ${store.bytes / 2 ** 20} MiB at ${path}`);
  const end = async (): Promise<void> => {
    await device.close();
    await store.flush();
    store.close();
    const { reads, writes, flushes, bytesRead, bytesWritten, interrupts, errors, mediaErrors } = device.health;
    const told = { reads, writes, flushes, bytesRead, bytesWritten, interrupts, errors, mediaErrors };
    console.log(`nvme: ${JSON.stringify(told)}`);
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void end());
}

function logTo(verbose: boolean): Log {
  const say = (line: string): void => console.error(line);
  const quiet = verbose ? say : (): void => {};
  return { error: say, warning: say, notice: quiet, info: quiet, debug: () => {} };
}

try {
  await start(process.argv.slice(2));
} catch (error) {
  const usage = error instanceof VfioUserError ? "" : `\n${USAGE}`;
  console.error(`nvme: ${(error as Error).message}${usage}`);
  process.exitCode = usage === "" ? 1 : 2;
}
