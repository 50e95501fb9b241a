import type { Head, JournalName, Recorded } from "../journal/journal.ts";
import { messageOf } from "../lifetime.ts";
import type { Log } from "../log.ts";
import { sleep, type Clock, type Milliseconds } from "../time.ts";
import type { ReplicaSource } from "./source.ts";

export interface Listener {
  readonly source: ReplicaSource;
  readonly journal: JournalName;
  readonly clock: Clock;
  readonly log: Log;
  /** How long to wait after so many failures. */
  readonly retryDelay: (failures: number) => Milliseconds;
  readonly onEntry: (entry: Recorded) => void;
  readonly onHead: (head: Head, term: number) => void;
}

/**
 * Subscribes to the feed and the beacon of a journal, however often that has to be tried.
 *
 * @returns how to stop it; undefined when it was aborted first
 */
export async function listen(
  listener: Listener,
  signal: AbortSignal,
): Promise<AsyncDisposable | undefined> {
  const { source, journal, clock, log, retryDelay, onEntry, onHead } = listener;
  for (let failures = 0; !signal.aborted; failures++) {
    try {
      await using attempt = new AsyncDisposableStack();
      attempt.use(await source.follow(onEntry));
      attempt.use(await source.beacons((head, term) => onHead(head, term ?? 0)));
      if (!signal.aborted) return attempt.move();
    } catch (error) {
      log.warn({ journal, cause: messageOf(error) }, "replica cannot subscribe yet");
      await sleep(clock, retryDelay(failures), signal).catch(() => {});
    }
  }
  return undefined;
}
