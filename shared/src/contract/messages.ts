/**
 * What travels on the bus: one schema a message, JSON, `v` in each. Received messages are parsed with these before anything is believed.
 */
import { z } from "zod";
import { apiKeyIdPattern } from "../api-keys/id.ts";
import { Name } from "../names.ts";

export const protocolVersion = 1;

const v = z.literal(protocolVersion);
const SequenceNumber = z.int().min(0);
const EpochText = z.string().min(1).max(64);
const Operation = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/);

const JournalHead = z.object({ epoch: EpochText, head: SequenceNumber });

/** Sent every second and right after each write: where each journal stands. */
export const Beacon = z.object({
  v,
  controlPlane: Name,
  journals: z.object({
    catalogue: JournalHead,
    health: JournalHead,
    revocations: JournalHead,
    /** Absent: the sender is older than this journal. */
    invalidations: JournalHead.optional(),
  }),
  /** Proxies heard in the last 6 s. */
  proxies: z.int().min(0),
  /** The highest term of a leader that the sender knows of; a beacon of a lower one is of the past. Absent: as 0. */
  term: z.int().min(0).optional(),
});
export type Beacon = z.infer<typeof Beacon>;

/** A replica asks for what it lacks. */
export const SyncRequest = z.object({
  v,
  node: Name,
  /** The epoch it holds entries of; absent: none. */
  epoch: EpochText.optional(),
  /** The last sequence it has applied. */
  applied: SequenceNumber,
  /** The highest head it has seen in a beacon of the present epoch: a control plane that knows less declines. */
  atLeast: SequenceNumber,
});
export type SyncRequest = z.infer<typeof SyncRequest>;

/**
 * The first message of an answer. `chunks` messages follow, each a piece of one text: a {@link SyncEntry} in JSON on each line. With
 * the form `dump` they are pieces of the table's own binary form instead; then it is a snapshot.
 * `snapshot` holds everything that is kept, `delta` what came after `applied`.
 */
export const SyncHead = z.discriminatedUnion("mode", [
  z.object({ v, mode: z.literal("retry"), afterMs: z.int().min(0), why: z.string() }),
  z.object({
    v,
    mode: z.enum(["delta", "snapshot"]),
    /** Absent: entries. */
    form: z.enum(["entries", "dump"]).optional(),
    epoch: EpochText,
    /** The sequence the replica stands at after this. */
    to: SequenceNumber,
    chunks: z.int().min(0),
    /** Length of the whole. */
    bytes: z
      .int()
      .min(0)
      .max(2 ** 32),
    /** SHA-256 of the whole, hexadecimal. */
    sha256: z.string(),
  }),
]);
export type SyncHead = z.infer<typeof SyncHead>;

/** `[sequence, key, body, operation?]` */
export const SyncEntry = z.tuple([SequenceNumber, z.string(), z.string()]).rest(Operation);
export type SyncEntry = z.infer<typeof SyncEntry>;

/** A proxy has applied an order, or could not. */
export const Ack = z.object({
  v,
  journal: z.enum(["catalogue", "health", "revocations", "invalidations"]),
  epoch: EpochText,
  applied: SequenceNumber,
  /** Why the entry was refused; then it is not in force on this proxy. */
  error: z.string().max(500).optional(),
  /**
   * The last entries that it refused, ascending, at most 16: whatever else is not above `applied` is in force. Absent: it does not
   * say, and the acknowledgement proves its own entry only.
   */
  refused: z.array(SequenceNumber).max(16).optional(),
});
export type Ack = z.infer<typeof Ack>;

export const ReplicaStates = z.enum(["cold", "syncing", "live", "suspect", "stale"]);

export const JournalReport = z.object({
  epoch: EpochText.optional(),
  applied: SequenceNumber,
  head: SequenceNumber,
  state: ReplicaStates,
  /** Milliseconds since this replica last knew that it was current, by its own monotonic clock; absent: never. */
  stalenessMs: z.number().min(0).optional(),
  /** Entries of this epoch that it refused (not JSON, not valid), with the last one's sequence and reason. */
  poisoned: z
    .object({
      count: z.int().min(1),
      sequence: SequenceNumber,
      error: z.string().max(500),
      /** The last refused sequences, ascending, at most 16. With a greater `count` others were refused before them. */
      recent: z.array(SequenceNumber).max(16).optional(),
    })
    .optional(),
});
export type JournalReport = z.infer<typeof JournalReport>;

