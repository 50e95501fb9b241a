import { ambiguousCredential, Denial } from "@tocsin/shared";
import type { Clock, Log, Milliseconds, WallTime } from "@tocsin/shared";
import type { SessionPolicy } from "@tocsin/shared/contract";
import type { RevocationSet } from "@tocsin/shared/revocations";
import { isSecretOf, readCookieValue, writeCookieValue } from "@tocsin/shared/sessions";
import type {
  CookieValue,
  HeldSession,
  SessionId,
  SessionStore,
  StoredSession,
} from "@tocsin/shared/sessions";
import { Admission } from "../admission.ts";
import type { Verified } from "../admission.ts";
import { identityHeaders } from "../identity-headers.ts";
import type { Presented } from "../identity.ts";
import type { IdentifiedPrincipal } from "../principal.ts";
import { SessionCookie } from "./cookie.ts";
import type { ShownCookie } from "./cookie.ts";
import { crossSite } from "./cross-site.ts";
import type { SiteRules } from "./cross-site.ts";
import { SeenSessions } from "./seen.ts";
import type { FoundSession, Seen } from "./seen.ts";

export interface SessionsOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly revocations: RevocationSet;
  /** Where they are kept. Absent: nowhere, so each of them is refused. */
  readonly sessions?: SessionStore | undefined;
  /** Hears of each look; of those that asked the store how long that took. */
  readonly onSessionLookup?:
    | ((outcome: "cached" | "found" | "unknown" | "failed", storeMs?: Milliseconds) => void)
    | undefined;
}

/** The config as far as this engine goes by it. */
interface Rules {
  readonly policy: SessionPolicy;
  readonly site: SiteRules;
  readonly cookie: SessionCookie;
}

/** How long nobody asks again for a session that there is not. */
const unknownForMs: Milliseconds = 1_000;
/** A session that was used is told to the store when it has lost so much of its idle time. */
const touchedAfter = 1 / 20;

/**
 * Opaque sessions by cookie. What was looked up is gone by for a few seconds; what was revoked is asked for each request, so that an
 * end that was ordered does not wait for that.
 */
export class Sessions {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #revocations: RevocationSet;
  readonly #store: SessionStore | undefined;
  readonly #onLookup: NonNullable<SessionsOptions["onSessionLookup"]>;
  readonly #admission: Admission;
  readonly #seen = new SeenSessions();
  /** Looks on their way: the same session is looked for once, however many requests bring it. */
  readonly #pending = new Map<SessionId, Promise<Seen>>();
  #rules: Rules | undefined;
  #config = "";
  /** Another number: what was looked up before does not count. */
  #generation = 0;

  constructor({ clock, log, revocations, sessions, onSessionLookup }: SessionsOptions) {
    this.#clock = clock;
    this.#log = log;
    this.#revocations = revocations;
    this.#store = sessions;
    this.#onLookup = onSessionLookup ?? (() => {});
    this.#admission = new Admission(clock, revocations);
  }

  /** @param secure the cookie is for https alone */
  configure(policy: SessionPolicy | undefined, secure: boolean): void {
    const config = JSON.stringify([policy, secure]);
    if (config === this.#config) return;
    this.#config = config;
    this.#rules = policy && {
      policy,
      site: { origins: policy.origins, withoutOrigin: policy.withoutOrigin, secure },
      cookie: new SessionCookie(policy.cookie),
    };
    this.#generation += 1;
    this.#seen.clear();
    this.#pending.clear();
    if (policy !== undefined && this.#store === undefined)
      this.#log.warn(
        {},
        "the config has sessions, but TOCSIN_REDIS_URL is not set: each of them is refused",
      );
  }

  /** Takes the cookie out of what goes on to the upstream, whether it will be looked at or not. */
  take(head: Presented["head"]): ShownCookie | undefined {
    return this.#rules?.cookie.take(head);
  }

  /**
   * Whom a cookie speaks for. Answers at once (no promise) when its session was looked up lately.
   *
   * @throws Refusal bad-request, forbidden (a page of another site), credential-invalid, credential-expired, credential-revoked;
   * session-store-unavailable when nobody knows
   */
  identify(
    shown: ShownCookie,
    request: Presented,
  ): IdentifiedPrincipal | Promise<IdentifiedPrincipal> {
    if (shown.kind === "ambiguous") throw ambiguousCredential("session-ambiguous", shown.why);
    const detail = crossSite(request, this.#rules!.site);
    if (detail !== undefined) throw new Denial("forbidden", "cross-site", { detail });
    const now = this.#clock.monotonic();
    const proven = this.#seen.proven(shown.value);
    if (proven !== undefined && now < proven.freshUntil) {
      this.#onLookup("cached");
      return this.#admit(proven.found!);
    }
    const value = readCookieValue(shown.value);
    if (value === undefined) throw new Denial("credential-invalid", "session-malformed");
    const seen = this.#seen.get(value.sid);
    if (seen === undefined || now >= seen.freshUntil) return this.#ask(value);
    this.#onLookup("cached");
    return this.#judge(seen, value);
  }

  #judge(seen: Seen, value: CookieValue): IdentifiedPrincipal {
    const { found } = seen;
    if (found === undefined) throw this.#none(value.sid, seen.wasThere);
    if (!isSecretOf(value.secret, found.secretHash))
      throw new Denial("credential-invalid", "session-secret-wrong");
    this.#seen.prove(writeCookieValue(value), seen);
    return this.#admit(found);
  }

