import { RevocationView } from "@tocsin/shared/contract";
import { adminClient } from "../admin-client.ts";
import { understoodList } from "../answer.ts";
import { painter } from "../paint.ts";
import { table } from "../table.ts";
import { printJson, type ExitCode, type Invocation } from "../terminal.ts";

const heading = ["SEQUENCE", "KIND", "WHAT", "ISSUER", "ISSUED BEFORE", "KEPT UNTIL", "REASON"];

/** `tocsin revocations list` */
export async function listRevocations({ terminal, json }: Invocation): Promise<ExitCode> {
  const { document } = await adminClient(terminal).callJson({ path: "/v1/revocations" });
  const revocations = understoodList(RevocationView.array(), "revocations", document);
  if (json) {
    printJson(terminal, document);
    return 0;
  }
  if (revocations.length === 0) {
    terminal.stderr.write("Nothing is revoked.\n");
    return 0;
  }
  const paint = painter(terminal, terminal.stdout);
  const rows = revocations.map((revocation) => [
    String(revocation.sequence),
    revocation.kind,
    revocation.jti ?? revocation.subject ?? "",
    revocation.issuer ?? (revocation.kind === "user" ? "any" : ""),
    revocation.issuedBefore === undefined ? "" : dateOf(revocation.issuedBefore),
    revocation.expiresAt === undefined ? "" : dateOf(revocation.expiresAt),
    revocation.reason ?? "",
  ]);
  terminal.stdout.write(
    table([heading, ...rows], { paint: (cell, row) => (row === 0 ? paint("grey", cell) : cell) }),
  );
  return 0;
}

function dateOf(seconds: number): string {
  const date = new Date(seconds * 1_000);
  // Beyond what a date can be: as good as for ever.
  return Number.isNaN(date.getTime())
    ? String(seconds)
    : date.toISOString().replace(/\.000Z$/, "Z");
}