/** Every 2 s from each proxy. Repeats all applied sequences, which heals a lost acknowledgement. */
export const ProxyHeartbeat = z.object({
  v,
  proxy: Name,
  /** Random per process: the same name with another boot is another process. */
  boot: z.string().min(1).max(64),
  version: z.string().max(64),
  /** How long the process runs. */
  uptimeMs: z.number().min(0).optional(),
  /** Going away: not to be waited for. */
  leaving: z.boolean().optional(),
  journals: z.object({
    catalogue: JournalReport,
    health: JournalReport,
    revocations: JournalReport,
    /** Absent: the sender is older than this journal, and holds nothing of it. */
    invalidations: JournalReport.default({ applied: 0, head: 0, state: "cold" }),
  }),
  /** Ids of API keys that were used lately. Not all of them, and none of them often. */
  apiKeys: z.array(z.string().regex(apiKeyIdPattern)).max(1_000).optional(),
});
export type ProxyHeartbeat = z.infer<typeof ProxyHeartbeat>;

const Life = z.string().min(1).max(64);

/** Every second from each control-plane node. A node that was silent for 3 s is not counted on. */
export const ControlPlaneHeartbeat = z.object({
  v,
  node: Name,
  /** Random per process. */
  boot: Life,
  /** The highest term it knows of, and whether it is the leader of that term. */
  term: z.int().min(0),
  leading: z.boolean(),
  /** Leases that were renewed at this node alone, over HTTP, since its last heartbeat: service, instance, boot. */
  renewed: z.array(z.tuple([Name, Name, Life])).max(10_000),
  version: z.string().max(64).optional(),
  /** Instances that it does not reach although it should: the others are to look for themselves. Service, instance, boot. */
  doubts: z
    .array(z.tuple([Name, Name, Life]))
    .max(10_000)
    .optional(),
  /** What it found when it looked for others. */
  opinions: z
    .array(z.object({ service: Name, instance: Name, boot: Life, well: z.boolean() }))
    .max(10_000)
    .optional(),
  /** Going away: not to be counted on any more. */
  leaving: z.boolean().optional(),
});
export type ControlPlaneHeartbeat = z.infer<typeof ControlPlaneHeartbeat>;

/** What a proxy saw of instances since its last report, while it forwarded to them. Those without traffic are left out. */
export const ProxyReport = z.object({
  v,
  proxy: Name,
  instances: z
    .array(
      z.object({
        service: Name,
        instance: Name,
        /** Requests whose answer began. */
        answered: z.int().min(0),
        /** Requests that got no answer: connection refused, reset, timed out. */
        failed: z.int().min(0),
      }),
    )
    .max(10_000),
  /**
   * Its circuits that are not closed, all of them in every report; one that is left out is closed. Absent: as empty.
   */
  circuits: z
    .array(
      z.object({
        service: Name,
        instance: Name,
        /** Which life of the instance. */
        boot: Life,
        state: z.enum(["open", "half-open"]),
        /** Time until it lets a trial through. */
        restMs: z.number().min(0),
      }),
    )
    .max(10_000)
    .optional(),
});
export type ProxyReport = z.infer<typeof ProxyReport>;

/** A control plane asks all proxies what they hold of the journals named, because its store may have lost it. */
export const CollectRequest = z.object({
  v,
  /** Repeated in each part of the answer. */
  id: Operation,
  journals: z.array(z.enum(["catalogue", "revocations"])).min(1),
  /** Who is meant. Absent: every proxy. */
  proxies: z.array(Name).min(1).max(1_000).optional(),
});
export type CollectRequest = z.infer<typeof CollectRequest>;

/**
 * What a proxy holds of a journal: the first message of an answer to {@link CollectRequest}. `chunks` pieces follow, each under a
 * header that names the request, the journal and which piece it is. Who says it is told by the subject.
 */
export const HeldHead = z.object({
  v,
  id: Operation,
  journal: z.enum(["catalogue", "revocations"]),
  /** Absent: it holds nothing. */
  epoch: EpochText.optional(),
  applied: SequenceNumber,
  chunks: z.int().min(0),
  /** Length of the whole. */
  bytes: z
    .int()
    .min(0)
    .max(2 ** 32),
  /** SHA-256 of the whole, hexadecimal. */
  sha256: z.string(),
});
export type HeldHead = z.infer<typeof HeldHead>;

/** The answer to register, renew and deregister over the bus: what HTTP says with a status. */
export const LeaseReply = z.discriminatedUnion("ok", [
  z.object({ v, ok: z.literal(true), body: z.unknown() }),
  z.object({
    v,
    ok: z.literal(false),
    problem: z.object({
      code: z.string(),
      status: z.int(),
      title: z.string(),
      detail: z.string().optional(),
      errors: z.array(z.object({ pointer: z.string(), message: z.string() })).optional(),
    }),
  }),
]);
export type LeaseReply = z.infer<typeof LeaseReply>;
