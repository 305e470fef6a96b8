// The outcome of a run in the forms that other programs read: TAP version 13, JUnit's XML, JSON. TAP is printed as results
// come, the other two at the end. Called by commands/conformance.ts.
import type { Result } from "./check.ts";

export const FORMATS = ["tap", "junit", "json"] as const;
export type Format = (typeof FORMATS)[number];

export interface Report {
  result(result: Result): void;
  end(trouble: string | null): void;
}

export interface Counts {
  passed: number;
  failed: number;
  differs: number;
  skipped: number;
}

export function countOf(results: readonly Result[]): Counts {
  const of = (outcome: Result["outcome"]): number => results.filter((result) => result.outcome === outcome).length;
  return { passed: of("pass"), failed: of("fail"), differs: of("differs"), skipped: of("skip") };
}

export function reportAs(format: Format, total: number, socket: string, print: (line: string) => void): Report {
  if (format === "tap") return tap(total, print);
  const results: Result[] = [];
  return {
    result: (result) => void results.push(result),
    end: (trouble) => print(format === "json" ? json(socket, results, trouble) : junit(socket, results, trouble)),
  };
}

function tap(total: number, print: (line: string) => void): Report {
  const results: Result[] = [];
  print("TAP version 13");
  print(`1..${total}`);
  return {
    result(result) {
      results.push(result);
      const { outcome, name, reason } = result;
      const mark = { pass: "", fail: "", differs: " # TODO differs from libvfio-user", skip: ` # SKIP ${reason}` }[
        outcome
      ];
      const ok = outcome === "fail" || outcome === "differs" ? "not ok" : "ok";
      print(`${ok} ${results.length} - ${name.replaceAll("#", "\\#")}${mark}`);
      if (outcome !== "fail" && outcome !== "differs") return;
      print("  ---");
      for (const key of ["severity", "reference", "sent", "expected", "got"] as const)
        print(`  ${key}: ${JSON.stringify(result[key])}`);
      print("  ...");
    },
    end(trouble) {
      const { passed, failed, differs, skipped } = countOf(results);
      if (trouble !== null) print(`Bail out! ${trouble}`);
      print(`# ${passed} passed, ${failed} failed, ${differs} differ from libvfio-user, ${skipped} skipped`);
    },
  };
}

function json(socket: string, results: readonly Result[], trouble: string | null): string {
  return JSON.stringify({ socket, ...countOf(results), trouble, results }, null, 2);
}

function junit(socket: string, results: readonly Result[], trouble: string | null): string {
  const { failed, skipped } = countOf(results);
  const seconds = (ms: number): string => (ms / 1000).toFixed(3);
  const cases = results.map((result) => {
    const [family = "", ...rest] = result.name.split(": ");
    const head = `<testcase classname="${xml(family)}" name="${xml(rest.join(": "))}" time="${seconds(result.ms)}"`;
    const text = xml(`expected ${result.expected}; got ${result.got}`);
    const more = xml(`${result.reference}\nsent: ${result.sent}`);
    if (result.outcome === "fail") return `  ${head}><failure message="${text}">${more}</failure></testcase>`;
    if (result.outcome === "skip") return `  ${head}><skipped message="${xml(result.reason ?? "")}"/></testcase>`;
    if (result.outcome === "differs") return `  ${head}><system-out>differs: ${text}</system-out></testcase>`;
    return `  ${head}/>`;
  });
  const time = seconds(results.reduce((sum, { ms }) => sum + ms, 0));
  const counts = `tests="${results.length}" failures="${failed}" skipped="${skipped}" errors="${trouble === null ? 0 : 1}"`;
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuite name="vfio-user ${xml(socket)}" ${counts} time="${time}">`,
    ...cases,
    ...(trouble === null ? [] : [`  <system-err>${xml(trouble)}</system-err>`]),
    "</testsuite>",
  ].join("\n");
}

function xml(text: string): string {
  const safe: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\n": "&#10;" };
  // Control characters are not allowed in XML at all.
  return [...text].map((c) => safe[c] ?? (c < " " ? "?" : c)).join("");
}
