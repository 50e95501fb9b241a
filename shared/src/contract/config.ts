/**
 * The config language. One schema is type, validator, JSON Schema and documentation.
 *
 * Parts of the language that this version does not run yet are refused by name (`later.ts`), never ignored.
 */
import { z } from "zod";
import { Name } from "../names.ts";
import { inconsistencies } from "./references.ts";
import { HostPattern, methods, Path, RouteMatch } from "./route-match.ts";
import { AddressBlock, Duration, Size } from "./units.ts";

export const Algorithm = z.enum([
  "HS256",
  "HS384",
  "HS512",
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "ES512",
  "EdDSA",
]);
export type Algorithm = z.infer<typeof Algorithm>;

const ClaimPath = z
  .string()
  .min(1)
  .max(200)
  .describe("Where the claim stands; dots go into objects: `realm_access.roles`.");

export const Issuer = z
  .strictObject({
    issuer: z.string().min(1).max(512).describe("The `iss` claim, compared exactly."),
    audience: z
      .union([z.string().min(1), z.array(z.string().min(1)).min(1)])
      .describe("The `aud` claim must contain (one of) this."),
    algorithms: z
      .array(Algorithm)
      .min(1)
      .describe("Signature algorithms that are accepted, and no others (RFC 8725 §3.1)."),
    jwks: z
      .strictObject({
        url: z.url({ protocol: /^https?$/ }).describe("Where the issuer publishes its keys."),
        maxAge: Duration({ min: "1s", max: "24h" })
          .prefault("10m")
          .describe("How long a fetched key set is used before it is fetched again. Default 10m."),
      })
      .optional(),
    secret: z
      .string()
      .optional()
      .describe("Shared secret for HS algorithms, at least 32 bytes (RFC 7518 §3.2)."),
    claims: z
      .strictObject({
        roles: ClaimPath.prefault("roles"),
        scopes: ClaimPath.prefault("scope"),
        session: ClaimPath.prefault("sid"),
        client: ClaimPath.prefault("azp"),
      })
      .prefault({}),
    clockTolerance: Duration({ max: "5m" })
      .prefault("30s")
      .describe("How far the issuer's clock may be off. Default 30s."),
    maxTokenLifetime: Duration({ min: "1s", max: "30d" })
      .prefault("24h")
      .describe("Tokens that live longer (`exp` - `iat`) are refused. Default 24h."),
  })
  .superRefine((issuer, context) => {
    const symmetric = issuer.algorithms.filter((algorithm) => algorithm.startsWith("HS"));
    const asymmetric = issuer.algorithms.filter((algorithm) => !algorithm.startsWith("HS"));
    // Key confusion (RFC 8725 §2.1): a public key must never be usable as an HMAC secret.
    if (symmetric.length > 0 && asymmetric.length > 0) {
      context.addIssue({
        code: "custom",
        path: ["algorithms"],
        message: `an issuer has either HS algorithms or others, not both: found ${issuer.algorithms.join(", ")}`,
      });
    } else if (symmetric.length > 0) {
      if (issuer.secret === undefined)
        context.addIssue({
          code: "custom",
          path: ["secret"],
          message: `${symmetric.join(", ")} needs a secret`,
        });
      if (issuer.jwks !== undefined)
        context.addIssue({
          code: "custom",
          path: ["jwks"],
          message: `${symmetric.join(", ")} takes a secret, not a key set`,
        });
    } else {
      if (issuer.jwks === undefined)
        context.addIssue({
          code: "custom",
          path: ["jwks"],
          message: `${asymmetric.join(", ")} needs jwks: { url }`,
        });
      if (issuer.secret !== undefined)
        context.addIssue({
          code: "custom",
          path: ["secret"],
          message: `${asymmetric.join(", ")} takes a key set, not a secret`,
        });
    }
    // RFC 7518 §3.2: a key of the same size as the hash output or larger.
    const least = Math.max(0, ...symmetric.map((algorithm) => Number(algorithm.slice(2)) / 8));
    const found = Buffer.byteLength(issuer.secret ?? "");
    if (issuer.secret !== undefined && found < least) {
      context.addIssue({
        code: "custom",
        path: ["secret"],
        message: `the secret has ${found} bytes, ${symmetric.join(", ")} needs at least ${least} (RFC 7518 §3.2)`,
      });
    }
  });
export type Issuer = z.infer<typeof Issuer>;

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
    .array(z.enum(["jwt"]))
    .min(1)
    .default(["jwt"])
    .describe("Kinds of credential that are accepted."),
  roles: AnyAll.optional().describe("Roles that the principal needs."),
  scopes: AnyAll.optional().describe("Scopes that the principal needs."),
});
export type AuthPolicy = z.infer<typeof AuthPolicy>;

