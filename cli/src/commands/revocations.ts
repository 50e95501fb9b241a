import { RevocationPage, type RevocationView } from "@tocsin/shared/contract";
import { adminClient, type AdminClient } from "../admin-client.ts";
import { understood } from "../answer.ts";
import { painter } from "../paint.ts";
import { table } from "../table.ts";
import { CommandFailed, printJson, type ExitCode, type Invocation } from "../terminal.ts";

export interface ListOptions {
  readonly limit?: string;
}

/** Revocations asked for at once. */
const pageSize = 1_000;

const heading = ["SEQUENCE", "KIND", "WHAT", "ISSUER", "ISSUED BEFORE", "KEPT UNTIL", "REASON"];

/** `tocsin revocations list` */
export async function listRevocations(invocation: Invocation<ListOptions>): Promise<ExitCode> {
  const { terminal, json, options } = invocation;
  const limit = limitOf(options.limit);
  const client = adminClient(terminal);
  const { revocations, more } = await read(client, limit);
  if (json) {
    printJson(terminal, { revocations, ...(more ? { more } : {}) });
    return 0;
  }
  if (revocations.length === 0) {
    terminal.stderr.write("Nothing is revoked.\n");
    return 0;
  }
  const paint = painter(terminal, terminal.stdout);
  terminal.stdout.write(
    table([heading, ...revocations.map(rowOf)], {
      paint: (cell, row, column) =>
        row === 0
          ? paint("grey", cell)
          : column === 1 && cell === "unreadable"
            ? paint("red", cell)
            : cell,
    }),
  );
  if (more) terminal.stderr.write(`The first ${revocations.length}; there are more.\n`);
  return 0;
}

interface Found {
  readonly revocations: readonly RevocationView[];
  /** The limit left some out. */
  readonly more: boolean;
}

/** Follows the pages to the end, or to the limit. */
async function read(client: AdminClient, limit: number): Promise<Found> {
  const revocations: RevocationView[] = [];
  let next: number | undefined = 0;
  while (next !== undefined && revocations.length < limit) {
    const path: string = `/v1/revocations?limit=${Math.min(pageSize, limit - revocations.length)}&after=${next}`;
    const page: RevocationPage = understood(
      RevocationPage,
      (await client.callJson({ path })).document,
    );
    revocations.push(...page.revocations);
    next = page.next;
  }
  // A page may have more than was asked for, when an entry holds many.
  const more = next !== undefined || revocations.length > limit;
  return { revocations: revocations.slice(0, limit), more };
}

function rowOf(revocation: RevocationView): string[] {
  const { kind, sequence, jti, subject, sid, issuer, issuedBefore, expiresAt, reason, count } =
    revocation;
  return [
    String(sequence),
    kind,
    jti ??
      subject ??
      sid ??
      (count === undefined ? "" : `${count} that were recovered without names`),
    issuer ?? (kind === "user" ? "any" : ""),
    issuedBefore === undefined ? "" : dateOf(issuedBefore),
    expiresAt === undefined ? "" : dateOf(expiresAt),
    reason ?? "",
  ];
}

function limitOf(text: string | undefined): number {
  if (text === undefined) return Infinity;
  const limit = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (limit >= 1) return limit;
  throw new CommandFailed(`--limit: ${JSON.stringify(text)} is not a whole number above 0`);
}

function dateOf(seconds: number): string {
  const date = new Date(seconds * 1_000);
  // Beyond what a date can be: as good as for ever.
  return Number.isNaN(date.getTime())
    ? String(seconds)
    : date.toISOString().replace(/\.000Z$/, "Z");
}
