// `npm run test:guest`: real guests, one at a time, because two cores are all there may be. Tests run what is built, as in
// ../vitest.config.ts. A boot takes 6 to 8 seconds under TCG, hence the long limits.
import { defineConfig } from "vitest/config";
import { root, runBuilt } from "../vitest.config.ts";

export default defineConfig({
  plugins: [runBuilt],
  test: {
    root,
    include: ["test/guest/test/*.test.ts"],
    server: { deps: { external: [/\/dist\/.*\.js$/] } },
    pool: "forks",
    maxWorkers: 1,
    fileParallelism: false,
    testTimeout: 240_000,
    hookTimeout: 600_000,
    reporters: ["verbose"],
  },
});
