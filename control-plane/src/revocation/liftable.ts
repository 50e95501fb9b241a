import { shown } from "@tocsin/shared";
import {
  RevocationTarget,
  type LiftingEntry,
  type Revocation,
  type RevocationEntry,
} from "@tocsin/shared/contract";
import { JournalUnavailable, type Journal } from "@tocsin/shared/journal";
import { registerName } from "@tocsin/shared/revocations";
import { Declined } from "../problem.ts";
import { revocationsIn, walk } from "./walk.ts";

/** What is to count again. */
export interface Liftable {
  readonly target: RevocationTarget;
  /** When the last order about it was given, in Unix milliseconds. */
  readonly lastAt: number;
  /** When all that was ordered about it has ended by itself, in Unix seconds. */
  readonly expiresAt: number;
}

/**
 * Looks a revocation up in the journal, then all that was ordered about the same thing: no node holds whole entries in memory.
 *
 * @param by the id of the lifting itself: that it is there already means that it is repeated
 * @param now Unix seconds
 * @throws Declined 404 when there is none of this id, 409 when it is not in force any more, 503 when the journal cannot be read
 */
export async function findLiftable(
  journal: Journal,
  id: string,
  { by, now }: { readonly by: string; readonly now: number },
): Promise<Liftable> {
  const found = await find(journal, id);
  if (found === undefined)
    throw new Declined(404, "not-found", "There is no such revocation", {
      detail: `Found none with the id ${shown(id)}; GET /v1/revocations lists them.`,
    });
  if (found.kind === "api-key")
    throw new Declined(409, "not-liftable", "A revoked API key stays revoked", {
      detail: "Make another one: tocsin keys create.",
    });
  const name = registerName(found);
  const at = found.at ?? 0;
  let lastAt = at;
  let { expiresAt } = found;
  let lifting: LiftingEntry | undefined;
  let isRepeated = false;
  for await (const entry of entriesOf(journal)) {
    if (entry.kind === "lifting") {
      if (registerName(entry.target) !== name) continue;
      if (entry.id === by) isRepeated = true;
      else if (entry.at > at) lifting ??= entry;
    }
    for (const item of revocationsIn(entry)) {
      if (registerName(item) !== name) continue;
      lastAt = Math.max(lastAt, item.at ?? 0);
      expiresAt = Math.max(expiresAt, item.expiresAt);
    }
  }
  if (!isRepeated && lifting !== undefined)
    throw new Declined(409, "already-lifted", "It was lifted before", {
      detail: `At ${new Date(lifting.at).toISOString()}.`,
    });
  if (!isRepeated && found.expiresAt < now)
    throw new Declined(409, "expired", "It has ended by itself", {
      detail: `At ${new Date(found.expiresAt * 1000).toISOString()}.`,
    });
  return { target: RevocationTarget.parse(pick(found)), lastAt, expiresAt };
}

async function find(journal: Journal, id: string): Promise<Revocation | undefined> {
  for await (const entry of entriesOf(journal)) {
    const found = revocationsIn(entry).find((item) => item.id === id);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The fields that say what it is about. */
function pick(revocation: Revocation): unknown {
  const fields = { ...revocation } as Record<string, unknown>;
  for (const name of ["v", "id", "reason", "at", "expiresAt", "issuedBefore", "renewed"])
    delete fields[name];
  return fields;
}

async function* entriesOf(journal: Journal): AsyncGenerator<RevocationEntry> {
  try {
    for await (const { entry } of walk(journal)) yield entry;
  } catch (cause) {
    if (!(cause instanceof JournalUnavailable)) throw cause;
    throw new Declined(503, "journal-unavailable", "The journal cannot be read now", { cause });
  }
}
