// Sums up a run of .ci/run: each step without tests of its own counts as one test, each suite by vitest's JSON report. Names
// what failed or was skipped, then prints the line "N passed, N failed, N skipped" last; fails unless all was well.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const folder = process.argv[2];
const suites = { test: "test.json", "test on Node 24": "test-node-24.json", guests: "guests.json" };
/** The one guest test that a full machine may lack the means for: free memory in huge pages. */
const maySkip = /huge pages/;
const total = { passed: 0, failed: 0, skipped: 0 };

for (const line of readFileSync(join(folder, "steps"), "utf8").trim().split("\n")) {
  const [, status, seconds, step] = /^(\d+) (\d+) (.*)$/.exec(line);
  const counts = { passed: 0, failed: 0, skipped: 0 };
  const report = suites[step] && join(folder, suites[step]);
  if (report && existsSync(report)) {
    const { testResults } = JSON.parse(readFileSync(report, "utf8"));
    for (const file of testResults) {
      if (file.assertionResults.length === 0 && file.status === "failed")
        note(counts, step, "failed", file.name, file.message);
      for (const { status: result, fullName, failureMessages } of file.assertionResults) {
        const verdict = result === "passed" || result === "failed" ? result : "skipped";
        const refused = verdict === "skipped" && step === "guests" && !maySkip.test(fullName);
        note(
          counts,
          step,
          refused ? "failed" : verdict,
          fullName,
          refused ? "skipped, though all must run here" : failureMessages?.[0],
        );
      }
    }
    if (status !== "0" && counts.failed === 0) note(counts, step, "failed", `ended with status ${status}`);
  } else note(counts, step, status === "0" && !report ? "passed" : "failed", `status ${status}`);
  console.log(`${step}: ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped, ${seconds} s`);
  for (const key of Object.keys(total)) total[key] += counts[key];
}

function note(counts, step, verdict, name, message) {
  counts[verdict]++;
  if (verdict !== "passed")
    console.log(`  ${step}: ${verdict}: ${name}${message ? `: ${message.split("\n")[0].slice(0, 200)}` : ""}`);
}

console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exit(total.failed === 0 ? 0 : 1);
