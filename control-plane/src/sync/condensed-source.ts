import { messageOf, type Log } from "@tocsin/shared";
import { epochKey, type Journal } from "@tocsin/shared/journal";
import type { JournalSource } from "@tocsin/shared/replica";
import { readRevocation, RevocationSet } from "@tocsin/shared/revocations";

export interface CondensedSourceOptions {
  readonly journal: Journal;
  /** How deltas, the feed and the head are learned. */
  readonly source: JournalSource;
  /** The fleet's fingerprint key, when it is known. */
  readonly key: () => Promise<Uint8Array>;
  /** Unix seconds: what expired before that is left out. */
  readonly forgetBefore: () => number;
  readonly log: Log;
}

/** Reads the revocations of a store one by one into a set, so that a million of them are never in memory as entries. */
export function condensedSource(options: CondensedSourceOptions): JournalSource {
  const { journal, source, key, forgetBefore, log } = options;
  return {
    ...source,
    async sync(question, signal) {
      const set = new RevocationSet(await key());
      const { epoch, head } = await journal.head();
      if (question.epoch === epoch && question.applied <= head)
        return source.sync(question, signal);
      let to = head;
      for await (const { key: under, body, sequence } of journal.read(1, Infinity)) {
        signal.throwIfAborted();
        // What was recorded while we read is part of what we read.
        to = Math.max(to, sequence);
        if (under === epochKey) continue;
        try {
          set.apply(readRevocation(body), forgetBefore());
        } catch (error) {
          log.error(
            { journal: journal.definition.name, sequence, cause: messageOf(error).slice(0, 500) },
            "entry refused",
          );
        }
      }
      return { mode: "snapshot", epoch, to, dump: await set.dumpInSlices() };
    },
  };
}
