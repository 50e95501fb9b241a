import type { Head, Journal, Recorded } from "../journal/journal.ts";
import { disposable, messageOf } from "../lifetime.ts";
import type { Log } from "../log.ts";
import type { Clock, Milliseconds } from "../time.ts";
import type { ReplicaSource } from "./source.ts";

export interface JournalSourceOptions {
  readonly journal: Journal;
  readonly clock: Clock;
  readonly log: Log;
  /** Calls its listener when the connection to the store came back. Returns how to stop it. */
  readonly onReconnected: (listener: () => void) => () => void;
  /** Drops the connection to the store and makes a new one. */
  readonly reconnect: () => Promise<void>;
  /** How often the journal is asked where it stands, in milliseconds. Default 1 000. */
  readonly everyMs?: Milliseconds;
}

export interface JournalSource extends ReplicaSource {
  /** Tells what somebody else learned from the store about where the journal stands, so that it is not asked twice. */
  heard(head: Head): void;
}

/** How a control-plane node learns: straight from the journal, which is what it serves to others. */
export function createJournalSource(options: JournalSourceOptions): JournalSource {
  const { journal, clock, log } = options;
  const listeners = new Set<(head: Head) => void>();
  const heard = (head: Head) => {
    for (const listener of listeners) listener(head);
  };
  let asking = false;
  async function ask(): Promise<void> {
    if (asking || listeners.size === 0) return;
    asking = true;
    try {
      heard(await journal.head());
    } catch (error) {
      log.debug(
        { journal: journal.definition.name, cause: messageOf(error) },
        "the journal does not say where it stands",
      );
    } finally {
      asking = false;
    }
  }
  return {
    heard,
    follow: (onEntry) => journal.follow(onEntry),
    async beacons(onHead) {
      listeners.add(onHead);
      const stop = clock.every(options.everyMs ?? 1_000, () => void ask());
      void ask();
      return disposable(() => {
        stop();
        listeners.delete(onHead);
      });
    },
    async sync(question, signal) {
      const { epoch, head } = await journal.head();
      const delta = question.epoch === epoch && question.applied <= head;
      const entries: Recorded[] = [];
      for await (const entry of journal.read(delta ? question.applied + 1 : 1, Infinity)) {
        signal.throwIfAborted();
        if (entry.epoch !== epoch) throw new Error("another history began while it was read");
        entries.push(entry);
      }
      // What was recorded while we read is part of what we read.
      const to = Math.max(head, entries.at(-1)?.sequence ?? 0);
      return { mode: delta ? "delta" : "snapshot", epoch, to, entries };
    },
    onReconnected: options.onReconnected,
    reconnect: options.reconnect,
  };
}
