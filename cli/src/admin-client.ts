import {
  messageOf,
  systemClock,
  type Clock,
  type Milliseconds,
  type Problem,
} from "@tocsin/shared";
import { exchange, TooSlow, type Answer } from "./http.ts";
import { version } from "./version.ts";
import { findToken, settingsOf, type FoundToken } from "./settings.ts";
import { CommandFailed, type Terminal } from "./terminal.ts";

/** What the control plane itself may take beside the wait for acknowledgements: its journal is tried for 15 s. */
const usualPatienceMs = 20_000;

export interface Call {
  readonly method?: "GET" | "PUT" | "POST" | "DELETE";
  /** From `/v1` on, with its query. */
  readonly path: string;
  readonly body?: { readonly type: string; readonly text: string };
  readonly accept?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** How long the control plane was asked to wait for the proxies, in milliseconds. */
  readonly waitMs?: Milliseconds;
  /** How long it may take beside that, in milliseconds. Default 20 000. */
  readonly patienceMs?: Milliseconds;
  /** Gives up; the call then throws its reason. */
  readonly signal?: AbortSignal;
}

/** The admin API said no, in a problem document. */
export class AdminProblem extends CommandFailed {
  override readonly name = "AdminProblem";
  readonly problem: Partial<Problem>;
  constructor(message: string, problem: Partial<Problem>) {
    super(message);
    this.problem = problem;
  }
}

export interface AdminClient {
  readonly clock: Clock;
  /** @throws CommandFailed that says what to do next; AdminProblem when the API answered with one */
  call(call: Call): Promise<Answer>;
  /** {@link call} whose answer is JSON. */
  callJson(call: Call): Promise<{ readonly status: number; readonly document: unknown }>;
}

/** The admin API at `TOCSIN_ADMIN_URL`. @throws CommandFailed with exit code 64 when a setting is wrong */
export function adminClient(terminal: Terminal, clock: Clock = systemClock): AdminClient {
  const settings = settingsOf(terminal);
  const base = new URL(settings.TOCSIN_ADMIN_URL);
  const token = findToken(settings, terminal);

  async function call(asked: Call) {
    const { method = "GET", path, body, accept, headers, waitMs = 0, signal } = asked;
    const { patienceMs = usualPatienceMs } = asked;
    const url = new URL(base.pathname.replace(/\/$/, "") + path, base);
    const answer = await exchange(clock, {
      method,
      url,
      timeoutMs: patienceMs + waitMs,
      headers: {
        accept: accept ?? "application/json",
        // Who it was stands in the audit: a token alone is nobody.
        "user-agent": `tocsin/${version()} (${terminal.user})`,
        ...(token.token === undefined ? {} : { authorization: `Bearer ${token.token}` }),
        ...(body === undefined ? {} : { "content-type": body.type }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: body.text }),
      ...(signal === undefined ? {} : { signal }),
    }).catch((error: unknown) => {
      signal?.throwIfAborted();
      throw unreachable(base, error);
    });
    if (answer.status >= 300) throw refused(base, token, answer);
    return answer;
  }

  return {
    clock,
    call,
    async callJson(asked) {
      const { status, text } = await call(asked);
      try {
        return { status, document: JSON.parse(text) as unknown };
      } catch (cause) {
        throw notTheAdminApi(base, "its answer is not JSON", { cause });
      }
    },
  };
}

function unreachable(base: URL, error: unknown): CommandFailed {
  const options = { cause: error };
  if (error instanceof TooSlow) {
    return new CommandFailed(
      `${base.origin} does not answer (${error.message}). Whether an order took effect is not known.`,
      options,
    );
  }
  const { code } = error as NodeJS.ErrnoException;
  if (code === "ECONNREFUSED") {
    return new CommandFailed(
      `Nothing listens at ${base.origin} (connection refused). Is the control plane running? Start one with "tocsin standalone", or say where it is with TOCSIN_ADMIN_URL.`,
      options,
    );
  }
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") {
    return new CommandFailed(
      `The host name ${base.hostname} is not known (${code}). TOCSIN_ADMIN_URL says where the admin API is.`,
      options,
    );
  }
  return new CommandFailed(
    `No connection to ${base.origin}: ${messageOf(error) || code || "failed"}. TOCSIN_ADMIN_URL says where the admin API is.`,
    options,
  );
}

function refused(base: URL, token: FoundToken, { status, type, text }: Answer): CommandFailed {
  const problem = problemOf(type, text);
  if (status === 401) {
    return new AdminProblem(
      token.token === undefined
        ? `${base.origin} wants a token, and none was found. It was looked for in ${token.place}. Run this in the directory of the control plane, or set TOCSIN_ADMIN_TOKEN.`
        : `${base.origin} does not accept the token from ${token.place}. Is it that control plane's? It keeps its own in admin-token of its state directory.`,
      { ...problem, status },
    );
  }
  if (problem === undefined)
    return notTheAdminApi(base, `it answered ${status} without a problem document`);
  const { code, title, detail, errors = [] } = problem;
  const lines = errors.map(({ pointer, message }) => `\n  ${pointer || "/"}  ${message}`);
  return new AdminProblem(
    `${detail ?? title ?? "refused"} (${status} ${code ?? "no code"})${lines.join("")}`,
    { ...problem, status },
  );
}

function problemOf(type: string, text: string): Partial<Problem> | undefined {
  if (type !== "application/problem+json") return undefined;
  try {
    return JSON.parse(text) as Partial<Problem>;
  } catch {
    return undefined;
  }
}

function notTheAdminApi(base: URL, why: string, options?: ErrorOptions): CommandFailed {
  return new CommandFailed(
    `${base.origin} does not speak as an admin API of Tocsin: ${why}. TOCSIN_ADMIN_URL says where that is.`,
    options,
  );
}
