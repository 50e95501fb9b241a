import { ProxyView } from "@tocsin/shared/contract";
import { adminClient } from "../admin-client.ts";
import { understoodList } from "../answer.ts";
import { painter } from "../paint.ts";
import { span, table } from "../table.ts";
import { printJson, type ExitCode, type Invocation } from "../terminal.ts";

const journals = ["catalogue", "health", "revocations"] as const;

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
    "SEEN",
    ...journals.map((name) => name.toUpperCase()),
  ];
  const rows = proxies.map((proxy) => [
    proxy.proxy,
    proxy.version,
    proxy.live ? "live" : "away",
    `${span(proxy.lastSeenMs)} ago`,
    ...journals.map((name) => standing(proxy.journals[name])),
  ]);
  terminal.stdout.write(
    table([heading, ...rows], {
      paint(cell, row, column) {
        if (row === 0) return paint("grey", cell);
        if (column === 2) return paint(cell === "live" ? "green" : "red", cell);
        if (column < 4) return cell;
        return paint(/^\d+ live$/.test(cell) ? "green" : "yellow", cell);
      },
    }),
  );
  return 0;
}

/** `57 live`, `55/57 suspect, 4.0 s old`: what was applied, of what is known to exist where that is more. */
function standing(report: ProxyView["journals"][string] | undefined): string {
  if (report === undefined) return "nothing heard";
  const { applied, head, state, stalenessMs, poisoned } = report;
  const place = applied === head ? `${applied}` : `${applied}/${head}`;
  const old = state === "live" || stalenessMs === undefined ? "" : `, ${span(stalenessMs)} old`;
  const refused = poisoned === undefined ? "" : `, ${poisoned.count} refused`;
  return `${place} ${state}${old}${refused}`;
}
