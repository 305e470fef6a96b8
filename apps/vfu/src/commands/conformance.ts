// `vfu conformance`: checks any server against the specification and against what libvfio-user's own tests pin down, as far
// as a socket can show it. The server must be free: each check is a client of its own.
import { command, withSocket } from "../command.ts";
import type { Result } from "../conformance/check.ts";
import { CHECKS } from "../conformance/checks/index.ts";
import { gatherFacts } from "../conformance/facts.ts";
import { countOf, FORMATS, type Format, reportAs } from "../conformance/report.ts";
import { runChecks } from "../conformance/runner.ts";
import { usage } from "../errors.ts";

const WAIT_MS = 2000;

export const conformance = command({
  command: "conformance <socket>",
  describe: "check the server, message by message, against specification and reference",
  options: (yargs) =>
    withSocket(yargs)
      .option("format", { choices: FORMATS, default: "tap" as Format, describe: "of the report; --json is json" })
      .option("only", { type: "string", describe: "checks whose name contains this" })
      .option("list", { type: "boolean", default: false, describe: "name the checks and run none" })
      .option("destructive", { type: "boolean", default: false, describe: "also checks that change the device" })
      .option("strict", { type: "boolean", default: false, describe: "a difference from libvfio-user is a failure" }),
  run: async ({ socket, timeout, format, json, only, list, destructive, strict }, { out, signal }) => {
    const chosen = CHECKS.filter(({ name }) => only === undefined || name.includes(only));
    if (chosen.length === 0) throw usage(`--only ${only}: no check has that in its name (--list names them)`);
    if (list) {
      for (const { name, severity, reference } of chosen) out.line(`${name} (${severity}; ${reference})`);
      return 0;
    }
    const facts = await gatherFacts(socket, timeout);
    const report = reportAs(json ? "json" : format, chosen.length, socket, (line) => out.line(line));
    const results: Result[] = [];
    const onResult = (result: Result): void => {
      results.push(result);
      report.result(result);
    };
    const trouble = await runChecks(chosen, {
      socket,
      facts,
      timeoutMs: timeout,
      waitMs: WAIT_MS,
      destructive,
      strict,
      signal,
      onResult,
    });
    report.end(trouble);
    return countOf(results).failed > 0 || trouble !== null ? 1 : 0;
  },
});
