// Property tests draw the same cases in every run, so that a change is judged by the change alone. Another seed is another
// set of cases: `EMUDEV_SEED=random npm test`, or a number; fast-check prints the seed of a case that fails. Loaded by
// vitest before each test file.
import fc from "fast-check";

const wanted = process.env.EMUDEV_SEED ?? "20201218";
const seed = wanted === "random" ? Math.floor(Math.random() * 2 ** 31) : Number(wanted);
if (!Number.isInteger(seed)) throw new Error(`EMUDEV_SEED is '${wanted}'; it must be an integer or 'random'`);
fc.configureGlobal({ seed });
