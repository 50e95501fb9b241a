/**
 * A journal as a JetStream stream: how it is made, and what must be true of one that was found.
 *
 * Settings that cannot be changed later, or that a server may ignore, are read back from the server's answer and never assumed
 * (docs/design/decisions/0001-journals-and-republish.md).
 */
import { subjects } from "../bus/subjects.ts";
import {
  hasFeed,
  HistoryEntry,
  JournalMisconfigured,
  type Epoch,
  type NamedStream,
  type StreamName,
} from "./journal.ts";

/** The part of a stream's configuration that this program sets or looks at. Spans of time in nanoseconds. */
export interface StreamConfig {
  readonly name: string;
  readonly subjects?: readonly string[];
  readonly retention: string;
  readonly storage: string;
  readonly num_replicas: number;
  readonly discard: string;
  readonly max_msgs: number;
  readonly max_bytes: number;
  readonly max_age: number;
  readonly max_msgs_per_subject: number;
  readonly duplicate_window: number;
  readonly deny_delete?: boolean;
  readonly deny_purge?: boolean;
  readonly allow_rollup_hdrs?: boolean;
  readonly sealed?: boolean;
  readonly mirror?: object;
  readonly sources?: readonly object[];
  readonly republish?: {
    readonly src?: string;
    readonly dest: string;
    readonly headers_only?: boolean;
  };
}

/** The answer to STREAM.INFO and STREAM.CREATE. */
export interface StreamInfo {
  readonly config: StreamConfig;
  /** RFC 3339, to the nanosecond. */
  readonly created: string;
  readonly state: { readonly last_seq: number };
}

const nanosecondsPerMs = 1_000_000;
/** Longer than any writer goes on trying; the server keeps this many minutes of ids in memory. */
const duplicateWindowMs = 300_000;

export function streamName(stream: StreamName): string {
  return `TOCSIN_${stream.toUpperCase().replaceAll("-", "_")}`;
}

/** @param replicas copies of the stream in a NATS cluster, 1 to 5 */
export function streamConfig(definition: NamedStream, replicas: number): StreamConfig {
  const isLog = definition.keep === "log";
  return {
    name: streamName(definition.name),
    subjects: [subjects.logs(definition.name)],
    retention: "limits",
    storage: definition.storage === "disk" ? "file" : "memory",
    num_replicas: replicas,
    discard: "old",
    max_msgs: definition.maxEntries ?? -1,
    max_bytes: -1,
    max_age: (definition.maxAgeMs ?? 0) * nanosecondsPerMs,
    max_msgs_per_subject: isLog ? -1 : 1,
    // The server refuses a window longer than the entries live.
    duplicate_window:
      Math.min(duplicateWindowMs, definition.maxAgeMs ?? Infinity) * nanosecondsPerMs,
    // What was revoked stays revoked, whatever credentials leak. These two cannot be taken back.
    deny_delete: isLog,
    deny_purge: isLog,
    allow_rollup_hdrs: false,
    ...(hasFeed(definition.name)
      ? {
          republish: {
            src: subjects.logs(definition.name),
            dest: subjects.feed(definition.name),
          },
        }
      : {}),
  };
}

/** @throws JournalMisconfigured naming each setting of the stream that would lose, hide or alter entries */
export function assertStream(definition: NamedStream, found: StreamConfig): void {
  const wanted = streamConfig(definition, found.num_replicas);
  const problems: string[] = [];
  const expect = (setting: string, isRight: boolean, is: unknown, must: unknown) => {
    if (!isRight)
      problems.push(`${setting} is ${JSON.stringify(is)}, must be ${JSON.stringify(must)}`);
  };
  const same = (setting: keyof StreamConfig) =>
    expect(
      setting,
      JSON.stringify(found[setting]) === JSON.stringify(wanted[setting]),
      found[setting],
      wanted[setting],
    );

  same("subjects");
  same("retention");
  same("storage");
  same("max_bytes");
  same("max_msgs_per_subject");
  expect(
    "republish",
    found.republish?.src === wanted.republish?.src &&
      found.republish?.dest === wanted.republish?.dest &&
      found.republish?.headers_only !== true,
    found.republish,
    wanted.republish,
  );
  // To keep more, or for longer, is an operator's choice.
  const enough = found.max_msgs <= 0 || (wanted.max_msgs > 0 && found.max_msgs >= wanted.max_msgs);
  expect("max_msgs", enough, found.max_msgs, wanted.max_msgs);
  const longEnough = found.max_age === 0 || (wanted.max_age > 0 && found.max_age >= wanted.max_age);
  expect("max_age", longEnough, found.max_age, wanted.max_age);
  if (definition.keep === "log") {
    same("deny_delete");
    same("deny_purge");
    expect("allow_rollup_hdrs", found.allow_rollup_hdrs !== true, true, false);
  }
  expect("sealed", found.sealed !== true, true, false);
  expect("mirror", found.mirror === undefined, found.mirror, undefined);
  expect("sources", (found.sources ?? []).length === 0, found.sources, []);
  if (problems.length > 0)
    throw new JournalMisconfigured(
      `the NATS stream ${found.name} cannot be the journal ${definition.name}: ${problems.join("; ")}`,
    );
}

/**
 * The incarnation of a stream: when it was created, to the nanosecond, and which history of it this is.
 *
 * @param history the body of the last entry under `epochKey`; undefined: the first one
 */
export function epochOf(info: Pick<StreamInfo, "created">, history: string | undefined): Epoch {
  const fraction = /\.(\d{1,9})/.exec(info.created)?.[1] ?? "";
  const seconds = BigInt(Math.floor(Date.parse(info.created) / 1_000));
  const nanoseconds = seconds * 1_000_000_000n + BigInt(fraction.padEnd(9, "0"));
  return `${nanoseconds.toString(36)}.${historyOf(history)}`;
}

/** `0` is the first history. An entry that is not understood was not written by us: it begins none. */
export function historyOf(body: string | undefined): string {
  if (body === undefined) return "0";
  try {
    return HistoryEntry.parse(JSON.parse(body)).history;
  } catch {
    return "0";
  }
}
