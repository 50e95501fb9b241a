/** What the claims of a verified token say, as far as it is used. */
import { Denial } from "@tocsin/shared";
import type { DenialCause } from "@tocsin/shared";
import { isObject } from "./json.ts";
import type { IssuerRules } from "./rules.ts";

export interface Claims {
  readonly subject: string;
  readonly tokenId: string | undefined;
  /** Unix seconds. */
  readonly issuedAt: number;
  /** Unix seconds. */
  readonly expiresAt: number;
  readonly roles: readonly string[];
  readonly scopes: readonly string[];
  readonly session: string | undefined;
  readonly client: string | undefined;
}

/** What a revocation can name: a token whose subject or id is longer could not be taken back. */
const maxNameLength = 512;
const control = /[\u0000-\u001f\u007f-\u009f]/;

/**
 * Reads the claims and checks what the signature library does not.
 *
 * @param nowSeconds Unix seconds
 * @throws Refusal credential-invalid
 */
export function readClaims(
  payload: Readonly<Record<string, unknown>>,
  rules: IssuerRules,
  nowSeconds: number,
): Claims {
  const { sub, jti, iat: issuedAt, exp: expiresAt } = payload;
  const invalid = (why: DenialCause) =>
    new Denial("credential-invalid", why, { issuer: rules.issuer });
  if (!isTime(issuedAt) || !isTime(expiresAt)) throw invalid("claim-malformed");
  if (issuedAt > nowSeconds + rules.toleranceSeconds) throw invalid("not-yet-valid");
  if (expiresAt - issuedAt > rules.maxLifetimeSeconds) throw invalid("lifetime-too-long");
  if (typeof sub !== "string" || !isRevocable(sub)) throw invalid("claim-malformed");
  if (jti !== undefined && (typeof jti !== "string" || !isRevocable(jti)))
    throw invalid("claim-malformed");
  return {
    subject: sub,
    tokenId: jti,
    issuedAt,
    expiresAt,
    roles: names(at(payload, rules.claims.roles)),
    scopes: names(at(payload, rules.claims.scopes)),
    session: text(at(payload, rules.claims.session)),
    client: text(at(payload, rules.claims.client)),
  };
}

/** 1e400 is valid JSON and reads as Infinity. */
function isTime(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value);
}

/**
 * Lone surrogates have no UTF-8: two such names could not be told apart once they are written down. Nor can who takes a name back write
 * control characters.
 */
function isRevocable(name: string): boolean {
  return name !== "" && name.length <= maxNameLength && name.isWellFormed() && !control.test(name);
}

function at(payload: Readonly<Record<string, unknown>>, path: readonly string[]): unknown {
  let value: unknown = payload;
  for (const name of path) {
    if (!isObject(value) || !Object.hasOwn(value, name)) return undefined;
    value = value[name];
  }
  return value;
}

/** A list of texts, or one text with blanks between (RFC 8693 §4.2). Anything else grants nothing. */
function names(value: unknown): readonly string[] {
  const found = typeof value === "string" ? value.split(" ") : value;
  if (!Array.isArray(found) || !found.every((name) => typeof name === "string")) return [];
  return [...new Set(found)].filter((name) => name !== "" && name.isWellFormed());
}

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" && value.isWellFormed() ? value : undefined;
}
