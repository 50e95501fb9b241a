import type { Clock, Milliseconds } from "@tocsin/shared";
import { isObject } from "./json.ts";

export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

export type Jwk = Readonly<Record<string, unknown>>;

export interface FetchKeySetOptions {
  readonly fetch: Fetch;
  readonly clock: Clock;
  /** For the whole exchange. */
  readonly timeoutMs: Milliseconds;
  /** Of the decoded body. */
  readonly maxBytes: number;
  readonly signal: AbortSignal;
}

/**
 * Fetches a JWK set (RFC 7517 §5). Redirects are not followed: the operator named the place, not the one who answers there.
 *
 * @throws Error that says what was wrong with the answer
 */
export async function fetchKeySet(url: string, options: FetchKeySetOptions): Promise<Jwk[]> {
  const { clock, timeoutMs } = options;
  const deadline = new AbortController();
  const cancel = clock.after(timeoutMs, () =>
    deadline.abort(new Error(`no whole answer in ${timeoutMs} ms`)),
  );
  const signal = AbortSignal.any([options.signal, deadline.signal]);
  try {
    const response = await options.fetch(url, {
      redirect: "error",
      headers: { accept: "application/jwk-set+json, application/json" },
      credentials: "omit",
      signal,
    });
    if (response.status !== 200) {
      await response.body?.cancel();
      throw new Error(`status ${response.status}`);
    }
    return keysOf(await bounded(response, options.maxBytes));
  } catch (error) {
    // The reason says more than "aborted".
    throw signal.aborted ? (signal.reason as Error) : error;
  } finally {
    cancel();
  }
}

async function bounded(response: Response, maxBytes: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  // Leaving the loop early cancels the body.
  for await (const chunk of response.body ?? []) {
    length += chunk.length;
    if (length > maxBytes) throw new Error(`more than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function keysOf(bytes: Buffer): Jwk[] {
  let document: unknown;
  try {
    document = JSON.parse(bytes.toString());
  } catch {
    throw new Error("not JSON");
  }
  const keys = isObject(document) ? document["keys"] : undefined;
  if (!Array.isArray(keys)) throw new Error("not a key set");
  return keys.filter(isObject);
}

/** `https` anywhere; plain `http` only within this machine, or where nothing is at stake. */
export function mayFetch(url: string, production: boolean): boolean {
  const { protocol, hostname } = new URL(url);
  if (protocol === "https:") return true;
  if (protocol !== "http:") return false;
  return !production || /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(hostname);
}
