/**
 * The journal on NATS JetStream: one stream per journal, numbered by the server, republished by the server.
 */
import { randomUUID } from "node:crypto";
import { BusUnavailable } from "../bus/bus.ts";
import type { NatsBus } from "../bus/nats.ts";
import { assertOperation, subjects } from "../bus/subjects.ts";
import { once } from "../lifetime.ts";
import type { Log } from "../log.ts";
import { sleep, systemRandom, type Clock, type Milliseconds, type Random } from "../time.ts";
import { entryHeaders, recordedOf } from "./feed.ts";
import { call, isJetStreamError } from "./jetstream.ts";
import {
  JournalConflict,
  journals,
  JournalUnavailable,
  type Appended,
  type AppendOptions,
  type Entry,
  type Epoch,
  type Head,
  type Journal,
  type JournalName,
  type Journals,
  type NamedJournal,
  type Recorded,
  type Sequence,
} from "./journal.ts";
import { inWords, mayPass } from "./nats-failures.ts";
import { readStream } from "./nats-reader.ts";
import { assertStream, epochOf, streamConfig, streamName, type StreamInfo } from "./nats-stream.ts";

export interface NatsJournalOptions {
  /** Not disposed with the journal. */
  readonly bus: NatsBus;
  readonly clock: Clock;
  readonly log: Log;
  readonly random?: Random;
  /** How long opening and appending go on trying, in milliseconds. Default 15 000: a change of leader in a cluster takes 5 to 7 s. */
  readonly deadlineMs?: Milliseconds;
  /** Copies of a stream that is created, in a NATS cluster. Default 1. */
  readonly replicas?: number;
  /** Gives up opening. */
  readonly signal?: AbortSignal;
}

/** How long one attempt waits for the server, in milliseconds. */
const attemptMs = 2_000;

/**
 * Opens a journal, and creates its stream where there is none.
 *
 * @throws JournalUnavailable when JetStream does not answer within the deadline
 * @throws JournalMisconfigured when the stream is there with settings that would lose entries, or the account has no JetStream
 */
export async function openNatsJournal(
  definition: NamedJournal,
  options: NatsJournalOptions,
): Promise<Journal> {
  const journal = new NatsJournal(definition, options);
  await journal.open(options.signal);
  return journal;
}

/** Opens all journals of the fleet. @throws as {@link openNatsJournal} */
export async function openNatsJournals(
  options: NatsJournalOptions,
): Promise<{ readonly journals: Journals } & AsyncDisposable> {
  const opened = await Promise.all(
    Object.values(journals).map(
      async (definition) => [definition.name, await openNatsJournal(definition, options)] as const,
    ),
  );
  return {
    journals: Object.fromEntries(opened) as Record<JournalName, Journal>,
    [Symbol.asyncDispose]: once(async () => {
      await Promise.all(opened.map(([, journal]) => journal[Symbol.asyncDispose]()));
    }),
  };
}

class NatsJournal implements Journal {
  readonly definition: NamedJournal;
  readonly #options: NatsJournalOptions;
  readonly #bus: NatsBus;
  readonly #clock: Clock;
  readonly #closed = new AbortController();
  readonly #stopWatching: () => void;
  #epoch: Epoch | undefined;
  /** The highest sequence known of this epoch: what is recorded later is above, or the history is another one. */
  #highest: Sequence = 0;
  #ensuring: Promise<Head> | undefined;

