import { Denial } from "@tocsin/shared";
import type { Clock, Log, Milliseconds, Random } from "@tocsin/shared";
import type { AuthPolicy, UserPolicy } from "@tocsin/shared/contract";
import type { Invalidations } from "@tocsin/shared/invalidations";
import type { RevocationSet } from "@tocsin/shared/revocations";
import type { Identity } from "../identity.ts";
import type { IdentifiedPrincipal, Principal } from "../principal.ts";
import { withAnswer, type HeldAnswer } from "./answer.ts";
import { HeldAnswers } from "./held-answers.ts";
import { Questions, Unanswered, type Ask } from "./questions.ts";
import { targetOf } from "./target.ts";

/**
 * What became of a look. `cached`: nobody was asked. `active`, `inactive`: the service said so. Without an answer: `stale` went by
 * the last one, `allowed` by the credential alone, `unavailable` was refused.
 */
export type UserLookup = "cached" | "active" | "inactive" | "stale" | "allowed" | "unavailable";

export interface UsersOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly invalidations: Invalidations;
  readonly revocations: RevocationSet;
  /** Time since the invalidations were known to be current; undefined: they never were. */
  readonly invalidationsMs: () => Milliseconds | undefined;
  readonly onLookup?: (outcome: UserLookup) => void;
  readonly onQuestion?: (tookMs: Milliseconds) => void;
}

/** The config as far as this goes by it. */
interface Rules {
  readonly policy: UserPolicy;
  readonly isAsked: (principal: IdentifiedPrincipal) => boolean;
  readonly keyOf: (principal: IdentifiedPrincipal) => string;
  readonly questions: Questions;
}

/** How long an answer counts that may have been invalidated without this proxy having heard. */
const cutOffMs: Milliseconds = 30_000;
/** A question whose answer was overtaken by an invalidation is put again, so often. */
const turns = 3;

/**
 * Asks a service whether the user behind a credential is still active, and which roles it has.
 *
 * What it said counts for some time; an invalidation of the user ends that at once, and a question that was on its way then does not
 * count either (docs/design/decisions/0032-invalidations-and-the-look-up-of-users.md).
 */
export class Users {
  readonly #options: UsersOptions;
  readonly #onLookup: (outcome: UserLookup) => void;
  readonly #answers = new HeldAnswers();
  #rules: Rules | undefined;
  #config = "";

  constructor(options: UsersOptions) {
    this.#options = options;
    this.#onLookup = options.onLookup ?? (() => {});
  }

  /**
   * Asks by this policy from now on; what was said under another one does not count.
   *
   * @param ask sends a question to the service that the policy names
   */
  configure(policy: UserPolicy | undefined, ask: Ask | undefined): void {
    const config = JSON.stringify(policy) ?? "";
    const changed = config !== this.#config;
    this.#config = config;
    if (changed) this.#answers.clear();
    if (policy === undefined || ask === undefined) {
      this.#rules = undefined;
      return;
    }
    const kinds = new Set<string>(policy.for);
    const byIssuer = policy.path.includes("{issuer}");
    this.#rules = {
      policy,
      isAsked: ({ method }) => kinds.has(method),
      keyOf: byIssuer ? ({ issuer, subject }) => `${issuer}\n${subject}` : ({ subject }) => subject,
      questions: new Questions({
        ...this.#options,
        policy,
        ask,
        onAnswer: (key, held) => {
          // The config may have changed while it was on its way.
          if (this.#config === config) this.#answers.put(key, held);
        },
        onQuestion: this.#options.onQuestion ?? (() => {}),
      }),
    };
  }

