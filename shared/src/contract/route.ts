/** A route in the config: what it takes, who may come in, and where it goes. */
import { z } from "zod";
import { Name } from "../names.ts";
import { RouteMatch } from "./route-match.ts";
import { Duration, Size } from "./units.ts";
import { UserAbsence } from "./users.ts";
import { shown } from "../shown.ts";

const AnyAll = z
  .strictObject({
    any: z.array(z.string().min(1)).min(1).optional(),
    all: z.array(z.string().min(1)).min(1).optional(),
  })
  .refine(
    (needs) => needs.any !== undefined || needs.all !== undefined,
    "write any: [...], all: [...], or both",
  );

const authModes = ["required", "optional", "none"] as const;
const AuthPolicy = z.strictObject({
  mode: z
    .enum(authModes)
    .describe(
      "required: no credential, no entry. optional: anonymous is fine, a bad credential is not. none: credentials are not looked at.",
    ),
  via: z
    .array(z.enum(["jwt", "session", "api-key"]))
    .min(1)
    .optional()
    .describe("Kinds of credential that are accepted. Default: every kind that `identity` has."),
  roles: AnyAll.optional().describe("Roles that the principal needs."),
  scopes: AnyAll.optional().describe("Scopes that the principal needs."),
  users: UserAbsence.optional().describe(
    "What happens while the service of `identity.users` has no answer. Default: 503.",
  ),
});
export type AuthPolicy = z.infer<typeof AuthPolicy>;

/** `auth: required` is short for `auth: { mode: required }`. Default: required. */
export const Auth = z
  .union([z.enum(authModes).transform((mode): AuthPolicy => ({ mode })), AuthPolicy])
  .superRefine((auth, context) => {
    if (auth.mode !== "required" && (auth.roles ?? auth.scopes)) {
      context.addIssue({
        code: "custom",
        path: [auth.roles ? "roles" : "scopes"],
        message: `roles and scopes need mode: required, found ${auth.mode}`,
      });
    }
  });

export const Revocation = z.strictObject({
  maxStaleness: Duration({ min: "1s", max: "24h" })
    .prefault("60s")
    .describe("How old the knowledge of revocations may be. Default 60s."),
  onStale: z
    .enum(["allow", "deny"])
    .optional()
    .describe("What happens beyond that. Default allow, on strict routes deny."),
  strict: z.boolean().default(false),
});

const Origin = z.string().regex(/^(\*|https?:\/\/[a-z0-9.-]+(:\d{1,5})?)$/, {
  error: (issue) =>
    `${shown(issue.input)} is not an origin: write https://app.example.com, or * for every one`,
});

const websocketPolicy = z.strictObject({
  maxMessage: Size({ min: "1B", max: "1GiB" })
    .prefault("1MiB")
    .describe(
      "Largest message in either direction, all its frames together; a larger one ends the connection with 1009. Default 1MiB.",
    ),
  idle: Duration({ min: "1s", max: "24h" })
    .prefault("60s")
    .describe("Longest silence in both directions. Default 60s."),
  maxLifetime: Duration({ min: "1s", max: "7d" })
    .prefault("12h")
    .describe("Life of a connection. Default 12h."),
  perPrincipal: z
    .int()
    .min(1)
    .max(1_000_000)
    .optional()
    .describe("Connections of one principal at the same time, on each proxy. Default: no limit."),
  perAddress: z
    .int()
    .min(1)
    .max(1_000_000)
    .optional()
    .describe(
      "Connections of one client address at the same time, on each proxy. Default: no limit.",
    ),
  origins: z
    .array(Origin)
    .min(1)
    .optional()
    .describe(
      "Whose pages may connect (RFC 6455 §10.2). Default: those of the host itself. A request without Origin is not a page's.",
    ),
});

/** `websocket: true` is short for `websocket: {}`. */
export const WebSocketPolicy = z.union([
  z.literal(true).transform(() => websocketPolicy.parse({})),
  websocketPolicy,
]);
export type WebSocketPolicy = z.infer<typeof WebSocketPolicy>;

/** What happens when the service has no answer. */
export const Fallback = z.union([
  z.strictObject({
    service: Name.describe("Another service that gets the request then; under `services`."),
  }),
  z.strictObject({
    answer: z
      .strictObject({
        status: z.int().min(200).max(599).default(200),
        contentType: z.string().min(1).max(200).default("application/json"),
        body: z.string().max(65_536).default(""),
      })
      .describe("A fixed answer."),
  }),
]);
export type Fallback = z.infer<typeof Fallback>;

export const Route = z.strictObject({
  id: Name.describe("Names the route in metrics, logs and errors."),
  match: RouteMatch,
  service: Name.describe("A service under `services`."),
  auth: Auth.prefault("required").describe("Who may come in. Default: required."),
  revocation: Revocation.prefault({}),
  weights: z
    .record(Name, z.int().min(0).max(1_000_000))
    .optional()
    .describe(
      "Splits requests between services in these proportions (canary): `{ users: 95, users-next: 5 }`. Default: all go to `service`.",
    ),
  fallback: Fallback.optional().describe(
    "Another service or a fixed answer for when the service has none: 502, 503 and 504 of the gateway's own. Default: that refusal.",
  ),
  websocket: WebSocketPolicy.optional().describe(
    "Whether and how WebSockets come through; `true` for the defaults. Default: a request to upgrade is served as a plain one.",
  ),
});
export type Route = z.infer<typeof Route>;
