// The layers of the repository as data: which package may import which, who may use which third-party module, what stands
// at the top level, which files may be long and which lcore files may use a Node module. tidy.test.ts holds the repository
// to it. A new provider or backend is one row here and needs no change to the rows below it.

/** Package -> the packages it may import. Rows are ordered from the lowest layer up. */
export const LAYERS: Readonly<Record<string, readonly string[]>> = {
  linux: [],
  shm: ["linux"],
  net: [],
  avf: [],
  "vfio-user": ["linux"],
  eal: ["shm", "linux"],
  emudev: ["eal", "shm", "linux"],
  ethdev: ["eal", "shm"],
  "avf-emudev": ["emudev", "vfio-user", "avf", "eal", "shm", "linux"],
  "avfbe-ethdev": ["emudev", "ethdev", "avf", "net", "eal", "shm", "linux"],
  "iavf-ethdev": ["ethdev", "vfio-user", "avf", "net", "eal", "shm", "linux"],
  "soft-ethdev": ["ethdev", "net", "eal", "shm", "linux"],
};

/** Third-party module -> the packages and applications that may import it. */
export const THIRD_PARTY: Readonly<Record<string, readonly string[]>> = {
  koffi: ["linux"],
  piscina: ["eal"],
  yargs: ["eal", "testpmd", "vfu"],
};

/** What may stand at the top level, besides dot-files and what Git ignores. */
export const TOP_LEVEL: readonly string[] = [
  "LICENSE",
  "README.md",
  "apps",
  "bench",
  "package-lock.json",
  "package.json",
  "packages",
  "test",
  "tsconfig.json",
];
export const TOP_LEVEL_DOT: readonly string[] = [".biome.json", ".ci", ".gitignore", ".npmrc"];

/** Files over 400 lines: the tables, each with its reason. */
export const LONG_FILES: Readonly<Record<string, string>> = {};

/** Node modules that files of data folders use at load time or between bursts, never in one. */
export const DATA_NODE_MODULES: Readonly<Record<string, readonly string[]>> = {
  "packages/shm/src/data/wasm.ts": ["node:fs", "node:v8"], // reads and compiles a kernel when it is loaded
};

/** Licences that let anyone use, change and pass on. */
export const PERMISSIVE: readonly string[] = [
  "0BSD",
  "Apache-2.0",
  "BSD-2-Clause",
  "BSD-3-Clause",
  "BlueOak-1.0.0",
  "CC0-1.0",
  "ISC",
  "MIT",
];

/** Other licences, by package, with the reason why they are harmless. */
export const LICENCE_EXCEPTIONS: Readonly<Record<string, string>> = {
  lightningcss: "MPL-2.0: an optional part of vitest's vite, never shipped and not changed",
};
