/** A service in the config: where it answers, and how requests get there. */
import { z } from "zod";
import { Name } from "../names.ts";
import { fieldName, Path } from "./route-match.ts";
import { Duration, Percentage } from "./units.ts";
import { shown } from "../shown.ts";

export const HealthPolicy = z.strictObject({
  path: Path.optional().describe(
    "Probed with GET; 2xx is well. Absent: an instance that accepts connections is well.",
  ),
  interval: Duration({ min: "100ms", max: "1h" })
    .prefault("5s")
    .describe("Time between two probes. Default 5s."),
  timeout: Duration({ min: "10ms", max: "1m" })
    .prefault("2s")
    .describe("Time a probe may take. Default 2s."),
  healthyAfter: z
    .int()
    .min(1)
    .max(100)
    .default(1)
    .describe(
      "Good probes in a row that bring an unhealthy instance back. The first probe of a new instance decides at once. Default 1.",
    ),
  unhealthyAfter: z
    .int()
    .min(1)
    .max(100)
    .default(3)
    .describe("Bad probes in a row that take an instance out. Default 3."),
});
export type HealthPolicy = z.infer<typeof HealthPolicy>;

export const Timeouts = z.strictObject({
  connect: Duration({ min: "10ms", max: "1m" })
    .prefault("1s")
    .describe("Time to open a connection. Default 1s."),
  firstByte: Duration({ min: "10ms", max: "1h" })
    .prefault("10s")
    .describe("Time to wait for response headers. Default 10s."),
  idle: Duration({ min: "10ms", max: "24h" })
    .prefault("60s")
    .describe("Longest silence within a response body. Default 60s."),
  total: Duration({ min: "10ms", max: "24h" })
    .optional()
    .describe("Time for the whole exchange. Default: no limit."),
});
export type Timeouts = z.infer<typeof Timeouts>;

/** Scheme, host and port of an instance; a path would silently be dropped, so it is refused. */
export const InstanceUrl = z
  .url({
    protocol: /^https?$/,
    error: (issue) => `${shown(issue.input)} is not an http or https URL`,
  })
  .superRefine((text, context) => {
    const url = URL.parse(text);
    if (!url) return;
    if (url.username !== "" || url.password !== "")
      context.addIssue({ code: "custom", message: "an instance URL has no user information" });
    if ((url.pathname !== "/" && url.pathname !== "") || url.search !== "" || url.hash !== "") {
      context.addIssue({
        code: "custom",
        message: `an instance URL is scheme, host and port, found ${shown(`${url.protocol}//${url.host}${url.pathname}${url.search}${url.hash}`)}`,
      });
    }
  })
  .transform((text) => URL.parse(text)?.origin ?? text);

export const StaticInstance = z.strictObject({
  url: InstanceUrl,
  weight: z
    .int()
    .min(1)
    .max(1000)
    .default(1)
    .describe("Share of the requests, relative to the others. Default 1."),
  zone: Name.optional(),
});

/** RFC 6265 §4.1.1: the name of a cookie is a token, like that of a field. */
const HashKey = z.string().superRefine((text, context) => {
  const named = /^(?:header|cookie):(.+)$/.exec(text)?.[1];
  if (text === "user" || text === "address" || (named !== undefined && fieldName.test(named)))
    return;
  context.addIssue({
    code: "custom",
    message: `found ${shown(text)}, allowed: user, address, header:NAME, cookie:NAME`,
  });
});

export const BalancePolicy = z
  .strictObject({
    algorithm: z
      .enum(["weighted-round-robin", "least-requests", "consistent-hash"])
      .default("weighted-round-robin")
      .describe(
        "weighted-round-robin: each its share, spread evenly. least-requests: the less busy of two drawn by weight. consistent-hash: the same key, the same instance, as long as it is there.",
      ),
    on: HashKey.optional().describe(
      "What consistent-hash goes by: `user`, `address`, `header:NAME` or `cookie:NAME`. A request without it goes by the client's address.",
    ),
    panicThreshold: Percentage({ min: 1, max: 100 })
      .optional()
      .describe(
        "When less than this share of the active instances is in rotation, all of them get requests: better some failures than the rest overwhelmed. Default: never; with nobody left the answer is 503.",
      ),
  })
  .superRefine((balance, context) => {
    if (balance.algorithm === "consistent-hash" && balance.on === undefined)
      context.addIssue({
        code: "custom",
        path: ["on"],
        message: "consistent-hash needs on: user, address, header:NAME or cookie:NAME",
      });
    if (balance.algorithm !== "consistent-hash" && balance.on !== undefined)
      context.addIssue({
        code: "custom",
        path: ["on"],
        message: `only consistent-hash goes by a key, found ${balance.algorithm}`,
      });
  });
