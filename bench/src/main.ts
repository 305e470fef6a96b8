// `npm run bench`: runs the benches, prints a table, and writes the figures as JSON where a script wants to compare them.
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { Arena } from "@emudev/shm";
import { benches } from "./benches.ts";
import { boundViolation } from "./bounds.ts";
import { FULL, QUICK, type Result } from "./measure.ts";
import { nativeMissing } from "./native.ts";
import { rowOf, tableHead } from "./report.ts";

const HELP = `npm run bench -- [--quick] [--check] [--json FILE|-] [--charts FOLDER] [--only NAME]...

  --quick       fewer and shorter rounds, for continuous integration
  --json FILE   also write [{ name, value, unit, ratio, spread }, ...] to FILE; - is standard output
  --charts DIR  also draw them as SVG files in DIR
  --check       fail when a ratio is beyond its bound (src/bounds.ts)
  --only NAME   only benches whose name contains NAME; may be repeated

value: median over the rounds. ratio: our time by that of the C baseline, in the same round (1.5 = C is 1.5 times as
fast). spread: distance of the quartiles of the value, by its median.
`;

const options = readOptions();

if (options.help) {
  process.stdout.write(HELP);
  process.exit(0);
}

const chosen = benches.filter(
  ({ name }) => options.only.length === 0 || options.only.some((part) => name.includes(part)),
);
if (chosen.length === 0) {
  console.error(
    `bench: --only ${options.only.join(" ")} matches none of: ${benches.map(({ name }) => name).join(", ")}`,
  );
  process.exit(2);
}

// Standard output is the JSON's when it goes there.
const print = options.json === "-" ? console.error : console.log;
const missing = nativeMissing();
if (missing !== undefined) print(`bench: ${missing}; the ratios to C are left out`);

const arena = Arena.create();
const effort = options.quick ? QUICK : FULL;
const results: Result[] = [];
print(tableHead());
for (const bench of chosen) {
  try {
    let outcome = await bench.run(arena, effort);
    // A second look, before a figure fails the run: a neighbour may have been busy.
    if (options.check && violations(outcome).length > 0) outcome = await bench.run(arena, effort);
    if (typeof outcome === "string") {
      print(`${bench.name}: left out: ${outcome}`);
      continue;
    }
    for (const result of outcome) print(rowOf(result));
    if (options.check)
      for (const violation of violations(outcome)) {
        print(violation);
        process.exitCode = 1;
      }
    results.push(...outcome);
  } catch (error) {
    print(`${bench.name}: failed: ${error instanceof Error ? error.message : error}`);
    process.exitCode = 1;
  }
}
if (options.json !== undefined) {
  const text = `${JSON.stringify(results, null, 2)}\n`;
  if (options.json === "-") process.stdout.write(text);
  else writeFileSync(options.json, text);
}

if (options.charts !== undefined && results.length > 0) {
  const { writeCharts } = await import("./charts.ts");
  print(`charts in ${options.charts}: ${writeCharts(options.charts, results).join(", ")}`);
}

function violations(outcome: Result[] | string): string[] {
  if (typeof outcome === "string") return [];
  return outcome.map(boundViolation).filter((violation) => violation !== null);
}

function readOptions() {
  try {
    return parseArgs({
      options: {
        quick: { type: "boolean", default: false },
        json: { type: "string" },
        charts: { type: "string" },
        check: { type: "boolean", default: false },
        only: { type: "string", multiple: true, default: [] },
        help: { type: "boolean", default: false },
      },
    }).values;
  } catch (error) {
    console.error(`bench: ${(error as Error).message}\n\n${HELP}`);
    process.exit(2);
  }
}
