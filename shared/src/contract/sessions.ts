/** `identity.sessions`: opaque cookies that this gateway itself gives out. */
import { z } from "zod";
import { Duration } from "./units.ts";
import { shown } from "../shown.ts";

const CookieName = z
  .string()
  .max(64)
  .regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/, {
    error: (issue) =>
      `${shown(issue.input)} is not the name of a cookie: letters, digits and hyphens (RFC 6265 §4.1.1)`,
  });

const PageOrigin = z.string().regex(/^https?:\/\/(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(:\d{1,5})?$/, {
  error: (issue) =>
    `${shown(issue.input)} is not an origin: write https://app.example.com, in lower case, without a path`,
});

const hostPrefix = /^__host-/i;
const securePrefix = /^__(host|secure)-/i;

export const SessionPolicy = z
  .strictObject({
    cookie: CookieName.default("sid").describe("Name of the cookie. Default sid."),
    ttl: Duration({ min: "1s", max: "90d" })
      .prefault("12h")
      .describe("How long a session lives without being used. Default 12h."),
    lifetime: Duration({ min: "1s", max: "365d" })
      .prefault("30d")
      .describe("How long a session lives at most, however much it is used. Default 30d."),
    sameSite: z
      .enum(["lax", "strict", "none"])
      .default("lax")
      .describe("`SameSite` of the cookie. Default lax."),
    secure: z
      .boolean()
      .optional()
      .describe(
        "Whether browsers send the cookie over https only. Default: in production, and where the name or `sameSite` asks for it.",
      ),
    domain: z
      .string()
      .max(253)
      .regex(/^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z0-9-]+$/, {
        error: (issue) => `${shown(issue.input)} is not a domain: write example.com, in lower case`,
      })
      .optional()
      .describe("Hosts below this domain get the cookie too. Default: the host itself alone."),
    origins: z
      .array(PageOrigin)
      .default([])
      .describe(
        "Whose pages, beside those of the host itself, may change something by requests with the cookie, or open WebSockets. Default: nobody's.",
      ),
    withoutOrigin: z
      .enum(["deny", "allow"])
      .default("deny")
      .describe(
        "Requests with the cookie that change something and say neither in `Origin` nor in `Referer` where they come from. Default deny.",
      ),
    cacheFor: Duration({ min: "0s", max: "1m" })
      .prefault("5s")
      .describe(
        "How long a proxy goes by what it has seen of a session before it asks the store again. An end that was ordered is in force at once. Default 5s.",
      ),
  })
  .superRefine((policy, context) => {
    const problem = (path: string, message: string) =>
      context.addIssue({ code: "custom", path: [path], message });
    const { cookie, ttl, lifetime, secure, sameSite, domain } = policy;
    if (ttl > lifetime)
      problem(
        "ttl",
        "a session cannot be idle for longer than it lives: it is longer than lifetime",
      );
    if (hostPrefix.test(cookie) && domain !== undefined)
      problem("domain", `browsers drop a cookie named ${cookie} that has a domain`);
    if (secure === false && securePrefix.test(cookie))
      problem("secure", `browsers drop a cookie named ${cookie} that is not secure`);
    if (secure === false && sameSite === "none")
      problem("secure", "browsers drop a cookie with sameSite: none that is not secure");
  })
  .transform((policy) => ({
    ...policy,
    secure:
      policy.secure ??
      (securePrefix.test(policy.cookie) || policy.sameSite === "none" ? true : undefined),
  }));
export type SessionPolicy = z.infer<typeof SessionPolicy>;

/** Whether the cookie is for https alone. Production says so where the config does not. */
export function isSecureCookie(
  { secure }: SessionPolicy,
  environment: "development" | "staging" | "production",
): boolean {
  return secure ?? environment === "production";
}
