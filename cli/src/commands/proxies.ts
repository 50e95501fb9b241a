import { ProxyView } from "@tocsin/shared/contract";
import { adminClient } from "../admin-client.ts";
import { understoodList } from "../answer.ts";
import { painter, plain, type Colour } from "../paint.ts";
import { span, table } from "../table.ts";
import { printJson, type ExitCode, type Invocation } from "../terminal.ts";

const journals = ["catalogue", "health", "revocations", "invalidations"] as const;

/** `tocsin proxies list` */
export async function listProxies({ terminal, json }: Invocation): Promise<ExitCode> {
  const { document } = await adminClient(terminal).callJson({ path: "/v1/proxies" });
  const proxies = understoodList(ProxyView.array(), "proxies", document);
  if (json) {
    printJson(terminal, document);
    return 0;
  }
  if (proxies.length === 0) {
    terminal.stderr.write("No proxy has been heard.\n");
    return 0;
  }
  const paint = painter(terminal, terminal.stdout);
  const heading = [
    "PROXY",
    "VERSION",
    "STATE",
    "UP",
    "SEEN",
    ...journals.map((name) => name.toUpperCase()),
  ];
  const rows = proxies.map((proxy) => [
    proxy.proxy,
    proxy.version,
    stateOf(proxy),
    proxy.uptimeMs === undefined ? "" : span(proxy.uptimeMs),
    `${span(proxy.lastSeenMs)} ago`,
    ...journals.map((name) => standing(proxy.journals[name])),
  ]);
  terminal.stdout.write(
    table([heading, ...rows], {
      paint(cell, row, column) {
        if (row === 0) return paint("grey", cell);
        if (column === 2) return paint(stateColours[cell as State], cell);
        if (column < 5) return cell;
        return paint(
          /^\d+ live$/.test(cell) ? "green" : / stale/.test(cell) ? "red" : "yellow",
          cell,
        );
      },
    }),
  );
  for (const proxy of proxies) {
    for (const name of journals) {
      const poisoned = proxy.journals[name]?.poisoned;
      if (poisoned === undefined) continue;
      const { count, sequence, error } = poisoned;
      terminal.stderr.write(
        `${proxy.proxy} refused ${count} of ${name}, last ${sequence}: ${plain(error)}\n`,
      );
    }
  }
  return 0;
}

type State = ReturnType<typeof stateOf>;

/**
 * One word for a proxy: `away` was not heard for 6 s, `left` said goodbye, `behind` is live and lacks what exists, else the worst
 * state of its journals.
 */
function stateOf({ live, leaving, journals }: ProxyView) {
  if (leaving === true) return "left";
  if (!live) return "away";
  const reports = Object.values(journals);
  for (const state of ["stale", "cold", "suspect", "syncing"] as const)
    if (reports.some((report) => report.state === state)) return state;
  return reports.some((report) => behind(report) > 0) ? "behind" : "live";
}

const stateColours: Readonly<Record<State, Colour>> = {
  left: "grey",
  away: "red",
  stale: "red",
  cold: "yellow",
  suspect: "yellow",
  syncing: "yellow",
  behind: "yellow",
  live: "green",
};

type Report = ProxyView["journals"][string];

const behind = ({ lag, head, applied }: Report) => lag ?? Math.max(0, head - applied);

/** `57 live`, `55 suspect, 2 behind, 4.0 s old`: what was applied, and what is wrong with it. */
function standing(report: Report | undefined): string {
  if (report === undefined) return "nothing heard";
  const { applied, state, stalenessMs, poisoned } = report;
  const lag = behind(report);
  const facts = [
    `${applied} ${state}`,
    ...(lag > 0 ? [`${lag} behind`] : []),
    ...(state === "live" || stalenessMs === undefined ? [] : [`${span(stalenessMs)} old`]),
    ...(poisoned === undefined ? [] : [`${poisoned.count} refused`]),
  ];
  return facts.join(", ");
}
