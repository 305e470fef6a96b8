// The part of the WebAssembly JavaScript interface that this project uses, declared here because neither TypeScript's ES
// libraries nor Node's types do, and the one way kernels are loaded: compiled once a thread, always by the optimising
// compiler, since Liftoff code would cost the first bursts twice their time.
import { readFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";

declare global {
  namespace WebAssembly {
    // Interfaces and vars, not classes: these merge where a program sees this declaration twice, from source and from dist.
    interface Memory {
      readonly buffer: SharedArrayBuffer;
    }
    interface Module {
      readonly [Symbol.toStringTag]: "WebAssembly.Module";
    }
    interface Instance {
      readonly exports: Record<string, unknown>;
    }
    var Memory: new (descriptor: { initial: number; maximum?: number; shared?: boolean }) => Memory;
    var Module: {
      new (bytes: Uint8Array): Module;
      imports(module: Module): { module: string; name: string; kind: string }[];
      exports(module: Module): { name: string; kind: string }[];
    };
    var Instance: new (module: Module, imports: Record<string, Record<string, unknown>>) => Instance;
  }
}

setFlagsFromString("--no-liftoff");

const instances = new Map<string, { memory: WebAssembly.Memory; exports: Record<string, unknown> }>();

/**
 * Instantiates a kernel file over the arena's memory, once in each thread.
 * @param url file URL of the .wasm (for instance `new URL("../kernels.wasm", import.meta.url)`)
 * @param memory the arena's memory
 * @returns the kernel's exports, typed by the caller
 */
export function loadKernels<T>(url: URL, memory: WebAssembly.Memory): T {
  const known = instances.get(url.href);
  if (known !== undefined && known.memory === memory) return known.exports as T;
  const module = new WebAssembly.Module(readFileSync(url));
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  // Kernels that publish by plain stores where the processor keeps their order (shm/assembly/order.ts).
  const { tso } = exports as { tso?: { value: number } };
  if (tso !== undefined) tso.value = process.arch === "x64" ? 1 : 0;
  instances.set(url.href, { memory, exports });
  return exports as T;
}