/** `auth: required` is short for `auth: { mode: required }`. Default: required. */
export const Auth = z
  .union([z.enum(authModes).transform((mode): AuthPolicy => ({ mode, via: ["jwt"] })), AuthPolicy])
  .superRefine((auth, context) => {
    if (auth.mode !== "required" && (auth.roles ?? auth.scopes)) {
      context.addIssue({
        code: "custom",
        path: [auth.roles ? "roles" : "scopes"],
        message: `roles and scopes need mode: required, found ${auth.mode}`,
      });
    }
  });

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
    error: (issue) => `${JSON.stringify(issue.input)} is not an http or https URL`,
  })
  .superRefine((text, context) => {
    const url = URL.parse(text);
    if (!url) return;
    if (url.username !== "" || url.password !== "")
      context.addIssue({ code: "custom", message: "an instance URL has no user information" });
    if ((url.pathname !== "/" && url.pathname !== "") || url.search !== "" || url.hash !== "") {
      context.addIssue({
        code: "custom",
        message: `an instance URL is scheme, host and port, found ${JSON.stringify(text)}`,
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

export const Service = z.strictObject({
  instances: z
    .array(StaticInstance)
    .default([])
    .describe("Instances that do not register themselves."),
  balance: z
    .strictObject({ algorithm: z.literal("weighted-round-robin") })
    .default({ algorithm: "weighted-round-robin" }),
  health: HealthPolicy.prefault({}),
  timeouts: Timeouts.prefault({}),
});
export type Service = z.infer<typeof Service>;

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

export const Route = z.strictObject({
  id: Name.describe("Names the route in metrics, logs and errors."),
  match: RouteMatch,
  service: Name.describe("A service under `services`."),
  auth: Auth.prefault("required").describe("Who may come in. Default: required."),
  revocation: Revocation.prefault({}),
});
export type Route = z.infer<typeof Route>;

export const Listen = z.strictObject({
  hosts: z
    .array(HostPattern)
    .min(1)
    .optional()
    .describe("Host values that are served; others get 421. Default: every one."),
  trustedProxies: z
    .array(AddressBlock)
    .default([])
    .describe("Peers whose Forwarded, X-Forwarded-* and X-Request-ID are believed. Default: none."),
  limits: z
    .strictObject({
      headers: Size({ min: "1KiB", max: "64KiB" })
        .prefault("16KiB")
        .describe("All request headers together. Default 16KiB."),
      uri: Size({ min: "64B", max: "64KiB" })
        .prefault("8KiB")
        .describe("Request target. Default 8KiB."),
      body: Size({ min: "0B", max: "1024GiB" })
        .optional()
        .describe("Request body. Default: no limit."),
      headersTimeout: Duration({ min: "1s", max: "10m" })
        .prefault("10s")
        .describe("Time in which a request's head must arrive, else 408. Default 10s."),
      connectionsPerAddress: z
        .int()
        .min(1)
        .max(1_000_000)
        .optional()
        .describe(
          "Connections that one client address (of IPv6: one /64) may hold; more are reset. Peers in trustedProxies may hold any number. Default: no limit.",
        ),
    })
    .prefault({}),
});

/** `http://10.0.0.0/8:*`: scheme, address block or host name, port or `*`. */
export const UrlRule = z
  .string()
  .regex(/^(https?):\/\/(\[[0-9a-fA-F:.]+\]|[0-9A-Za-z.*-]+)(\/\d{1,3})?:(\*|\d{1,5})$/, {
    error: (issue) =>
      `${JSON.stringify(issue.input)} is not a rule for URLs: write http://10.0.0.0/8:* or https://host.example:443`,
  });

export const Discovery = z.strictObject({
  autoRoutes: z
    .strictObject({ prefix: Path.default("/api"), auth: Auth.prefault("required") })
    .optional()
    .describe(
      "Every service that has instances is reachable at {prefix}/{service}/… . On by default when there are no routes.",
    ),
  register: z
    .array(
      z.strictObject({ service: z.union([z.literal("*"), Name]), urls: z.array(UrlRule).min(1) }),
    )
    .optional()
    .describe(
      "Who may announce instances where. Default: every service, on loopback and private addresses.",
    ),
});

export const Config = z
  .strictObject({
    version: z.literal(1),
    environment: z.enum(["development", "staging", "production"]).default("production"),
    listen: Listen.prefault({}),
    identity: z.strictObject({ issuers: z.array(Issuer).default([]) }).prefault({}),
    discovery: Discovery.prefault({}),
    services: z
      .record(
        Name,
        Service.nullable().transform((service) => service ?? Service.parse({})),
      )
      .default({}),
    routes: z.array(Route).default([]),
  })
  .superRefine((config, context) => {
    for (const { path, message, params } of inconsistencies(config, methods)) {
      context.addIssue({ code: "custom", path: [...path], message, params });
    }
  });
export type Config = z.infer<typeof Config>;
