/** The list of what is revoked, page by page out of the journal: no node holds the whole entries in memory. */
import {
  RevocationEntry,
  type FingerprintsEntry,
  type Revocation,
  type RevocationPage,
  type RevocationView,
} from "@tocsin/shared/contract";
import type { Clock } from "@tocsin/shared";
import { epochKey, type Journal, type Recorded, type Sequence } from "@tocsin/shared/journal";

export interface PageQuery {
  /** The list goes on behind this sequence. 0: from the beginning. */
  readonly after: Sequence;
  /** How many revocations; a page ends with a whole entry, and may have more by what that holds. */
  readonly limit: number;
}

/** Entries read for one page, however many of them have expired. */
const maxEntries = 20_000;
/** Tokens in `fingerprints` take so many bytes each; the last four are the expiry. */
const fingerprintBytes = 12;
/** How long an expired revocation is still listed, in seconds: the most that a config may grant an issuer's clock. */
const toleranceSeconds = 300;

/** @throws JournalUnavailable */
export async function pageOf(
  journal: Journal,
  clock: Clock,
  { after, limit }: PageQuery,
): Promise<RevocationPage> {
  const { head } = await journal.head();
  const since = clock.wall() / 1000 - toleranceSeconds;
  const revocations: RevocationView[] = [];
  let last = after;
  let entries = 0;
  for await (const recorded of journal.read(after + 1, maxEntries)) {
    revocations.push(...viewsOf(recorded, since));
    last = recorded.sequence;
    entries += 1;
    if (revocations.length >= limit) break;
  }
  const more = last < head && (revocations.length >= limit || entries === maxEntries);
  return { revocations, ...(more ? { next: last } : {}) };
}

function viewsOf({ key, body, sequence }: Recorded, since: number): RevocationView[] {
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
      return entry.expiresAt < since ? [] : [viewOf(entry, sequence)];
    case "batch":
      return entry.items
        .filter(({ expiresAt }) => expiresAt >= since)
        .map((item) => viewOf(item, sequence));
    case "fingerprints":
      return fingerprintsView(entry, sequence, since);
    case "lifting":
    case "fingerprint-key":
      return [];
    default:
      return entry satisfies never;
  }
}

function viewOf(revocation: Revocation, sequence: Sequence): RevocationView {
  const { v, ...view } = revocation;
  void v;
  return { ...view, sequence };
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
