import { RevocationPage, type RevocationView } from "@tocsin/shared/contract";
import { adminClient, type AdminClient } from "../admin-client.ts";
import { understood } from "../answer.ts";
import { painter } from "../paint.ts";
import { table } from "../table.ts";
import { CommandFailed, printJson, type ExitCode, type Invocation } from "../terminal.ts";

export interface ListOptions {
  readonly kind?: string;
  readonly subject?: string;
  readonly issuer?: string;
  readonly reason?: string;
  readonly all?: boolean;
  readonly limit?: string;
}

/** Revocations asked for at once. */
const pageSize = 1_000;

const heading = [
  "SEQUENCE",
  "KIND",
  "WHAT",
  "ISSUER",
  "ISSUED BEFORE",
  "KEPT UNTIL",
  "REASON",
  "ID",
];
/** Held until it is lifted, in Unix seconds. */
const untilLifted = 1e11;

/** `tocsin revocations list` */
export async function listRevocations(invocation: Invocation<ListOptions>): Promise<ExitCode> {
  const { terminal, json, options } = invocation;
  const limit = limitOf(options.limit);
  const client = adminClient(terminal);
  const { revocations, more } = await read(client, limit, filtersOf(options));
  if (json) {
    printJson(terminal, { revocations, ...(more ? { more } : {}) });
    return 0;
  }
  if (revocations.length === 0) {
    terminal.stderr.write(
      filtersOf(options) === "" ? "Nothing is revoked.\n" : "Nothing like that is revoked.\n",
    );
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
async function read(client: AdminClient, limit: number, filters: string): Promise<Found> {
  const revocations: RevocationView[] = [];
  let next: number | undefined = 0;
  while (next !== undefined && revocations.length < limit) {
    const path: string = `/v1/revocations?limit=${Math.min(pageSize, limit - revocations.length)}&after=${next}${filters}`;
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

function filtersOf({ kind, subject, issuer, reason, all }: ListOptions): string {
  const given = Object.entries({ kind, subject, issuer, reason }).flatMap(([name, value]) =>
    value === undefined ? [] : [`&${name}=${encodeURIComponent(value)}`],
  );
  return given.join("") + (all === true ? "&active=all" : "");
}

function rowOf(revocation: RevocationView): string[] {
  const { kind, sequence, id, issuer, issuedBefore, expiresAt, liftedAt, reason } = revocation;
  return [
    String(sequence),
    kind,
    whatOf(revocation),
    kind === "issuer" ? "" : (issuer ?? (kind === "user" ? "any" : "")),
    issuedBefore === undefined ? "" : dateOf(issuedBefore),
    liftedAt !== undefined
      ? `lifted ${dateOf(Math.floor(liftedAt / 1_000))}`
      : expiresAt === undefined
        ? ""
        : expiresAt >= untilLifted
          ? "for good"
          : dateOf(expiresAt),
    reason ?? "",
    id ?? "",
  ];
}

function whatOf(revocation: RevocationView): string {
  const { kind, jti, subject, sid, clientId, kid, key, cidr, issuer, count } = revocation;
  const name = jti ?? subject ?? sid ?? clientId ?? kid ?? key ?? cidr;
  if (name !== undefined) return name;
  if (kind === "issuer") return issuer ?? "";
  return count === undefined ? "" : `${count} that were recovered without names`;
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
