import { messageOf, Refusal } from "@tocsin/shared";
import type { Clock, Log, Milliseconds, Random } from "@tocsin/shared";
import type { UserPolicy } from "@tocsin/shared/contract";
import type { Invalidations, Version } from "@tocsin/shared/invalidations";
import { readAnswer, type HeldAnswer } from "./answer.ts";

/** What an instance of the service said. */
export interface Said {
  readonly status: number;
  /** Of an answer of 200; else it may be left out. */
  readonly body: Uint8Array;
}

/** Sends a question to the service. @param target path @throws anything when there is no answer */
export type Ask = (target: string) => Promise<Said>;

export interface QuestionsOptions {
  readonly policy: UserPolicy;
  readonly ask: Ask;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly invalidations: Invalidations;
  /** Takes each answer that counts. */
  readonly onAnswer: (key: string, held: HeldAnswer) => void;
  /** Hears how long each question took. */
  readonly onQuestion: (tookMs: Milliseconds) => void;
}

/** There is no answer. */
export class Unanswered extends Error {
  override readonly name = "Unanswered";
}

/** How long nobody asks again about somebody when there was no answer. */
const restMs: Milliseconds = 1_000;
/** An answer that somebody is no user any more counts for so long at most: people come back, and nobody would be told. */
const inactiveMs: Milliseconds = 10_000;
/** The part of its time after which an answer that is used is asked for again; the last part is left to chance, so that not all are at once. */
const refreshed = { from: 0.75, to: 0.9 } as const;
/** Questions on their way at the same time. */
const atOnce = 1_000;
/** Users that are not asked about for a while, at most. */
const maxResting = 10_000;

interface Flying {
  readonly since: Version;
  readonly answer: Promise<HeldAnswer>;
}

/** Questions to the service of users under one config. The same question is on its way once, however many wait for it. */
export class Questions {
  readonly #options: QuestionsOptions;
  readonly #flying = new Map<string, Flying>();
  /** When there was no answer the last time. */
  readonly #resting = new Map<string, Milliseconds>();
  #count = 0;
  #failing = false;

  constructor(options: QuestionsOptions) {
    this.#options = options;
  }

  /**
   * Asks about a user, or waits with others for the answer, unless their question left before an invalidation came.
   *
   * @throws Unanswered
   */
  about(key: string, subject: string, target: string): Promise<HeldAnswer> {
    const { invalidations, clock } = this.#options;
    const flying = this.#flying.get(key);
    if (flying !== undefined && invalidations.holds(subject, flying.since)) return flying.answer;
    const failedAt = this.#resting.get(key);
    if (failedAt !== undefined && clock.monotonic() < failedAt + restMs)
      return Promise.reject(new Unanswered("there was no answer a moment ago"));
    if (this.#count >= atOnce)
      return Promise.reject(new Unanswered(`${atOnce} questions are on their way`));
    const since = invalidations.version;
    const answer = this.#ask(key, subject, target, since);
    this.#flying.set(key, { since, answer });
    return answer;
  }

  async #ask(key: string, subject: string, target: string, since: Version): Promise<HeldAnswer> {
    const { policy, ask, clock, random, invalidations, onAnswer, onQuestion } = this.#options;
    const askedAt = clock.monotonic();
    this.#count += 1;
    try {
      const said = await ask(target);
      const answer = readAnswer(said.status, said.body);
      const { ttl } = policy;
      const lastsMs = answer.active ? ttl : Math.min(ttl, inactiveMs);
      const part = refreshed.from + (refreshed.to - refreshed.from) * random();
      const held: HeldAnswer = {
        answer,
        askedAt,
        refreshAt: answer.active ? askedAt + lastsMs * part : Infinity,
        endsAt: askedAt + lastsMs,
        staleUntil: askedAt + lastsMs + ttl,
        since,
        heldAt: since,
        principals: new WeakMap(),
      };
      this.#works();
      this.#resting.delete(key);
      if (invalidations.holds(subject, since)) onAnswer(key, held);
      return held;
    } catch (error) {
      this.#fails(key, error);
      throw new Unanswered(messageOf(error), { cause: error });
    } finally {
      this.#count -= 1;
      if (this.#flying.get(key)?.since === since) this.#flying.delete(key);
      onQuestion(clock.monotonic() - askedAt);
    }
  }

  #works(): void {
    if (this.#failing)
      this.#options.log.info({ service: this.#options.policy.service }, "users are told again");
    this.#failing = false;
  }

  #fails(key: string, error: unknown): void {
    const { clock, log, policy } = this.#options;
    if (this.#resting.size >= maxResting) this.#resting.clear();
    this.#resting.set(key, clock.monotonic());
    if (this.#failing) return;
    this.#failing = true;
    // Once, not for each user: what becomes of requests stands in their own lines.
    log.warn(
      { service: policy.service, cause: messageOf(causeOf(error)) },
      "the service of users does not tell",
    );
  }
}

/** A refusal is a code; what has happened stands behind it. */
function causeOf(error: unknown): unknown {
  return error instanceof Refusal && error.cause !== undefined ? error.cause : error;
}
