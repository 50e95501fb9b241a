import type { Clock, Milliseconds } from "@tocsin/shared";
import { isObject } from "./json.ts";

export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

export type Jwk = Readonly<Record<string, unknown>>;

export interface FetchKeySetOptions {
  readonly fetch: Fetch;
  readonly clock: Clock;
  /** For everything that is asked. */
  readonly timeoutMs: Milliseconds;
  /** Of the decoded body. */
  readonly maxBytes: number;
  readonly signal: AbortSignal;
}

/** Fetches a JSON document. @throws Error that says what was wrong with the answer */
export type FetchDocument = (url: string) => Promise<unknown>;

/** Where the keys of an issuer are. */
export interface KeyLocation {
  /** For the log. */
  readonly name: string;
  /** @throws Error when the place cannot be found out */
  locate(fetchDocument: FetchDocument): Promise<string>;
  /** What was found there was no key set. */
  wasWrong(): void;
}

/** The place that the config names. */
export function fixedLocation(url: string): KeyLocation {
  return { name: url, locate: () => Promise.resolve(url), wasWrong() {} };
}

/**
 * Fetches a JWK set (RFC 7517 §5). Redirects are not followed: the operator named the place, not the one who answers there.
 *
 * @throws Error that says what was wrong with the answer
 */
export async function fetchKeySet(
  location: KeyLocation,
  options: FetchKeySetOptions,
): Promise<Jwk[]> {
  const { clock, timeoutMs } = options;
  const deadline = new AbortController();
  // One deadline for all that is asked: whose token waits does not care how many documents there are.
  const cancel = clock.after(timeoutMs, () =>
    deadline.abort(new Error(`no whole answer in ${timeoutMs} ms`)),
  );
  const signal = AbortSignal.any([options.signal, deadline.signal]);
  const fetchDocument = async (url: string): Promise<unknown> => {
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
    return parsed(await bounded(response, options.maxBytes));
  };
  try {
    return keysOf(await fetchDocument(await location.locate(fetchDocument)));
  } catch (error) {
    location.wasWrong();
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

function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString());
  } catch {
    throw new Error("not JSON");
  }
}

function keysOf(document: unknown): Jwk[] {
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
