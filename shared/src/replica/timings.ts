import type { Milliseconds } from "../time.ts";

/** How patient a replica is. All in milliseconds but the backlog. */
export interface ReplicaTimings {
  /** How long a hole in the feed, or a head that is ahead, may last before it is repaired. Default 50. */
  readonly gapGraceMs: Milliseconds;
  /** Silence of the beacon after which it is suspected that nothing is heard. Default 3 000. */
  readonly beaconTimeoutMs: Milliseconds;
  /** How long an answer to a question may take. Default 2 000 until it begins, and between its parts. */
  readonly answerTimeoutMs: Milliseconds;
  /** Longest random wait before asking when many replicas ask at once. Default 500. */
  readonly jitterMs: Milliseconds;
  /** Wait after a first failed question; doubles up to `retryMaxMs`. Default 100. */
  readonly retryMs: Milliseconds;
  readonly retryMaxMs: Milliseconds;
  /** Two beacons that say the journal went back must be this far apart, so that one that was overtaken by an entry is no alarm. Default 250. */
  readonly rewindGraceMs: Milliseconds;
  /** Entries that wait for earlier ones. Beyond that they are dropped: bounded memory beats cleverness. Default 50 000. */
  readonly backlog: number;
  /** How long it works at once before others have their turn, when an answer is long. Default 5. */
  readonly sliceMs: Milliseconds;
}

export const defaultTimings: ReplicaTimings = {
  gapGraceMs: 50,
  beaconTimeoutMs: 3_000,
  answerTimeoutMs: 2_000,
  jitterMs: 500,
  retryMs: 100,
  retryMaxMs: 1_000,
  rewindGraceMs: 250,
  backlog: 50_000,
  sliceMs: 5,
};
