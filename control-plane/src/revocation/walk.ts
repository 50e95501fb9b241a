import { setImmediate } from "node:timers/promises";
import type { Revocation, RevocationEntry } from "@tocsin/shared/contract";
import { epochKey, type Journal, type Sequence } from "@tocsin/shared/journal";
import { readRevocation } from "@tocsin/shared/revocations";

/** Revocations that are read before others have their turn: a few milliseconds' worth. */
const slice = 1_000;
/** Entries that are asked for at once. A store makes ready for each reading, and hands over what is read bit by bit. */
const page = 50_000;

export interface WalkedEntry {
  readonly entry: RevocationEntry;
  readonly sequence: Sequence;
}

/**
 * Goes through the whole journal of revocations, oldest first, and lets others have their turn in between. What this version does not
 * understand is left out: it revokes nothing here.
 *
 * @throws JournalUnavailable
 */
export async function* walk(journal: Journal): AsyncGenerator<WalkedEntry> {
  let read = 0;
  for (let from = 1; ;) {
    let last = 0;
    for await (const { key, body, sequence } of journal.read(from, page)) {
      last = sequence;
      if (key === epochKey) continue;
      const entry = entryOf(body);
      if (entry !== undefined) yield { entry, sequence };
      read += entry === undefined ? 1 : Math.max(1, revocationsIn(entry).length);
      if (read < slice) continue;
      await setImmediate();
      read = 0;
    }
    if (last === 0) return;
    from = last + 1;
  }
}

/** What an entry revokes by name. */
export function revocationsIn(entry: RevocationEntry): readonly Revocation[] {
  switch (entry.kind) {
    case "batch":
      return entry.items;
    case "lifting":
    case "fingerprints":
    case "fingerprint-key":
      return [];
    default:
      return [entry];
  }
}

function entryOf(body: string): RevocationEntry | undefined {
  try {
    return readRevocation(body);
  } catch {
    return undefined;
  }
}
