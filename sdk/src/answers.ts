/**
 * Reads the control plane's answers by hand: a schema library in other people's services would be a high price for three shapes.
 */
import { parseDuration } from "@tocsin/shared";
import { RegistrationRefused, RegistrationUnavailable, type RefusedPlace } from "./errors.ts";
import type { Departure, Grant } from "./registry.ts";

/** Used when an answer does not say. */
const defaultRenewMs = 3_000;

type Fields = Readonly<Record<string, unknown>>;

const fieldsOf = (value: unknown): Fields =>
  typeof value === "object" && value !== null ? (value as Fields) : {};
const textOf = (value: unknown): string | undefined =>
  typeof value === "string" ? value : undefined;

/** The lease in an answer. Renewing more often than 10 times a second is nobody's wish: the least is 100 ms. */
export function grantOf(body: unknown): Grant {
  const { renew, sequence } = fieldsOf(body);
  const renewMs = parseDuration(textOf(renew) ?? "") ?? defaultRenewMs;
  return {
    renewMs: Math.max(100, renewMs),
    sequence: typeof sequence === "number" ? sequence : undefined,
  };
}

export function departureOf(body: unknown): Departure {
  const { missing } = fieldsOf(fieldsOf(body).applied);
  return {
    missing: (Array.isArray(missing) ? missing : []).map(
      (proxy: unknown) => textOf(fieldsOf(proxy).proxy) ?? String(proxy),
    ),
  };
}

/** What a negative answer means: `RegistrationRefused`, or `RegistrationUnavailable` where the same request may succeed later. */
export function failureOf(place: string, status: number, problem: unknown): Error {
  const { code, title, detail, errors } = fieldsOf(problem);
  const shown = textOf(detail) ?? textOf(title);
  // RFC 9110 §15.5.9, RFC 8470 §5.2, RFC 6585 §4: "not now", as every 5xx.
  if (status >= 500 || status === 408 || status === 425 || status === 429) {
    return new RegistrationUnavailable(
      `the control plane at ${place} answered ${status}${shown === undefined ? "" : `: ${shown}`}`,
    );
  }
  const titleText = textOf(title);
  const detailText = textOf(detail);
  return new RegistrationRefused({
    code: textOf(code) ?? `http-${status}`,
    status,
    ...(titleText === undefined ? {} : { title: titleText }),
    ...(detailText === undefined ? {} : { detail: detailText }),
    errors: (Array.isArray(errors) ? errors : []).map((error: unknown): RefusedPlace => {
      const { pointer, message } = fieldsOf(error);
      return { pointer: textOf(pointer) ?? "", message: textOf(message) ?? "is not allowed" };
    }),
  });
}
