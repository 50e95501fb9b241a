/** One look at an instance. */
import { request as httpRequest, Agent as HttpAgent } from "node:http";
import { request as httpsRequest } from "node:https";
import { connect, isIP } from "node:net";
import type { LookupFunction } from "node:net";
import { messageOf } from "../lifetime.ts";
import type { Clock, Milliseconds } from "../time.ts";

export interface ProbeTarget {
  readonly url: string;
  /** Connect here, whatever the host name resolves to. */
  readonly address?: string | undefined;
  /** Asked with GET. Undefined: an accepted connection is enough. */
  readonly path: string | undefined;
  readonly timeoutMs: Milliseconds;
}

export type ProbeResult =
  | { readonly well: true }
  | { readonly well: false; readonly reason: string };

/** Bytes of an answer that are read before the connection is dropped: health is in the status. */
const maxBodyBytes = 64 * 1024;

/** Never rejects: that there is no good answer is the answer. */
export async function probe(
  target: ProbeTarget,
  clock: Clock,
  signal: AbortSignal,
): Promise<ProbeResult> {
  const over = new AbortController();
  const cancel = clock.after(target.timeoutMs, () =>
    over.abort(new Error(`timeout after ${target.timeoutMs} ms`)),
  );
  const either = AbortSignal.any([signal, over.signal]);
  try {
    return await (target.path === undefined
      ? knock(target, either)
      : ask(target, target.path, either));
  } catch (error) {
    const cause: unknown = over.signal.aborted ? over.signal.reason : error;
    const code = (cause as { code?: unknown }).code;
    return {
      well: false,
      reason: (typeof code === "string" && cause !== over.signal.reason
        ? code
        : messageOf(cause)
      ).slice(0, 200),
    };
  } finally {
    cancel();
  }
}

function knock(target: ProbeTarget, signal: AbortSignal): Promise<ProbeResult> {
  const url = new URL(target.url);
  return new Promise((resolve, reject) => {
    const host = target.address ?? url.hostname.replace(/^\[|\]$/g, "");
    const socket = connect({
      host,
      port: Number(url.port || (url.protocol === "https:" ? 443 : 80)),
    });
    const stop = () => socket.destroy(signal.reason as Error);
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) stop();
    socket.on("connect", () => {
      socket.destroy();
      resolve({ well: true });
    });
    socket.on("error", reject);
    socket.on("close", () => signal.removeEventListener("abort", stop));
  });
}

function ask(target: ProbeTarget, path: string, signal: AbortSignal): Promise<ProbeResult> {
  const url = new URL(path, target.url);
  // A path such as `//elsewhere/` names another host, one that nobody checked at registration.
  if (url.origin !== new URL(target.url).origin) throw new Error("the health path leads elsewhere");
  const send = url.protocol === "https:" ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    const request = send(
      url,
      {
        method: "GET",
        // A connection of its own each time: what is probed is whether the instance takes new ones.
        agent: url.protocol === "https:" ? false : new HttpAgent({ keepAlive: false }),
        headers: { "user-agent": "tocsin-probe", accept: "*/*", connection: "close" },
        signal,
        ...(target.address === undefined ? {} : { lookup: pinned(target.address) }),
      },
      (response) => {
        const status = response.statusCode ?? 0;
        const judge = () =>
          resolve(
            status >= 200 && status < 300
              ? { well: true }
              : { well: false, reason: `status ${status}` },
          );
        let bytes = 0;
        response.on("data", (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes < maxBodyBytes) return;
          judge();
          response.destroy();
        });
        // Waiting for the end closes the connection in good manners; an answer that never ends runs into the timeout.
        response.on("end", judge);
        response.on("error", reject);
      },
    );
    request.on("error", reject);
    request.end();
  });
}

/** Resolves every name to the address that was checked at registration. */
function pinned(address: string): LookupFunction {
  const family = isIP(address);
  return (_host, options, callback) => {
    if (options.all) callback(null, [{ address, family }]);
    else callback(null, address, family);
  };
}
