import type { Milliseconds } from "@tocsin/shared";
import type { ServicePolicy } from "@tocsin/shared/contract";
import type { ByteSink, ByteSource } from "./byte-stream.ts";
import type { Call } from "./call.ts";
import type { Upstreams } from "./upstreams.ts";

/** A question of the gateway's own, to a service that it knows. */
export interface Question {
  readonly target: string;
  /** Answers that are longer are none. */
  readonly maxBytes: number;
}

/**
 * Asks a service with GET: an instance that is in the rotation, and another one as its policy says.
 *
 * @returns the answer; of one that is not 200 without its body
 * @throws Refusal as requests of clients are refused; Error when the body is too long or breaks off
 */
export async function putQuestion(
  upstreams: Pick<Upstreams, "send">,
  policy: ServicePolicy,
  { target, maxBytes }: Question,
): Promise<{ readonly status: number; readonly body: Uint8Array }> {
  const call: Call = {
    method: "GET",
    target,
    body: undefined,
    bytes: undefined,
    switching: undefined,
    service: policy.service,
    instance: undefined,
    answeredAt: 0,
    informant: undefined,
    delivery: undefined,
    clientAddress: "",
    head: { passing: [] },
    principal: undefined,
  };
  // RFC 9110 §12.5.3: without a word about codings any of them would do.
  const headers = ["Accept", "application/json", "Accept-Encoding", "identity"];
  const { status, body } = await upstreams.send(call, policy, undefined, [
    ...headers,
    "User-Agent",
    "tocsin",
    // Where the service is this gateway again, that is to be noticed.
    "Via",
    "1.1 tocsin",
  ]);
  if (body === undefined) return { status, body: new Uint8Array() };
  const bytes = await wholeOf(body, maxBytes);
  return { status, body: bytes };
}

/** The policy of a service, for questions that may take so long at most, tries at other instances included. */
export function hurried(policy: ServicePolicy, totalMs: Milliseconds): ServicePolicy {
  const total = Math.min(policy.timeouts.total ?? Infinity, totalMs);
  return { ...policy, timeouts: { ...policy.timeouts, total } };
}

function wholeOf(body: ByteSource, maxBytes: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const chunks: Uint8Array[] = [];
    let length = 0;
    const take = (chunk: Uint8Array): boolean => {
      length += chunk.byteLength;
      if (length > maxBytes) {
        const error = new Error(`its answer is longer than ${maxBytes} bytes`);
        reject(error);
        body.abort(error);
        return false;
      }
      // The memory belongs to the connection.
      chunks.push(Buffer.from(chunk));
      return true;
    };
    const sink: ByteSink = {
      write: take,
      end(last) {
        if (last === undefined || take(last)) resolve(Buffer.concat(chunks));
      },
      fail: reject,
    };
    body.start(sink);
  });
}
