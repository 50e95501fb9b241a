import { RevocationEntry, RevocationTarget, type Revocation } from "@tocsin/shared/contract";
import { epochKey, JournalUnavailable, type Journal } from "@tocsin/shared/journal";
import { registerName } from "@tocsin/shared/revocations";
import { Declined } from "../problem.ts";

/** What is to count again. */
export interface Liftable {
  readonly target: RevocationTarget;
  /** When all that was ordered about it has ended by itself, in Unix seconds. */
  readonly expiresAt: number;
}

const slice = 5_000;

/**
 * Looks a revocation up in the journal, from its beginning to its end: no node holds whole entries in memory.
 *
 * @param now Unix seconds
 * @throws Declined 404 when there is none of this id, 409 when it is not in force any more, 503 when the journal cannot be read
 */
export async function findLiftable(journal: Journal, id: string, now: number): Promise<Liftable> {
  let found: Revocation | undefined;
  let liftedAt = 0;
  /** Of everything that was revoked, when it ends; by what it is about, because the one that is looked for may come late. */
  const ends = new Map<string, number>();
  const hear = (item: Revocation) => {
    const name = registerName(item);
    ends.set(name, Math.max(ends.get(name) ?? 0, item.expiresAt));
    if (item.id === id) found = item;
  };
  for await (const entry of entriesOf(journal)) {
    if (entry.kind === "batch") for (const item of entry.items) hear(item);
    else if (entry.kind === "lifting") {
      if (found !== undefined && registerName(entry.target) === registerName(found))
        liftedAt = Math.max(liftedAt, entry.at);
    } else if (entry.kind !== "fingerprint-key" && entry.kind !== "fingerprints") hear(entry);
  }
  if (found === undefined)
    throw new Declined(404, "not-found", "There is no such revocation", {
      detail: `Found none with the id ${JSON.stringify(id)}; GET /v1/revocations lists them.`,
    });
  if (found.kind === "api-key")
    throw new Declined(409, "not-liftable", "A revoked API key stays revoked", {
      detail: "Make another one: tocsin keys create.",
    });
  if (liftedAt > (found.at ?? 0))
    throw new Declined(409, "already-lifted", "It was lifted before", {
      detail: `At ${new Date(liftedAt).toISOString()}.`,
    });
  if (found.expiresAt < now)
    throw new Declined(409, "expired", "It has ended by itself", {
      detail: `At ${new Date(found.expiresAt * 1000).toISOString()}.`,
    });
  return {
    target: RevocationTarget.parse(pick(found)),
    expiresAt: ends.get(registerName(found))!,
  };
}

/** The fields that say what it is about. */
function pick(revocation: Revocation): unknown {
  const fields = { ...revocation } as Record<string, unknown>;
  for (const name of ["v", "id", "reason", "at", "expiresAt", "issuedBefore"]) delete fields[name];
  return fields;
}

async function* entriesOf(journal: Journal): AsyncGenerator<RevocationEntry> {
  try {
    for (let from = 1; ;) {
      let last = 0;
      for await (const { key, body, sequence } of journal.read(from, slice)) {
        last = sequence;
        if (key === epochKey) continue;
        const read = RevocationEntry.safeParse(jsonOf(body));
        if (read.success) yield read.data;
      }
      if (last === 0) return;
      from = last + 1;
    }
  } catch (cause) {
    if (!(cause instanceof JournalUnavailable)) throw cause;
    throw new Declined(503, "journal-unavailable", "The journal cannot be read now", { cause });
  }
}

function jsonOf(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}