  /** An identity that lets nobody in who is no user any more. Where nobody is to be asked it is the one that was given. */
  behind(identity: Identity): Identity {
    if (this.#rules === undefined) return identity;
    return {
      identify: (request, auth) => {
        const found = identity.identify(request, auth);
        return found instanceof Promise
          ? found.then((principal) => this.check(principal, auth))
          : this.check(found, auth);
      },
    };
  }

  /** Whether anybody is asked about whom this speaks for. */
  concerns(principal: Principal): boolean {
    return principal.method !== "none" && this.#rules?.isAsked(principal) === true;
  }

  /**
   * The principal with the roles that its user has now. Answers at once (no promise) when that is known.
   *
   * @throws Refusal credential-revoked when there is no such user, or it is not active; service-unavailable when nobody says, and the
   * route does not go without
   */
  check(principal: Principal, auth: AuthPolicy): Principal | Promise<Principal> {
    const rules = this.#rules;
    if (principal.method === "none" || rules === undefined || !rules.isAsked(principal))
      return principal;
    const key = rules.keyOf(principal);
    const held = this.#answers.get(key);
    const now = this.#options.clock.monotonic();
    if (held === undefined || now >= held.endsAt || !this.#counts(held, principal.subject, now))
      return this.#look(rules, key, principal, auth);
    this.#onLookup("cached");
    if (now >= held.refreshAt) this.#refresh(rules, key, principal);
    return admit(held, principal);
  }

  async #look(
    rules: Rules,
    key: string,
    principal: IdentifiedPrincipal,
    auth: AuthPolicy,
  ): Promise<Principal> {
    const found = await this.#find(rules, key, principal, auth);
    // Another service may be asked by now, or none.
    if (rules !== this.#rules) return this.check(principal, auth);
    // It took its time, and may have been taken back meanwhile.
    if (this.#options.revocations.has(principal.credential))
      throw new Denial("credential-revoked", "revoked", { issuer: principal.issuer });
    return found === undefined ? principal : admit(found, principal);
  }

  /** @returns undefined: nobody says, and the route goes without. @throws Refusal when it does not */
  async #find(
    rules: Rules,
    key: string,
    principal: IdentifiedPrincipal,
    auth: AuthPolicy,
  ): Promise<HeldAnswer | undefined> {
    const { subject } = principal;
    try {
      const held = await this.#ask(rules, key, principal);
      this.#onLookup(held.answer.active ? "active" : "inactive");
      return held;
    } catch (error) {
      if (!(error instanceof Unanswered)) throw error;
      const { onUnavailable } = auth.users ?? { onUnavailable: "deny" };
      const last = this.#answers.get(key);
      const now = this.#options.clock.monotonic();
      if (onUnavailable !== "deny") {
        if (last !== undefined && now < last.staleUntil && this.#counts(last, subject, now)) {
          this.#onLookup("stale");
          return last;
        }
        if (onUnavailable === "allow") {
          this.#onLookup("allowed");
          return undefined;
        }
      }
      this.#onLookup("unavailable");
      throw new Denial("service-unavailable", "users-unavailable", {
        issuer: principal.issuer,
        detail: "the user cannot be looked up at the moment",
        cause: new Error(`service ${rules.policy.service}: ${error.message}`, { cause: error }),
      });
    }
  }

  /** @throws Unanswered; Refusal credential-revoked for a subject that cannot be asked about */
  async #ask(rules: Rules, key: string, principal: IdentifiedPrincipal): Promise<HeldAnswer> {
    const { subject, issuer } = principal;
    const target = targetOf(rules.policy.path, principal);
    if (target === undefined)
      throw new Denial("credential-revoked", "user-not-askable", { issuer });
    for (let turn = 0; turn < turns; turn += 1) {
      const held = await rules.questions.about(key, subject, target);
      if (this.#counts(held, subject, this.#options.clock.monotonic())) return held;
    }
    throw new Unanswered("invalidated each time while it was asked for");
  }

  /** A busy user waits for no question: it is put before the answer is needed. */
  #refresh(rules: Rules, key: string, principal: IdentifiedPrincipal): void {
    const target = targetOf(rules.policy.path, principal);
    // Without an answer the one that is held counts on; whoever needs another one will ask.
    if (target !== undefined) rules.questions.about(key, principal.subject, target).catch(() => {});
  }

  /** Whether nothing has ended an answer before its time, as far as that can be known. */
  #counts(held: HeldAnswer, subject: string, now: Milliseconds): boolean {
    const { invalidations, invalidationsMs } = this.#options;
    const { version } = invalidations;
    if (held.heldAt !== version) {
      if (!invalidations.holds(subject, held.since)) return false;
      // Nothing was invalidated since that version: until something is, the answer stays the same.
      held.heldAt = version;
    }
    return now - held.askedAt <= cutOffMs || (invalidationsMs() ?? Infinity) <= cutOffMs;
  }
}

/** @throws Refusal credential-revoked */
function admit(held: HeldAnswer, principal: IdentifiedPrincipal): IdentifiedPrincipal {
  if (!held.answer.active)
    throw new Denial("credential-revoked", "user-inactive", { issuer: principal.issuer });
  return withAnswer(held, principal);
}
