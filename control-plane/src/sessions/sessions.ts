/** Sessions: made for a service that has signed somebody in, listed, and ended by an order that every proxy acknowledges. */
import { messageOf, type Clock, type Log, type Milliseconds } from "@tocsin/shared";
import type {
  NewSession,
  OrderAnswer,
  SessionList,
  SessionMade,
  SessionPolicy,
  SessionsEnded,
  SessionView,
} from "@tocsin/shared/contract";
import {
  freshCookieValue,
  hashOf,
  SessionId,
  SessionStoreUnavailable,
  writeCookieValue,
  type HeldSession,
  type SessionStore,
} from "@tocsin/shared/sessions";
import type { CurrentConfig } from "../catalogue/current-config.ts";
import { Declined } from "../problem.ts";
import { check } from "../read-body.ts";
import type { ReadOrder } from "../revocation/read-order.ts";
import { setCookie } from "./set-cookie.ts";

export interface SessionsOptions {
  /** Absent: they are kept nowhere. */
  readonly store: SessionStore | undefined;
  readonly config: Pick<CurrentConfig, "now">;
  /** Takes sessions back on every proxy. */
  readonly revoke: (
    sids: readonly SessionId[],
    options: { readonly reason: string | undefined; readonly waitMs: Milliseconds },
  ) => Promise<OrderAnswer>;
  readonly clock: Clock;
  readonly log: Log;
}

/** So many are listed of one subject, and ended at once: more are a mistake of whoever signs in. */
const listedAtMost = 1_000;

type Ended = Pick<SessionsEnded, "removed" | "notRemoved">;

export class Sessions {
  readonly #options: SessionsOptions;

  constructor(options: SessionsOptions) {
    this.#options = options;
  }

  /**
   * @param by who asks for it
   * @throws Declined 409 when the config has no sessions, 422 when it would live for too long, 503 when it could not be kept
   */
  async create(asked: NewSession, by: string): Promise<SessionMade> {
    const { clock } = this.#options;
    const policy = this.#policy();
    const lifetimeMs = asked.lifetime ?? policy.lifetime;
    if (lifetimeMs > policy.lifetime)
      throw new Declined(422, "validation-failed", "The request does not validate", {
        errors: [
          {
            pointer: "/lifetime",
            message: "it is longer than identity.sessions.lifetime of the config",
          },
        ],
      });
    const value = freshCookieValue();
    const createdAt = Math.floor(clock.wall());
    const expiresAt = createdAt + lifetimeMs;
    const { subject, roles, scopes, client, metadata } = asked;
    await this.#asking(async (store) =>
      store.create(
        {
          v: 1,
          sid: value.sid,
          secretHash: hashOf(value.secret),
          subject,
          roles,
          scopes,
          ...(client === undefined ? {} : { client }),
          createdAt,
          expiresAt,
          by,
          ...(metadata === undefined ? {} : { metadata }),
        },
        Math.min(policy.ttl, lifetimeMs),
      ),
    );
    const cookie = writeCookieValue(value);
    return {
      sid: value.sid,
      cookie,
      setCookie: setCookie(policy, this.#environment(), cookie, Math.floor(lifetimeMs / 1_000)),
      expiresAt: expiresAt / 1_000,
    };
  }

  /** The sessions of a subject, the newest first. @throws Declined as {@link create} */
  async list(subject: string): Promise<SessionList> {
    const { lifetime } = this.#policy();
    const now = this.#options.clock.wall();
    const held = await this.#asking((store) => store.listOf(subject, listedAtMost + 1));
    const views = held
      .map((each) => viewOf(each, lifetime, now))
      .filter((view) => view.expiresAt * 1_000 > now);
    return {
      sessions: views.slice(0, listedAtMost),
      ...(views.length > listedAtMost ? { more: true } : {}),
    };
  }

