import type { Cancel, Clock, Milliseconds, Random } from "@tocsin/shared";
import type { IdentifiedPrincipal, Principal } from "../identity/principal.ts";
import type { Route } from "../routing/route.ts";
import type { Ending } from "../streams/standing.ts";
import { endNow } from "./ending.ts";
import type { ExchangeResponse } from "./response.ts";

/** Tells of users whose state is not known any more, and finds out what it is now. */
export interface UserReview {
  /** Calls back with the subject of each; undefined: everybody. @returns how to stop it */
  onForgotten(listener: (user: string | undefined) => void): () => void;
  /** Whether anybody is asked about whom this speaks for. */
  concerns(principal: Principal): boolean;
  /**
   * Asks, unless it is known already. The same question is on its way once.
   *
   * @returns why they may not go on; undefined: they may; unanswered: nobody says
   */
  judge(principal: IdentifiedPrincipal, route: Route): Promise<Ending | "unanswered" | undefined>;
  /** What the route says when nobody says. @returns why they may not go on; undefined: they may */
  unanswered(principal: IdentifiedPrincipal, route: Route): Ending | undefined;
}

export interface ReviewOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** The exchanges that are not over, with what has become a stream. */
  readonly open: ReadonlySet<ExchangeResponse>;
  readonly users: UserReview;
}

/** One user with what is open for them. */
interface Due {
  readonly key: string;
  readonly open: Set<ExchangeResponse>;
  /** From then on the route decides, on the monotonic clock. Infinity: nobody was asked in vain. */
  readonly decidedAt: Milliseconds;
}

/** Between two looks, in milliseconds. */
const paceMs: Milliseconds = 20;
/** Users that are asked about at the same time. */
const atOnce = 32;
/** When everybody is to be asked about, that is spread over so long, in milliseconds. */
const spreadMs: Milliseconds = 30_000;
/** Or over less, where they are few: so many at each look. */
const leastPerLook = 2;
/** How long is asked again and again for an answer before the route decides, in milliseconds. */
const patienceMs: Milliseconds = 10_000;
/** How long nobody asks again when there was no answer, in milliseconds; up to half as long again by chance. */
const restMs: Milliseconds = 1_100;
/** How long somebody goes on without an answer, where the route takes that, before it is asked for again, in milliseconds; a quarter more or less by chance. */
const unprovenMs: Milliseconds = 30_000;
/** So many of one user are ended before others have their turn. */
const endedAtOnce = 500;

/**
 * Asks again about users with something open when what was known of them is forgotten, and ends what would not be let in any more
 * (docs/design/decisions/0036-users-of-what-is-open.md).
 *
 * A user who was named is asked about at once. Everybody is asked about evenly over half a minute, so that an order about all of them is
 * no rush on the service that knows.
 */
export class Review implements Disposable {
  readonly #options: ReviewOptions;
  readonly #stopHearing: () => void;
  readonly #timers = new Set<Cancel>();
  /** Who is to be looked for. */
  #named = new Set<string>();
  #everybody = false;
  #looksSoon = false;
  /** Who is to be asked about: those who were named, before the others. */
  readonly #first = new Map<string, Due>();
  readonly #rest = new Map<string, Due>();
  #perLook = leastPerLook;
  #pacing: Cancel | undefined;
  #asking = 0;
  #isOver = false;

  constructor(options: ReviewOptions) {
    this.#options = options;
    this.#stopHearing = options.users.onForgotten((user) => {
      if (user === undefined) this.#everybody = true;
      else this.#named.add(user);
      if (this.#looksSoon) return;
      this.#looksSoon = true;
      this.#later(paceMs, () => this.#look());
    });
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#stopHearing();
    for (const cancel of this.#timers) cancel();
    this.#pacing?.();
    this.#first.clear();
    this.#rest.clear();
  }

