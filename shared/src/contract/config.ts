/**
 * The config language. One schema is type, validator, JSON Schema and documentation.
 *
 * Parts of the language that this version does not run yet are refused by name (`later.ts`), never ignored.
 */
import { z } from "zod";
import { Name } from "../names.ts";
import { ApiKeyPolicy } from "./api-keys.ts";
import { ClaimPath } from "./claim-path.ts";
import { inconsistencies } from "./references.ts";
import { HostPattern, methods, Path } from "./route-match.ts";
import { Auth, Route, WebSocketPolicy } from "./route.ts";
import { Service } from "./service.ts";
import { SessionPolicy } from "./sessions.ts";
import { AddressBlock, Duration, Size } from "./units.ts";
import { UserPolicy } from "./users.ts";
import { shown } from "../shown.ts";

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
        url: z
          .url({ protocol: /^https?$/ })
          // A key set is public: nobody signs in to read it, and fetch takes no such URL.
          .refine((text) => !/^[^/]*\/\/[^/?#]*@/.test(text), {
            error: "the URL of a key set has no user information",
          })
          .optional()
          .describe("Where the issuer publishes its keys."),
        discover: z
          .literal(true)
          .optional()
          .describe(
            "Instead of `url`: the issuer says it itself, at `<issuer>/.well-known/openid-configuration` (OpenID Connect Discovery).",
          ),
        maxAge: Duration({ min: "1s", max: "24h" })
          .prefault("10m")
          .describe("How long a fetched key set is used before it is fetched again. Default 10m."),
      })
      .refine((jwks) => (jwks.url === undefined) === (jwks.discover === true), {
        error: "takes either a url or discover: true",
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
          message: `${asymmetric.join(", ")} needs jwks: { url } or jwks: { discover: true }`,
        });
      if (issuer.jwks?.discover === true && !/^https?:\/\/[^?#]+$/.test(issuer.issuer))
        context.addIssue({
          code: "custom",
          path: ["issuer"],
          message: `discovery takes an issuer that is a URL without query and fragment: found ${issuer.issuer}`,
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
      bodyTimeout: Duration({ min: "1s", max: "1h" })
        .prefault("60s")
        .describe("Longest pause within a request body, else 408. Default 60s."),
      writeTimeout: Duration({ min: "1s", max: "1h" })
        .prefault("60s")
        .describe(
          "How long a client may take nothing of a reply that is ready; then the connection is cut. Default 60s.",
        ),
      matchBody: Size({ min: "1KiB", max: "10MiB" })
        .prefault("64KiB")
        .describe(
          "How much of a body is read before its route is known, on paths where routes depend on it; more is 413. Default 64KiB.",
        ),
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
      `${shown(issue.input)} is not a rule for URLs: write http://10.0.0.0/8:* or https://host.example:443`,
  });

export const Discovery = z.strictObject({
  autoRoutes: z
    .strictObject({
      prefix: Path.default("/api"),
      auth: Auth.prefault("required"),
      websocket: WebSocketPolicy.optional().describe(
        "Whether and how WebSockets come through. Default: they do not.",
      ),
    })
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
    identity: z
      .strictObject({
        issuers: z.array(Issuer).default([]),
        apiKeys: ApiKeyPolicy.optional().describe(
          "API keys in a header field. Default: there are none, and the field means nothing.",
        ),
        sessions: SessionPolicy.optional().describe(
          "Opaque sessions by cookie, kept in Redis, or in a file when standalone. Default: there are none.",
        ),
        users: UserPolicy.optional().describe(
          "A service that is asked whether a user is still active, and which roles it has. Default: the credential says it all.",
        ),
      })
      .prefault({}),
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