  constructor(definition: NamedJournal, options: NatsJournalOptions) {
    this.definition = definition;
    this.#options = options;
    this.#bus = options.bus;
    this.#clock = options.clock;
    // Behind a new connection there may be another server, or the same one with an empty disk.
    this.#stopWatching = this.#bus.onState(() => {
      this.#epoch = undefined;
    });
  }

  async open(signal?: AbortSignal): Promise<void> {
    await this.#insist("open", signal, () => this.#ensure());
  }

  async append(entry: Entry, options: AppendOptions = {}): Promise<Appended> {
    const subject = subjects.log(this.definition.name, entry.key);
    if (options.operation !== undefined) assertOperation(options.operation);
    // Without an order there is still one intended effect: the retries of this call must not become several entries.
    const id = options.operation ?? randomUUID();
    return this.#insist("append", options.signal, async (attempt) => {
      try {
        return await this.#publish(subject, entry.body, id, options, attempt);
      } catch (error) {
        if (!isJetStreamError(error, "wrongLastSequence")) throw error;
        return await this.#conflict(subject, id, attempt);
      }
    });
  }

  async *read(from: Sequence, limit: number): AsyncGenerator<Recorded> {
    const { name } = this.definition;
    try {
      yield* readStream(this.#bus, name, from, limit, () => this.#info());
    } catch (error) {
      throw inWords(name, "read", error);
    }
  }

  follow(onEntry: (entry: Recorded) => void): Promise<AsyncDisposable> {
    const { name } = this.definition;
    return this.#bus.subscribe(subjects.feed(name), (message) => {
      const entry = recordedOf(name, message);
      if (entry === undefined)
        this.#options.log.warn({ subject: message.subject }, "journal feed message is no entry");
      else onEntry(entry);
    });
  }

  async head(): Promise<Head> {
    try {
      return await this.#info();
    } catch (error) {
      if (!isJetStreamError(error, "streamNotFound"))
        throw inWords(this.definition.name, "head", error);
    }
    try {
      return await this.#ensure();
    } catch (error) {
      throw inWords(this.definition.name, "head", error);
    }
  }

  readonly [Symbol.asyncDispose] = once(() => {
    this.#closed.abort(new JournalUnavailable(`the journal ${this.definition.name} is closed`));
    this.#stopWatching();
  });

  async #publish(
    subject: string,
    body: string,
    id: string,
    options: AppendOptions,
    attempt: Attempt,
  ): Promise<Appended> {
    const epoch = this.#epoch ?? (await this.#ensure()).epoch;
    const below = this.#highest;
    const { seq, duplicate = false } = await call<{ seq: number; duplicate?: boolean }>(
      this.#bus,
      subject,
      body,
      {
        ...attempt,
        headers: {
          "Nats-Msg-Id": id,
          ...entryHeaders({ epoch, ...pick(options.operation) }),
          ...(options.expected === undefined
            ? {}
            : { "Nats-Expected-Last-Subject-Sequence": String(options.expected) }),
        },
      },
    );
    if (duplicate || seq > below) {
      this.#highest = Math.max(this.#highest, seq);
      return { sequence: seq, epoch, duplicate };
    }
    // A number that was there before: the stream is another one, or has gone back. It is recorded all the same.
    this.#epoch = undefined;
    const now = await this.#info().catch(() => ({ epoch }));
    return { sequence: seq, epoch: now.epoch, duplicate };
  }

  /** Somebody was first. Or we were: an earlier attempt landed and only its confirmation was lost. */
  async #conflict(subject: string, id: string, attempt: Attempt): Promise<Appended> {
    const last = await this.#last(subject, attempt);
    if (last?.id === id)
      return { sequence: last.sequence, epoch: (await this.#info()).epoch, duplicate: true };
    throw new JournalConflict(
      `the last entry under ${subject} has sequence ${last?.sequence ?? 0}`,
    );
  }

  async #last(subject: string, attempt: Attempt) {
    const api = `$JS.API.STREAM.MSG.GET.${streamName(this.definition.name)}`;
    try {
      const { message } = await call<{ message: { seq: number; hdrs?: string } }>(
        this.#bus,
        api,
        { last_by_subj: subject },
        attempt,
      );
      const headers = Buffer.from(message.hdrs ?? "", "base64").toString();
      return { sequence: message.seq, id: /^Nats-Msg-Id: (.*)\r$/m.exec(headers)?.[1] };
    } catch (error) {
      if (isJetStreamError(error, "noMessageFound")) return undefined;
      throw error;
    }
  }

  /** Finds the stream or creates it; calls at the same time share one try. */
  #ensure(): Promise<Head> {
    this.#ensuring ??= this.#findOrCreate().finally(() => {
      this.#ensuring = undefined;
    });
    return this.#ensuring;
  }

  async #findOrCreate(): Promise<Head> {
    try {
      return await this.#info();
    } catch (error) {
      if (!isJetStreamError(error, "streamNotFound")) throw error;
    }
    const config = streamConfig(this.definition, this.#options.replicas ?? 1);
    try {
      const info = await call<StreamInfo>(
        this.#bus,
        `$JS.API.STREAM.CREATE.${config.name}`,
        config,
        { timeoutMs: attemptMs },
      );
      this.#options.log.info({ stream: config.name }, "journal stream created");
      return this.#learn(info);
    } catch (error) {
      // Another node was faster with other settings: what counts is what is there.
      if (isJetStreamError(error, "streamNameInUse")) return await this.#info();
      throw error;
    }
  }

  async #info(): Promise<Head> {
    const subject = `$JS.API.STREAM.INFO.${streamName(this.definition.name)}`;
    return this.#learn(await call<StreamInfo>(this.#bus, subject, "", { timeoutMs: attemptMs }));
  }

  #learn(info: StreamInfo): Head {
    assertStream(this.definition, info.config);
    const epoch = epochOf(info);
    const head = info.state.last_seq;
    if (this.#epoch !== undefined && this.#epoch !== epoch)
      this.#options.log.warn({ journal: this.definition.name, epoch }, "journal has a new epoch");
    // Answers may overtake each other; a head that is really lower shows in the next entry's number.
    this.#highest = this.#epoch === epoch ? Math.max(this.#highest, head) : head;
    this.#epoch = epoch;
    return { epoch, head };
  }

  /** Tries until it works, the answer is a definite no, or the time is over. */
  async #insist<T>(
    what: string,
    signal: AbortSignal | undefined,
    work: (attempt: Attempt) => Promise<T>,
  ): Promise<T> {
    const { deadlineMs = 15_000, random = systemRandom } = this.#options;
    const end = this.#clock.monotonic() + deadlineMs;
    const either = AbortSignal.any([
      this.#closed.signal,
      ...(signal === undefined ? [] : [signal]),
    ]);
    for (let tries = 0; ; tries++) {
      const leftMs = end - this.#clock.monotonic();
      let failure: unknown;
      try {
        either.throwIfAborted();
        return await work({
          timeoutMs: Math.max(1, Math.min(attemptMs, leftMs)),
          signal: either,
        });
      } catch (error) {
        either.throwIfAborted();
        if (!mayPass(error)) throw inWords(this.definition.name, what, error);
        failure = error;
      }
      // The stream may be gone: the first try after that creates it.
      if (failure instanceof BusUnavailable && failure.kind === "no-responders")
        this.#epoch = undefined;
      const pauseMs = Math.min(1_000, 25 * 2 ** tries) * (0.5 + random() / 2);
      if (this.#clock.monotonic() + pauseMs >= end)
        throw inWords(this.definition.name, what, failure);
      await sleep(this.#clock, pauseMs, either);
    }
  }
}

interface Attempt {
  readonly timeoutMs: Milliseconds;
  readonly signal: AbortSignal;
}

function pick(operation: string | undefined) {
  return operation === undefined ? {} : { operation };
}
