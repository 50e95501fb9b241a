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
  auditLog,
  epochKey,
  hasFeed,
  JournalConflict,
  journals,
  JournalUnavailable,
  type Appended,
  type AppendOptions,
  type Entry,
  type Epoch,
  type Head,
  type Journal,
  type JournalKey,
  type JournalName,
  type Journals,
  type Ledger,
  type NamedStream,
  type Recorded,
  type Sequence,
} from "./journal.ts";
import { inWords, mayHaveHappened, mayPass } from "./nats-failures.ts";
import { lastMessage, type LastMessage } from "./nats-last.ts";
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
  definition: NamedStream,
  options: NatsJournalOptions,
): Promise<Journal> {
  const journal = new NatsJournal(definition, options);
  await journal.open(options.signal);
  return journal;
}

/** Opens all journals of the fleet, and the audit. @throws as {@link openNatsJournal} */
export async function openNatsJournals(
  options: NatsJournalOptions,
): Promise<{ readonly journals: Journals; readonly audit: Ledger } & AsyncDisposable> {
  const open = (definition: NamedStream) => openNatsJournal(definition, options);
  const [audit, ...opened] = await Promise.all([
    open(auditLog),
    ...Object.values(journals).map(async (each) => [each.name, await open(each)] as const),
  ]);
  return {
    journals: Object.fromEntries(opened) as Record<JournalName, Journal>,
    audit,
    [Symbol.asyncDispose]: once(async () => {
      const all = [audit, ...opened.map(([, journal]) => journal)];
      await Promise.all(all.map((each) => each[Symbol.asyncDispose]()));
    }),
  };
}

class NatsJournal implements Journal {
  readonly definition: NamedStream;
  readonly #options: NatsJournalOptions;
  readonly #bus: NatsBus;
  readonly #clock: Clock;
  readonly #closed = new AbortController();
  readonly #stopWatching: () => void;
  #epoch: Epoch | undefined;
  /** The highest sequence known of this epoch: what is recorded later is above, or the history is another one. */
  #highest: Sequence = 0;
  #ensuring: Promise<Head> | undefined;

  constructor(definition: NamedStream, options: NatsJournalOptions) {
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

  async last(key: JournalKey): Promise<Recorded | undefined> {
    try {
      const { epoch } = await this.head();
      const last = await this.#last(subjects.log(this.definition.name, key), {
        timeoutMs: attemptMs,
      });
      return last === undefined ? undefined : { key, epoch, ...last.recorded };
    } catch (error) {
      throw inWords(this.definition.name, "read", error);
    }
  }

  async renew(from: Epoch): Promise<Head> {
    const subject = subjects.log(this.definition.name, epochKey);
    const { random = systemRandom } = this.#options;
    return this.#insist("renew", undefined, async (attempt) => {
      const now = await this.#info();
      if (now.epoch !== from) return now;
      const expected = (await this.#last(subject, attempt))?.recorded.sequence ?? 0;
      // By the clock, so that a store whose counter was lost too does not come to the same name again; by chance, for clocks that
      // go back.
      const history = `${Math.floor(this.#clock.wall()).toString(36)}${Math.floor(random() * 1_679_616).toString(36)}`;
      const epoch = `${from.split(".")[0]}.${history}`;
      try {
        await call(this.#bus, subject, JSON.stringify({ history }), {
          ...attempt,
          headers: {
            "Nats-Msg-Id": randomUUID(),
            ...entryHeaders({ epoch }),
            "Nats-Expected-Last-Subject-Sequence": String(expected),
          },
        });
      } catch (error) {
        // Another node was faster, and its name is as good as ours.
        if (!isJetStreamError(error, "wrongLastSequence")) throw error;
      }
      return this.#info();
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

  async follow(onEntry: (entry: Recorded) => void): Promise<AsyncDisposable> {
    const { name } = this.definition;
    if (!hasFeed(name)) throw new Error(`the log ${name} has no feed`);
    return this.#bus.subscribe(subjects.feed(name), (message) => {
      const entry = recordedOf(name, message);
      if (entry === undefined) {
        this.#options.log.warn({ subject: message.subject }, "journal feed message is no entry");
        return;
      }
      // Another history, by another node: what we write from now on belongs to it. Asked for, not believed.
      if (entry.key === epochKey) this.#epoch = undefined;
      onEntry(entry);
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
    const sequence = last?.recorded.sequence ?? 0;
    if (last?.id === id) return { sequence, epoch: (await this.#info()).epoch, duplicate: true };
    throw new JournalConflict(`the last entry under ${subject} has sequence ${sequence}`);
  }

  async #last(subject: string, attempt: Attempt) {
    try {
      return await lastMessage(this.#bus, this.definition.name, subject, attempt);
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
      return this.#learn(info, undefined);
    } catch (error) {
      // Another node was faster with other settings: what counts is what is there.
      if (isJetStreamError(error, "streamNameInUse")) return await this.#info();
      throw error;
    }
  }

  /** Asked together: a history that begins in between shows in the next answer. */
  async #info(): Promise<Head> {
    const attempt = { timeoutMs: attemptMs };
    const name = streamName(this.definition.name);
    const [info, history] = await Promise.all([
      call<StreamInfo>(this.#bus, `$JS.API.STREAM.INFO.${name}`, "", attempt),
      this.#last(subjects.log(this.definition.name, epochKey), attempt),
    ]);
    return this.#learn(info, history?.recorded);
  }

  #learn(info: StreamInfo, history: LastMessage["recorded"] | undefined): Head {
    assertStream(this.definition, info.config);
    const epoch = epochOf(info, history?.body);
    // A history that began in between is part of what there is.
    const head = Math.max(info.state.last_seq, history?.sequence ?? 0);
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
    let recorded: "no" | undefined = "no";
    for (let tries = 0; ; tries++) {
      const leftMs = end - this.#clock.monotonic();
      // Nothing leaves this process while the bus is away.
      const away = this.#bus.state !== "connected";
      let failure: unknown;
      try {
        either.throwIfAborted();
        return await work({
          timeoutMs: Math.max(1, Math.min(attemptMs, leftMs)),
          signal: either,
        });
      } catch (error) {
        either.throwIfAborted();
        if (!away && mayHaveHappened(error)) recorded = undefined;
        if (!mayPass(error)) throw inWords(this.definition.name, what, error, recorded);
        failure = error;
      }
      // The stream may be gone: the first try after that creates it.
      if (failure instanceof BusUnavailable && failure.kind === "no-responders")
        this.#epoch = undefined;
      const pauseMs = Math.min(1_000, 25 * 2 ** tries) * (0.5 + random() / 2);
      if (this.#clock.monotonic() + pauseMs >= end)
        throw inWords(this.definition.name, what, failure, recorded);
      await sleep(this.#clock, pauseMs, either);
    }
  }
}

interface Attempt {
  readonly timeoutMs: Milliseconds;
  readonly signal?: AbortSignal;
}

function pick(operation: string | undefined) {
  return operation === undefined ? {} : { operation };
}