  /**
   * Ends one session: first on every proxy, then in the store. What the store does not take is revoked all the same.
   *
   * @throws Declined 404 when there is none, 503 naming the operation when the journal did not take the order
   */
  async end(sid: string, reason: string | undefined, waitMs: Milliseconds): Promise<SessionsEnded> {
    this.#policy();
    check(SessionId, sid);
    let held: HeldSession | undefined;
    let isKnown = true;
    try {
      held = await this.#store().read(sid);
    } catch (error) {
      if (!(error instanceof SessionStoreUnavailable)) throw error;
      // It can be ended without: the order alone lets nobody in any more.
      isKnown = false;
    }
    if (held === undefined && isKnown)
      throw new Declined(404, "not-found", "There is no such session", { detail: sid });
    const answer = await this.#options.revoke([sid], { reason, waitMs });
    return { ...answer, ...(await this.#remove(held === undefined ? [] : [held])), ...this.#bye() };
  }

  /** Ends every session that a subject has now. @throws Declined as {@link end}; 503 when the store cannot say which there are */
  async endAll(
    subject: string,
    reason: string | undefined,
    waitMs: Milliseconds,
  ): Promise<SessionsEnded> {
    this.#policy();
    const held = await this.#asking((store) => store.listOf(subject, listedAtMost));
    if (held.length === 0) return { removed: 0, ...this.#bye() };
    const sids = held.map(({ session }) => session.sid);
    const answer = await this.#options.revoke(sids, { reason, waitMs });
    return { ...answer, ...(await this.#remove(held)), ...this.#bye() };
  }

  /** A session was revoked by an order of its own: the store need not keep it. Whatever fails here, the order stands. */
  async forget(sids: readonly string[]): Promise<void> {
    const { store, log } = this.#options;
    if (store === undefined) return;
    for (const sid of sids) {
      // The `sid` of somebody else's tokens is none of ours.
      if (!SessionId.safeParse(sid).success) continue;
      try {
        const held = await store.read(sid);
        if (held !== undefined) await store.remove(held.session);
      } catch (error) {
        log.warn({ reason: messageOf(error) }, "a session that was revoked is still in the store");
        return;
      }
    }
  }

  async #remove(held: readonly HeldSession[]): Promise<Ended> {
    let removed = 0;
    try {
      const store = this.#store();
      for (const { session } of held) if (await store.remove(session)) removed += 1;
      if (held.length > 0 || store.trouble === undefined) return { removed };
      return { removed, notRemoved: store.trouble };
    } catch (error) {
      if (!(error instanceof SessionStoreUnavailable)) throw error;
      return { removed, notRemoved: messageOf(error) };
    }
  }

  #bye(): { setCookie: string } {
    return { setCookie: setCookie(this.#policy(), this.#environment(), undefined) };
  }

  #environment() {
    return this.#options.config.now().environment;
  }

  #policy(): SessionPolicy {
    const policy = this.#options.config.now().identity.sessions;
    if (policy !== undefined) return policy;
    throw new Declined(409, "sessions-not-configured", "There are no sessions", {
      detail: "identity.sessions of the config is not set.",
    });
  }

  #store(): SessionStore {
    const { store } = this.#options;
    if (store !== undefined) return store;
    throw new SessionStoreUnavailable("TOCSIN_REDIS_URL of this control plane is not set");
  }

  async #asking<T>(ask: (store: SessionStore) => Promise<T>): Promise<T> {
    try {
      return await ask(this.#store());
    } catch (cause) {
      if (!(cause instanceof SessionStoreUnavailable)) throw cause;
      throw new Declined(
        503,
        "session-store-unavailable",
        "The store of sessions does not answer",
        {
          // For operators alone: this is the admin API.
          detail: `The store says: ${cause.message}.`,
          cause,
        },
      );
    }
  }
}

/** The sessions that an order takes back. */
export function sessionsIn(order: ReadOrder): string[] {
  const items = order.kind === "one" ? [order.item] : order.items;
  return items.flatMap((item) => ("kind" in item && item.kind === "session" ? [item.sid] : []));
}

function viewOf(
  { session, idleMs }: HeldSession,
  lifetimeMs: Milliseconds,
  now: number,
): SessionView {
  const { sid, subject, roles, scopes, client, createdAt, expiresAt, by, metadata } = session;
  const endsAt = Math.min(expiresAt, createdAt + lifetimeMs) / 1_000;
  return {
    sid,
    subject,
    roles,
    scopes,
    ...(client === undefined ? {} : { client }),
    createdAt: createdAt / 1_000,
    idleEndsAt: Math.min(endsAt, Math.ceil(now + idleMs) / 1_000),
    expiresAt: endsAt,
    by,
    ...(metadata === undefined ? {} : { metadata }),
  };
}
