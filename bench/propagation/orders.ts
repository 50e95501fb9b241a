/** Orders given one after the other, and how long each took to be in force everywhere. */
import { randomUUID } from "node:crypto";
import { Agent, request } from "node:http";

export interface OrderTimes {
  /** From the append to its confirmation by the store, in milliseconds. */
  readonly durable: readonly number[];
  /** From the append to the last acknowledgement, by the control plane's own clock. */
  readonly applied: readonly number[];
  /** From sending the request to its answer, by this process. */
  readonly answered: readonly number[];
}

interface Answer {
  readonly durableMs: number;
  readonly applied: {
    readonly expected: number;
    readonly count: number;
    readonly ms: number;
    readonly missing: readonly object[];
  };
}

const agent = new Agent({ keepAlive: true, maxSockets: 64 });

/** One call of the admin API. @throws Error when it is not answered with 200 or 202 */
export function call(url: string, method: string, path: string, body?: unknown): Promise<string> {
  const text = body === undefined ? "" : JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const sent = request(
      new URL(path, url),
      {
        agent,
        method,
        headers: {
          authorization: "Bearer bench-admin-token-0123456789abcdef",
          "content-type": "application/json",
          "content-length": Buffer.byteLength(text),
        },
      },
      (response) => {
        let answer = "";
        response.setEncoding("utf8").on("data", (part: string) => (answer += part));
        response.on("error", reject);
        response.on("end", () => {
          if (response.statusCode === 200 || response.statusCode === 202) resolve(answer);
          else reject(new Error(`${method} ${path}: ${response.statusCode} ${answer}`));
        });
      },
    );
    sent.on("error", reject);
    sent.end(text);
  });
}

export const adminToken = "bench-admin-token-0123456789abcdef";

/** @throws Error when an order is not acknowledged by as many proxies as there are */
export async function giveOrders(url: string, count: number, proxies: number): Promise<OrderTimes> {
  const [durable, applied, answered]: number[][] = [[], [], []];
  for (let index = 0; index < count; index++) {
    const begunAt = performance.now();
    const answer = JSON.parse(
      await call(url, "POST", "/v1/revocations?wait=10s", {
        kind: "token",
        issuer: "https://issuer.example",
        jti: randomUUID(),
      }),
    ) as Answer;
    answered!.push(performance.now() - begunAt);
    if (answer.applied.count !== proxies || answer.applied.missing.length > 0)
      throw new Error(
        `applied by ${answer.applied.count} of ${proxies} proxies: ${JSON.stringify(answer)}`,
      );
    durable!.push(answer.durableMs);
    applied!.push(answer.applied.ms);
  }
  return { durable: durable!, applied: applied!, answered: answered! };
}

/** @param share 0.5: the median */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)]!;
}
