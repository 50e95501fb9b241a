import { ControlPlaneView } from "@tocsin/shared/contract";
import { adminClient } from "../admin-client.ts";
import { understoodList } from "../answer.ts";
import { painter } from "../paint.ts";
import { span, table } from "../table.ts";
import { printJson, type ExitCode, type Invocation } from "../terminal.ts";

/** `tocsin control-planes list` */
export async function listControlPlanes({ terminal, json }: Invocation): Promise<ExitCode> {
  const { document } = await adminClient(terminal).callJson({ path: "/v1/control-planes" });
  const nodes = understoodList(ControlPlaneView.array(), "controlPlanes", document);
  if (json) {
    printJson(terminal, document);
    return 0;
  }
  const paint = painter(terminal, terminal.stdout);
  const rows = nodes.map((node) => [
    node.node,
    node.version ?? "",
    !node.live ? "gone" : node.leading ? "leads" : "live",
    String(node.term),
    `${span(node.lastSeenMs)} ago`,
  ]);
  terminal.stdout.write(
    table([["CONTROL PLANE", "VERSION", "STATE", "TERM", "SEEN"], ...rows], {
      paint(cell, row, column) {
        if (row === 0) return paint("grey", cell);
        if (column !== 2) return cell;
        return paint(cell === "gone" ? "red" : "green", cell);
      },
    }),
  );
  return 0;
}
