// What `npm start`, `npm test` and the other scripts of package.json do: set up what is missing, then the job itself.
import { rmSync } from "node:fs";
import { join } from "node:path";
import { ensureBuilt, ensureInstalled, root, run } from "./tasks.mjs";

// A ^C on the terminal reaches the job as well, which ends in order; this process waits for it and takes its status.
process.on("SIGINT", () => {});

const [task, ...args] = process.argv.slice(2);
const node = (file, ...rest) => run(process.execPath, [join(root, file), ...rest], { ownWords: true });
const vitest = (config, ...rest) =>
  node("node_modules/vitest/vitest.mjs", "run", "--config", join(root, config), ...rest);

const built = (job) => () => {
  ensureBuilt();
  job();
};
const installed = (job) => () => {
  ensureInstalled();
  job();
};

const tasks = {
  build: () => ensureBuilt(),
  start: built(() => node("apps/testpmd/dist/demo/main.js", ...args)),
  testpmd: built(() => node("apps/testpmd/dist/main.js", ...args)),
  vfu: built(() => node("apps/vfu/dist/main.js", ...args)),
  test: built(() => vitest("test/vitest.config.ts", ...args)),
  guest: built(() => node("test/guest/dist/console.js", ...args)),
  "test:guest": built(() => vitest("test/guest/vitest.config.ts", ...args)),
  bench: built(() => node("bench/dist/main.js", ...args)),
  lint: built(() => {
    node("node_modules/@biomejs/biome/bin/biome", "check", ".", ...args);
    node("node_modules/typescript/bin/tsc", "-p", "test/tsconfig.json"); // the tests, which nothing builds
  }),
  format: installed(() => node("node_modules/@biomejs/biome/bin/biome", "check", "--write", ".", ...args)),
  clean: () => {
    for (const top of ["packages", "apps", "test", "bench"])
      run("find", [top, "-name", "dist", "-type", "d", "-prune", "-exec", "rm", "-rf", "{}", "+"]);
    rmSync(join(root, ".cache"), { recursive: true, force: true });
  },
};
if (tasks[task] === undefined) {
  console.error(
    `emudev: ${task === undefined ? "which task?" : `unknown task '${task}';`} one of ${Object.keys(tasks).join(", ")}`,
  );
  process.exit(2);
}
tasks[task]();