export type BalancePolicy = z.infer<typeof BalancePolicy>;

export const CircuitPolicy = z.strictObject({
  failures: z
    .int()
    .min(1)
    .max(1_000)
    .default(5)
    .describe(
      "Failures in a row that open the circuit of an instance: no answer, or a status of 500 and above. Default 5.",
    ),
  rest: Duration({ min: "100ms", max: "1h" })
    .prefault("60s")
    .describe("How long an open circuit rests before the first trial. Default 60s."),
  successes: z
    .int()
    .min(1)
    .max(1_000)
    .default(3)
    .describe("Good trials in a row that close the circuit again. Default 3."),
  trials: z
    .int()
    .min(1)
    .max(100)
    .default(1)
    .describe("Trials at the same time while it is half-open. Default 1."),
});
export type CircuitPolicy = z.infer<typeof CircuitPolicy>;

/** Statuses that say something about the instance or the moment, so that another try may fare better. */
const retriableStatuses = [408, 425, 429, 500, 502, 503, 504] as const;
const Cause = z.union([
  z.enum(["connect-failure", "reset", "timeout"]),
  z.literal([...retriableStatuses]),
]);

export const RetryPolicy = z.strictObject({
  attempts: z
    .int()
    .min(1)
    .max(10)
    .default(3)
    .describe("Attempts in all, the first one included. Default 3."),
  on: z
    .array(Cause)
    .min(1)
    .default(["connect-failure", "reset", 502, 503, 504])
    .describe(
      "What is tried again. connect-failure: for any method, because nothing was sent. reset, timeout (no first byte in time) and statuses: for idempotent methods (RFC 9110 §9.2.2). Default connect-failure, reset, 502, 503, 504.",
    ),
  backoff: z
    .strictObject({
      base: Duration({ min: "1ms", max: "10s" }).prefault("50ms"),
      max: Duration({ min: "1ms", max: "1m" }).prefault("1s"),
    })
    .prefault({})
    .describe(
      "Before the n-th retry a time drawn from 0 to the lesser of max and base x 2^(n-1); or what Retry-After asks for, when that is not more than max. Default base 50ms, max 1s.",
    ),
  budget: Percentage({ min: 0, max: 100 })
    .prefault("20%")
    .describe(
      "Retries of a service may be this share of its requests, so that one that fails is not buried. Default 20%.",
    ),
  idempotencyKey: z
    .boolean()
    .default(false)
    .describe(
      "Whether POST and PATCH with an Idempotency-Key count as idempotent: true only where the service keeps that promise. Default false.",
    ),
});
export type RetryPolicy = z.infer<typeof RetryPolicy>;

export const Service = z.strictObject({
  instances: z
    .array(StaticInstance)
    .default([])
    .describe("Instances that do not register themselves."),
  balance: BalancePolicy.prefault({}),
  health: HealthPolicy.prefault({}),
  timeouts: Timeouts.prefault({}),
  circuit: CircuitPolicy.optional().describe(
    "Takes an instance that keeps failing out of rotation for a while. Default: none.",
  ),
  retry: RetryPolicy.optional().describe(
    "Default: one more attempt where nothing was sent, or where a kept-alive connection turned out closed.",
  ),
});
export type Service = z.infer<typeof Service>;

/** How requests for one service are sent: what a proxy makes of its config, once, for all routes to it. */
export type ServicePolicy = Readonly<
  Pick<Service, "timeouts" | "balance" | "circuit" | "retry">
> & {
  readonly service: string;
};