  #admit(found: FoundSession): IdentifiedPrincipal {
    const principal = this.#admission.admit(found.verified);
    // Only now: whoever knows the id alone does not keep a session alive.
    if (found.touchMs !== undefined) this.#touch(principal.session!, found);
    return principal;
  }

  #none(sid: SessionId, wasThere: boolean): Denial {
    const asked = {
      issuer: "",
      subject: "",
      issuedAt: Infinity,
      jti: undefined,
      fingerprint: undefined,
      session: sid,
    };
    // What was ended by an order is not in the store any more; the reason is the order all the same.
    if (this.#revocations.has(asked)) return new Denial("credential-revoked", "revoked");
    return wasThere
      ? new Denial("credential-expired", "expired")
      : new Denial("credential-invalid", "session-unknown");
  }

  async #ask(value: CookieValue): Promise<IdentifiedPrincipal> {
    const { sid } = value;
    for (;;) {
      const generation = this.#generation;
      let pending = this.#pending.get(sid);
      if (pending === undefined) {
        pending = this.#look(sid);
        this.#pending.set(sid, pending);
      }
      let seen: Seen;
      try {
        seen = await pending;
      } finally {
        if (this.#pending.get(sid) === pending) this.#pending.delete(sid);
      }
      // The config has changed meanwhile: sessions may live shorter now, or not at all.
      if (generation !== this.#generation) {
        if (this.#rules === undefined)
          throw new Denial("credential-invalid", "session-not-configured");
        continue;
      }
      return this.#judge(seen, value);
    }
  }

  async #look(sid: SessionId): Promise<Seen> {
    const generation = this.#generation;
    const { policy } = this.#rules!;
    const before = this.#seen.get(sid);
    const startedAt = this.#clock.monotonic();
    const storeMs = () => this.#clock.monotonic() - startedAt;
    let held: HeldSession | undefined;
    try {
      if (this.#store === undefined) throw new Error("there is no store");
      held = await this.#store.read(sid);
      this.#onLookup(held === undefined ? "unknown" : "found", storeMs());
    } catch {
      this.#onLookup("failed", storeMs());
      // The session may be good; nobody can tell. So not 401, which would make clients throw good cookies away, but 503: come back.
      // The cause is in the log already: the store tells of it once, not for each request.
      throw new Denial("session-store-unavailable", "session-store-unavailable");
    }
    const freshMs =
      held === undefined
        ? Math.min(policy.cacheFor, unknownForMs)
        : Math.min(policy.cacheFor, held.idleMs / 2);
    const seen: Seen = {
      freshUntil: startedAt + freshMs,
      found: held && found(held, before?.found, policy, this.#clock.wall()),
      wasThere: before?.found !== undefined || before?.wasThere === true,
    };
    if (generation === this.#generation) this.#seen.put(sid, seen);
    return seen;
  }

  /** Not on the request's way, and not tried again: the next look will. */
  #touch(sid: SessionId, session: FoundSession): void {
    const { touchMs } = session;
    session.touchMs = undefined;
    this.#store!.touch(sid, touchMs!).catch(() => {});
  }
}

function found(
  { session, idleMs }: HeldSession,
  before: FoundSession | undefined,
  { ttl, lifetime }: SessionPolicy,
  now: WallTime,
): FoundSession {
  const endsAt = Math.min(session.expiresAt, session.createdAt + lifetime);
  // The same session is the same, so what is known of it stays.
  const verified =
    before?.secretHash === session.secretHash && before.verified.endsAt === endsAt
      ? before.verified
      : verifiedOf(session, endsAt);
  const wantedMs = Math.min(ttl, endsAt - now);
  const touchMs = Math.abs(wantedMs - idleMs) > ttl * touchedAfter ? wantedMs : undefined;
  return { secretHash: session.secretHash, verified, touchMs };
}

function verifiedOf(session: StoredSession, endsAt: number): Verified {
  const { sid, subject, roles, scopes, client, createdAt } = session;
  const named = client === undefined ? {} : { client };
  const principal: IdentifiedPrincipal = {
    method: "session",
    subject,
    issuer: "",
    roles,
    scopes,
    session: sid,
    ...named,
    expiresAt: endsAt / 1_000,
    credential: {
      issuer: "",
      subject,
      // Downwards: a mark of that very second covers it.
      issuedAt: Math.floor(createdAt / 1_000),
      jti: undefined,
      fingerprint: undefined,
      session: sid,
      ...named,
    },
    // The id, so that whoever signs people out can name it; it is no secret.
    headers: [...identityHeaders("session", subject, roles, scopes), "X-Auth-Session", sid],
  };
  return { principal, endsAt, clearedAt: 0 };
}
