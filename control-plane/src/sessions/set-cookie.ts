import { isSecureCookie, type Config, type SessionPolicy } from "@tocsin/shared/contract";

const sameSites = { lax: "Lax", strict: "Strict", none: "None" } as const;

/**
 * The `Set-Cookie` field of a session (RFC 6265 §4.1).
 *
 * @param value undefined: the browser is to forget it
 */
export function setCookie(
  policy: SessionPolicy,
  environment: Config["environment"],
  value: string | undefined,
  maxAgeSeconds = 0,
): string {
  const { cookie, domain, sameSite } = policy;
  return [
    `${cookie}=${value ?? ""}`,
    // A browser keeps it for as long as the session may live; how long it may be idle is known here.
    `Max-Age=${value === undefined ? 0 : maxAgeSeconds}`,
    "Path=/",
    ...(domain === undefined ? [] : [`Domain=${domain}`]),
    ...(isSecureCookie(policy, environment) ? ["Secure"] : []),
    "HttpOnly",
    `SameSite=${sameSites[sameSite]}`,
  ].join("; ");
}