  /** Looks through what is open for those who are to be asked about. */
  #look(): void {
    const { open, users } = this.#options;
    const named = this.#named;
    const everybody = this.#everybody;
    this.#named = new Set();
    this.#everybody = false;
    this.#looksSoon = false;
    for (const response of open) {
      const { principal } = response.exchange!;
      // Whoever is being identified now is asked about by that.
      if (principal === undefined || principal.method === "none") continue;
      const isNamed = named.has(principal.subject);
      if (!(everybody || isNamed) || !users.concerns(principal)) continue;
      add(isNamed ? this.#first : this.#rest, response, Infinity);
    }
    this.#perLook = Math.max(leastPerLook, Math.ceil((this.#rest.size * paceMs) / spreadMs));
    this.#goOn();
  }

  /** Begins with those who were named; the others have their turn at each look. */
  #goOn(): void {
    while (this.#asking < atOnce && this.#askNext(this.#first));
    if (this.#rest.size > 0) this.#pacing ??= this.#options.clock.every(paceMs, () => this.#pace());
  }

  #pace(): void {
    for (let begun = 0; begun < this.#perLook && this.#asking < atOnce; begun += 1)
      if (!this.#askNext(this.#rest)) break;
    if (this.#rest.size > 0) return;
    this.#pacing?.();
    this.#pacing = undefined;
  }

  #askNext(queue: Map<string, Due>): boolean {
    const [next] = queue.values();
    if (next === undefined) return false;
    queue.delete(next.key);
    void this.#ask(next);
    return true;
  }

  async #ask({ open: theirs, decidedAt }: Due): Promise<void> {
    const { open, users, clock, random } = this.#options;
    const unanswered: ExchangeResponse[] = [];
    this.#asking += 1;
    let count = 0;
    for (const response of theirs) {
      if (!open.has(response)) continue;
      const route = response.exchange!.route!;
      const who = principalOf(response);
      const isLate = clock.monotonic() >= decidedAt;
      // Without an answer about one there is none about the others, who are the same user.
      const said = isLate || unanswered.length > 0 ? "unanswered" : await users.judge(who, route);
      if (said !== "unanswered") this.#settle(response, said, decidedAt);
      else if (isLate) this.#goesWithout(response, users.unanswered(who, route), decidedAt);
      else unanswered.push(response);
      if ((count += 1) % endedAtOnce === 0) await turn();
    }
    this.#asking -= 1;
    if (unanswered.length > 0) {
      const until = Math.min(decidedAt, clock.monotonic() + patienceMs);
      this.#later(restMs * (1 + random() / 2), () => this.#askAgain(unanswered, until));
    }
    this.#goOn();
  }

  #settle(response: ExchangeResponse, ending: Ending | undefined, decidedAt: Milliseconds): void {
    if (ending === undefined || !this.#options.open.has(response)) return;
    // It may wait for something before it is forwarded.
    if (!endNow(response, ending)) this.#later(paceMs, () => this.#askAgain([response], decidedAt));
  }

  /** The route decides. Who goes on is asked about again and again, until there is an answer. */
  #goesWithout(
    response: ExchangeResponse,
    ending: Ending | undefined,
    decidedAt: Milliseconds,
  ): void {
    if (ending !== undefined) return this.#settle(response, ending, decidedAt);
    const { random, open } = this.#options;
    this.#later(unprovenMs * (0.75 + random() / 2), () => {
      if (open.has(response)) add(this.#rest, response, Infinity);
      this.#goOn();
    });
  }

  #askAgain(responses: readonly ExchangeResponse[], decidedAt: Milliseconds): void {
    for (const response of responses) add(this.#first, response, decidedAt);
    this.#goOn();
  }

  #later(delayMs: Milliseconds, run: () => void): void {
    if (this.#isOver) return;
    const cancel = this.#options.clock.after(delayMs, () => {
      this.#timers.delete(cancel);
      run();
    });
    this.#timers.add(cancel);
  }
}

function add(queue: Map<string, Due>, response: ExchangeResponse, decidedAt: Milliseconds): void {
  const { issuer, subject } = principalOf(response);
  const key = `${issuer}\n${subject}`;
  let due = queue.get(key);
  if (due === undefined) queue.set(key, (due = { key, open: new Set(), decidedAt }));
  due.open.add(response);
}

/** Only what speaks for somebody is ever due. */
function principalOf(response: ExchangeResponse): IdentifiedPrincipal {
  return response.exchange!.principal as IdentifiedPrincipal;
}

const turn = () => new Promise((resolve) => setImmediate(resolve));
