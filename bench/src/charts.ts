// `--charts FOLDER`: the figures as SVG, drawn by Apache ECharts without a browser. One chart for each family of benches:
// packets a second by size (peers, path), round trips by load and their histograms (latency, idle), time by C's time (micro). Called by main.ts.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type EChartsOption, init } from "echarts";
import type { Result } from "./measure.ts";

const WIDTH = 860;
const HEIGHT = 420;

/** Writes what can be drawn of the results; returns the files' names. */
export function writeCharts(folder: string, results: readonly Result[]): string[] {
  const charts: Record<string, EChartsOption | null> = {
    "peers.svg": peersChart(results),
    "path.svg": pathChart(results),
    "latency-64.svg": latencyChart(results, 64),
    "latency-1518.svg": latencyChart(results, 1518),
    "histogram-64.svg": histogramChart(
      results,
      /^latency\/(.+)-64\/(10|50|90)%\/p50$/,
      "Round trips of 64-byte packets",
    ),
    "idle.svg": histogramChart(results, /^idle\/(.+)\/first-packet\/(p50)$/, "First packet after a second of idle"),
    "micro.svg": microChart(results),
  };
  mkdirSync(folder, { recursive: true });
  return Object.entries(charts).flatMap(([file, option]) => {
    if (option === null) return [];
    writeFileSync(join(folder, file), svgOf(option));
    return [file];
  });
}

function svgOf(option: EChartsOption): string {
  const chart = init(null, null, { renderer: "svg", ssr: true, width: WIDTH, height: HEIGHT });
  chart.setOption({ animation: false, backgroundColor: "#ffffff", legend: { bottom: 0 }, ...option });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}

/** `peers/WHO/WAY-SIZE` and `peers/memif-SIZE`. */
function peersChart(results: readonly Result[]): EChartsOption | null {
  const rates = results.flatMap(({ name, value }) => {
    const match = /^peers\/(.+)-(\d+)$/.exec(name);
    return match === null ? [] : [{ who: match[1]!, size: Number(match[2]), value }];
  });
  if (rates.length === 0) return null;
  const sizes = unique(rates.map(({ size }) => size));
  return {
    title: { text: "One way between two processes, one core each" },
    xAxis: { type: "category", name: "bytes", data: sizes.map(String) },
    yAxis: { type: "value", name: "million packets/s" },
    series: unique(rates.map(({ who }) => who)).map((who) => ({
      type: "bar",
      name: who,
      data: sizes.map((size) => millions(rates.find((rate) => rate.who === who && rate.size === size)?.value)),
    })),
  };
}

/** `path/WAY-SIZE-QUEUESq`, of 4 KiB pages with a suffix. */
function pathChart(results: readonly Result[]): EChartsOption | null {
  const rates = results.flatMap(({ name, value }) => {
    const match = /^path\/(.+)-(\d+)-(\d+q(?:-4k)?)$/.exec(name);
    return match === null ? [] : [{ who: `${match[1]} ${match[3]}`, size: Number(match[2]), value }];
  });
  if (rates.length === 0) return null;
  const sizes = unique(rates.map(({ size }) => size));
  return {
    title: { text: "Between two processes of ours, by queues" },
    xAxis: { type: "category", name: "bytes", data: sizes.map(String) },
    yAxis: { type: "value", name: "million packets/s" },
    series: unique(rates.map(({ who }) => who)).map((who) => ({
      type: "bar",
      name: who,
      data: sizes.map((size) => millions(rates.find((rate) => rate.who === who && rate.size === size)?.value)),
    })),
  };
}

/** `latency/WHO-SIZE/SHARE%/QUANTILE` */
function latencyChart(results: readonly Result[], wanted: number): EChartsOption | null {
  const trips = results.flatMap(({ name, value }) => {
    const match = /^latency\/(.+)-(\d+)\/(\d+)%\/(p\d+)$/.exec(name);
    if (match === null || Number(match[2]) !== wanted || match[3] === "100") return [];
    return [{ line: `${match[1]} ${match[4]}`, share: Number(match[3]), value }];
  });
  if (trips.length === 0) return null;
  const shares = unique(trips.map(({ share }) => share));
  return {
    title: { text: `Round trip of ${wanted}-byte packets` },
    xAxis: { type: "category", name: "% of full load", data: shares.map(String) },
    yAxis: { type: "log", name: "microseconds" },
    series: unique(trips.map(({ line }) => line)).map((line) => ({
      type: "line",
      name: line,
      lineStyle: { type: line.startsWith("vfio-user") ? "solid" : "dashed" },
      data: shares.map((share) => trips.find((trip) => trip.line === line && trip.share === share)?.value ?? null),
    })),
  };
}

/** Cumulated histograms of those whose name matches, a line for each: what share of the packets took no longer. */
function histogramChart(results: readonly Result[], pattern: RegExp, title: string): EChartsOption | null {
  const lines = results.flatMap(({ name, histogram }) => {
    const match = pattern.exec(name);
    if (match === null || histogram === undefined) return [];
    let sum = 0;
    const data = histogram.map(([us, share]) => {
      sum += 100 * share;
      return [us, Number(sum.toFixed(3))];
    });
    return [{ line: match[2] === "p50" ? match[1]! : `${match[1]} at ${match[2]} %`, data }];
  });
  if (lines.length === 0) return null;
  return {
    title: { text: title },
    xAxis: { type: "log", name: "microseconds" },
    yAxis: { type: "value", name: "% of packets", max: 100 },
    series: lines.map(({ line, data }) => ({
      type: "line",
      step: "end",
      showSymbol: false,
      name: line,
      lineStyle: { type: line.startsWith("vhost") ? "dashed" : "solid" },
      data,
    })),
  };
}

/** Everything else that has a ratio. */
function microChart(results: readonly Result[]): EChartsOption | null {
  const bars = results.filter(
    ({ name, ratio }) => ratio !== null && !/^(peers|latency|transport|pair|rings|fwd)\//.test(name),
  );
  if (bars.length === 0) return null;
  return {
    title: { text: "Time by that of the same work in C (1 = as fast)" },
    grid: { left: 180 },
    legend: { show: false },
    xAxis: { type: "value" },
    yAxis: { type: "category", inverse: true, data: bars.map(({ name }) => name) },
    series: [
      {
        type: "bar",
        data: bars.map(({ ratio }) => Number(ratio!.toFixed(2))),
        label: { show: true, position: "right" },
        markLine: { symbol: "none", data: [{ xAxis: 1 }] },
      },
    ],
  };
}

const unique = <T>(values: readonly T[]): T[] => [...new Set(values)];
const millions = (value: number | undefined): number | null =>
  value === undefined ? null : Number((value / 1e6).toFixed(2));
