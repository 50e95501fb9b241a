/** Somebody who has signed in. */
export interface NewSession {
  /** Whom the session speaks for: what upstreams see as `X-User-ID`. 1 to 512 characters. */
  readonly subject: string;
  readonly roles?: readonly string[];
  readonly scopes?: readonly string[];
  /** The application that they signed in with. */
  readonly client?: string;
  /** When it is over, however much it is used, as a duration: `8h`. Default, and at most: `lifetime` of the config. */
  readonly lifetime?: string;
  /** Texts for whoever looks at the list: a device, a place. At most 16. */
  readonly metadata?: Readonly<Record<string, string>>;
}

export interface MadeSession {
  /** Public: names the session in lists and revocations. */
  readonly sid: string;
  /** The value of the cookie. Whoever has it is signed in. */
  readonly cookie: string;
  /** The whole `Set-Cookie` field, for the answer to the browser. */
  readonly setCookie: string;
  /** Unix seconds. */
  readonly expiresAt: number;
}

export interface ListedSession {
  readonly sid: string;
  readonly subject: string;
  readonly roles: readonly string[];
  readonly scopes: readonly string[];
  readonly client?: string;
  /** Unix seconds, as the next two. */
  readonly createdAt: number;
  /** When it is over if nobody uses it. */
  readonly idleEndsAt: number;
  readonly expiresAt: number;
  /** Who asked for it: `admin`, or `service:<name>`. */
  readonly by: string;
  readonly metadata?: Readonly<Record<string, string>>;
}

export interface EndedSessions {
  /** How many were in the store, and are not any more. */
  readonly removed: number;
  /** A `Set-Cookie` field that makes the browser forget the cookie. */
  readonly setCookie: string;
  /** Proxies that have not said in time that they let nobody in with it any more. */
  readonly missing: readonly string[];
}

export interface EndOptions {
  /** Why, for the list of revocations and the audit. */
  readonly reason?: string;
}

/** The sessions of a gateway, for the service that signs people in. Disposal ends its connection, no session. */
export interface Sessions {
  /**
   * @throws SessionsRefused when the answer is no
   * @throws SessionsUnavailable when there is none; whether there is a session now is then not known
   */
  create(session: NewSession): Promise<MadeSession>;
  /** The newest first. @throws as {@link create} */
  list(subject: string): Promise<readonly ListedSession[]>;
  /** Ends a session, and waits until every proxy knows. @throws as {@link create}; SessionsRefused `not-found` when there is none */
  end(sid: string, options?: EndOptions): Promise<EndedSessions>;
  /** Ends every session that somebody has now. @throws as {@link create} */
  endAll(subject: string, options?: EndOptions): Promise<EndedSessions>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface SessionsOptions {
  /** Name of this service. Over NATS its user has to have the right to publish `tocsin.v1.session.*.<service>`. */
  readonly service: string;
  /** How long to wait for the bus, and for each answer, in milliseconds. Default 5 000. */
  readonly timeoutMs?: number;
  /** Where `TOCSIN_*` variables are read. Default `process.env`. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

/** The control plane answered, and said no. */
export class SessionsRefused extends Error {
  override readonly name = "SessionsRefused";
  /** `validation-failed`, `forbidden`, `not-found`, `sessions-not-configured`, …; stable, for programs. */
  readonly code: string;
  /** The HTTP status, over NATS too. */
  readonly status: number;

  constructor(code: string, status: number, reason: string) {
    super(`refused (${status} ${code}): ${reason}`);
    this.code = code;
    this.status = status;
  }
}

/** No control plane answered in time, or its store of sessions is away. */
export class SessionsUnavailable extends Error {
  override readonly name = "SessionsUnavailable";
}
