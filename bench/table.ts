/** The measurements as a table, for a terminal or a page. */
import type { Measured } from "./runner.ts";
import { judge, ratioTo, type Judged } from "./targets.ts";

const headings = [
  "program",
  "CPU µs/request",
  "min–max",
  "× fastify",
  "× nginx",
  "must",
  "aim",
  "requests/s",
  "p99 ms",
  "busy",
  "MiB idle/load",
];

function rowsOf(measured: readonly Measured[]): string[][] {
  return measured.map((one) => {
    const { median, min, max } = one.cpuMicrosPerRequest;
    const { must, aim } = judge(one.name, measured);
    const busy = Math.min(...one.runs.map((run) => run.busy));
    return [
      one.title,
      median.toFixed(1),
      `${min.toFixed(1)}–${max.toFixed(1)}`,
      ratioTo(one.name, "fastify-http-proxy", measured)?.toFixed(2) ?? "",
      ratioTo(one.name, "nginx", measured)?.toFixed(2) ?? "",
      verdict(must),
      verdict(aim),
      one.requestsPerSecond.median.toFixed(0),
      (one.p99Micros.median / 1_000).toFixed(1),
      percent(busy),
      `${mebibytes(one.idleResidentBytes)}/${mebibytes(one.residentBytes)}`,
    ];
  });
}

function verdict(judged: Judged | undefined): string {
  if (judged === undefined) return "";
  const peer = judged.of === "fastify-http-proxy" ? "fastify" : judged.of;
  return `${judged.met ? "yes" : "NO"} (≤ ${judged.times} × ${peer})`;
}

function mebibytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(0);
}

/** Columns in line; all but the first to the right. */
export function plainTable(measured: readonly Measured[]): string {
  const rows = [headings, ...rowsOf(measured)];
  const widths = headings.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows
    .map((row) =>
      row
        .map((cell, column) =>
          column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!),
        )
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

export function markdownTable(measured: readonly Measured[]): string {
  const rows = [
    headings,
    headings.map((_, column) => (column === 0 ? "---" : "--:")),
    ...rowsOf(measured),
  ];
  return rows.map((row) => `| ${row.join(" | ")} |`).join("\n");
}

/** What a reader must know before believing the figures: noise, and load that was too weak. */
export function remarks(measured: readonly Measured[]): string[] {
  return measured.flatMap((one) => {
    const idle = Math.max(...one.runs.map((run) => 1 - run.busy - (run.disturbed ?? 0)));
    const disturbed = Math.max(...one.runs.map((run) => run.disturbed ?? 0));
    const { min, max, median } = one.cpuMicrosPerRequest;
    const spread = (max - min) / median;
    return [
      idle > 0.1 &&
        `${one.name}: its core was idle for up to ${percent(idle)}: the load was the limit, requests/s say nothing`,
      disturbed > 0.05 && `${one.name}: others took up to ${percent(disturbed)} of its core`,
      spread > 0.15 && `${one.name}: the runs differ by ${percent(spread)}: not a quiet machine`,
    ].filter((line) => line !== false);
  });
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`;
}
