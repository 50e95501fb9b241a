/** The list of what is revoked, page by page out of the journal: no node holds the whole entries in memory. */
import { shown } from "@tocsin/shared";
import {
  Revocation,
  RevocationEntry,
  type FingerprintsEntry,
  type RevocationPage,
  type RevocationView,
} from "@tocsin/shared/contract";
import type { Clock } from "@tocsin/shared";
import { Declined } from "../problem.ts";
import { epochKey, type Journal, type Recorded, type Sequence } from "@tocsin/shared/journal";

export interface PageQuery {
  /** The list goes on behind this sequence. 0: from the beginning. */
  readonly after: Sequence;
  /** How many revocations; a page ends with a whole entry, and may have more by what that holds. */
  readonly limit: number;
  /** Only these. */
  readonly filter?: RevocationFilter;
}

/** What a list is narrowed down to; each that is given must fit. */
export interface RevocationFilter {
  readonly kind?: string;
  readonly subject?: string;
  readonly issuer?: string;
  /** A part of it, in whatever case. */
  readonly reason?: string;
  /** Those that were lifted or have ended too. Default: only what is in force. */
  readonly all?: boolean;
}

/** The parameters of the query, each with what it is. */
export const revocationFilters = {
  kind: "Only of this kind: token, user, session, client, signing-key, issuer, api-key, address.",
  subject: "Only of this user.",
  issuer: "Only at this issuer.",
  reason: "Only where the reason has this in it, in whatever case.",
  active: "true: what is in force (default); all: what was lifted or has ended lately too.",
};

/** @throws Declined 400 when one of them is not understood */
export function filterOf(query: Readonly<Record<string, unknown>>): { filter: RevocationFilter } {
  const { kind, active } = query;
  if (kind !== undefined && !kinds.some((known) => known === kind))
    throw unclear("kind", kind, kinds.join(", "));
  if (active !== undefined && active !== "true" && active !== "all")
    throw unclear("active", active, "true, all");
  const text = (name: "subject" | "issuer" | "reason") => {
    const value = query[name];
    if (value === undefined) return {};
    if (typeof value !== "string") throw unclear(name, value, "one text");
    return { [name]: value };
  };
  return {
    filter: {
      ...(kind === undefined ? {} : { kind: kind as string }),
      ...text("subject"),
      ...text("issuer"),
      ...text("reason"),
      all: active === "all",
    },
  };
}

function unclear(name: string, found: unknown, allowed: string): Declined {
  return new Declined(400, "bad-request", `The parameter ${name} is not understood`, {
    detail: `Found ${shown(found)}, allowed: ${allowed}.`,
  });
}

const kinds = [
  ...Revocation.options.map(({ shape }) => shape.kind.value),
  "fingerprints",
  "unreadable",
];

/** Entries read for one page, however many of them have expired. */
const maxEntries = 20_000;
/** Tokens in `fingerprints` take so many bytes each; the last four are the expiry. */
const fingerprintBytes = 12;
/** How long an expired revocation is still listed, in seconds: the most that a config may grant an issuer's clock. */
const toleranceSeconds = 300;

/**
 * @param liftedAt when something was lifted last, in Unix milliseconds; 0: never
 * @throws JournalUnavailable
 */
export async function pageOf(
  journal: Journal,
  clock: Clock,
  { after, limit, filter = {} }: PageQuery,
  liftedAt: (revocation: Revocation) => number,
): Promise<RevocationPage> {
  const { head } = await journal.head();
  const first = await firstOf(journal);
  const now = clock.wall() / 1000;
  const since = now - toleranceSeconds;
  const revocations: RevocationView[] = [];
  let last = after;
  let entries = 0;
  for await (const recorded of journal.read(after + 1, maxEntries)) {
    for (const view of viewsOf(recorded, since, first, liftedAt))
      if (fits(view, filter, now)) revocations.push(view);
    last = recorded.sequence;
    entries += 1;
    if (revocations.length >= limit) break;
  }
  const more = last < head && (revocations.length >= limit || entries === maxEntries);
  return { revocations, ...(more ? { next: last } : {}) };
}

/** Where the journal begins; what stood before has been forgotten. */
async function firstOf(journal: Journal): Promise<Sequence> {
  for await (const { sequence } of journal.read(1, 1)) return sequence;
  return 1;
}

/** What has an end itself, whatever the clocks of issuers say. */
const temporary: ReadonlySet<string> = new Set(["client", "signing-key", "api-key", "address"]);

function fits(
  view: RevocationView,
  { kind, subject, issuer, reason, all }: RevocationFilter,
  now: number,
): boolean {
  const hasEnded = temporary.has(view.kind) && (view.expiresAt ?? now) < now;
  return (
    (all === true || (view.liftedAt === undefined && !hasEnded)) &&
    (kind === undefined || view.kind === kind) &&
    (subject === undefined || view.subject === subject) &&
    (issuer === undefined || view.issuer === issuer) &&
    (reason === undefined || view.reason?.toLowerCase().includes(reason.toLowerCase()) === true)
  );
}

function viewsOf(
  { key, body, sequence }: Recorded,
  since: number,
  first: Sequence,
  liftedAt: (revocation: Revocation) => number,
): RevocationView[] {
  if (key === epochKey) return [];
  const read = RevocationEntry.safeParse(jsonOf(body));
  if (!read.success) return [{ kind: "unreadable", sequence }];
  const entry = read.data;
  switch (entry.kind) {
    case "token":
    case "user":
    case "session":
    case "client":
    case "signing-key":
    case "issuer":
    case "api-key":
    case "address":
      return entry.expiresAt < since ? [] : [viewOf(entry, sequence, liftedAt(entry))];
    case "batch":
      return (
        entry.items
          // A copy of what stands further up, as long as it does.
          .filter(({ expiresAt, renewed }) => expiresAt >= since && !((renewed?.of ?? 0) >= first))
          .map((item) => viewOf(item, sequence, liftedAt(item)))
      );
    case "fingerprints":
      return fingerprintsView(entry, sequence, since);
    case "lifting":
    case "fingerprint-key":
      return [];
    default:
      return entry satisfies never;
  }
}

function viewOf(revocation: Revocation, sequence: Sequence, liftedAt: number): RevocationView {
  const { v, renewed, ...view } = revocation;
  void [v, renewed];
  // Ordered in the same moment or later: it counts again.
  return { ...view, sequence, ...(liftedAt > (view.at ?? 0) ? { liftedAt } : {}) };
}

function fingerprintsView(
  { tokens, users }: FingerprintsEntry,
  sequence: Sequence,
  since: number,
): RevocationView[] {
  const bytes = Buffer.from(tokens, "base64");
  const expiries = users.map(([, , , expiresAt]) => expiresAt);
  for (let at = 8; at + 4 <= bytes.length; at += fingerprintBytes)
    expiries.push(bytes.readUInt32LE(at));
  const live = expiries.filter((expiresAt) => expiresAt >= since);
  if (live.length === 0) return [];
  const expiresAt = live.reduce((latest, each) => Math.max(latest, each));
  return [{ kind: "fingerprints", sequence, count: live.length, expiresAt }];
}

function jsonOf(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}
