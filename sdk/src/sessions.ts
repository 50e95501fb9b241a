import { isName, silentLog, systemClock } from "@tocsin/shared";
import { exchange, parse } from "./admin-http.ts";
import { departureOf } from "./answers.ts";
import { whereabouts, type Whereabouts } from "./environment.ts";
import {
  SessionsRefused,
  SessionsUnavailable,
  type EndedSessions,
  type ListedSession,
  type MadeSession,
  type Sessions,
  type SessionsOptions,
} from "./session-types.ts";

/** One call, over HTTP or the bus. The answers are the same. */
export interface SessionCalls extends AsyncDisposable {
  call(verb: "create" | "list" | "end", body: object): Promise<unknown>;
}

/**
 * Makes, lists and ends sessions of the gateway: for the service that signs people in.
 *
 * Over NATS when `TOCSIN_NATS_URL` is set, else over HTTP to `TOCSIN_ADMIN_URL` with the token of the admin API; all variables as
 * `register` reads them.
 *
 * @throws TypeError when an option or a variable is wrong
 * @throws SessionsUnavailable when the bus cannot be reached within `timeoutMs`
 */
export async function connectSessions(options: SessionsOptions): Promise<Sessions> {
  const { service, timeoutMs = 5_000, environment = process.env } = options;
  if (!isName(service))
    throw new TypeError(
      `service: found ${JSON.stringify(service)}, allowed: 1 to 63 lower-case letters, digits and hyphens`,
    );
  const calls = await connect(whereabouts(environment), service, timeoutMs);
  return {
    create: async (session) => (await calls.call("create", session)) as MadeSession,
    async list(subject) {
      const { sessions } = (await calls.call("list", { subject })) as {
        readonly sessions: readonly ListedSession[];
      };
      return sessions;
    },
    end: async (sid, { reason } = {}) => endedOf(await calls.call("end", { sid, reason })),
    endAll: async (subject, { reason } = {}) =>
      endedOf(await calls.call("end", { subject, reason })),
    [Symbol.asyncDispose]: async () => calls[Symbol.asyncDispose](),
  };
}

async function connect(
  place: Whereabouts,
  service: string,
  timeoutMs: number,
): Promise<SessionCalls> {
  if (place.kind === "http") return overHttp(place, timeoutMs);
  // Loaded on demand: a service that speaks HTTP needs no NATS client.
  const { sessionsOverNats } = await import("./nats-sessions.ts");
  return sessionsOverNats({ ...place, service, timeoutMs, clock: systemClock, log: silentLog });
}

function overHttp(
  { url, token }: Extract<Whereabouts, { kind: "http" }>,
  timeoutMs: number,
): SessionCalls {
  const base = `${url.pathname.replace(/\/$/, "")}/v1/sessions`;

  async function ask(method: string, path: string, body?: object): Promise<unknown> {
    const found = token();
    const target = new URL(base + path, url);
    const answer = await exchange(method, target, body, found.token, timeoutMs).catch(
      (cause: unknown) => {
        throw new SessionsUnavailable(
          `no answer from the control plane at ${url.origin}: ${(cause as Error).message || "failed"}`,
          { cause },
        );
      },
    );
    const parsed = parse(answer.text);
    if (answer.status >= 200 && answer.status < 300) return parsed;
    throw sessionFailure(answer.status, parsed);
  }

  return {
    call(verb, body) {
      const { sid, subject, reason } = body as Readonly<Record<string, string | undefined>>;
      const query = new URLSearchParams();
      if (subject !== undefined) query.set("subject", subject);
      if (reason !== undefined) query.set("reason", reason);
      const asked = query.size === 0 ? "" : `?${query.toString()}`;
      switch (verb) {
        case "create":
          return ask("POST", "", body);
        case "list":
          return ask("GET", asked);
        case "end":
          return ask("DELETE", (sid === undefined ? "" : `/${encodeURIComponent(sid)}`) + asked);
        default:
          return verb satisfies never;
      }
    },
    async [Symbol.asyncDispose]() {},
  };
}

function endedOf(body: unknown): EndedSessions {
  const { removed, setCookie } = body as EndedSessions;
  return { removed, setCookie, ...departureOf(body) };
}

/** What a negative answer means. */
export function sessionFailure(status: number, problem: unknown): Error {
  const { code, title, detail, errors } = (problem ?? {}) as {
    readonly code?: string;
    readonly title?: string;
    readonly detail?: string;
    readonly errors?: readonly { readonly pointer: string; readonly message: string }[];
  };
  const places = (errors ?? []).map(({ pointer, message }) => `${pointer} ${message}`);
  const reasons = [detail ?? title ?? "no reason given", ...places];
  const shown = reasons.join("; ");
  // RFC 9110 §15.6: the same request may succeed later.
  if (status >= 500)
    return new SessionsUnavailable(`the control plane answered ${status}: ${shown}`);
  return new SessionsRefused(code ?? `http-${status}`, status, shown);
}
