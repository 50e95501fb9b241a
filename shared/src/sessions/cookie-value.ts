/**
 * The value of the cookie: `<sid>.<secret>`. The first part is public, the second one never stands anywhere but in the cookie
 * (docs/design/decisions/0034-sessions.md).
 */
import { hash, randomBytes, timingSafeEqual } from "node:crypto";
import type { SessionId } from "./session.ts";

export interface CookieValue {
  readonly sid: SessionId;
  /** 256 random bits, as text: another spelling of the same bits is another secret. */
  readonly secret: string;
}

const pattern = /^([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{43})$/;

export function readCookieValue(text: string): CookieValue | undefined {
  const parts = pattern.exec(text);
  return parts === null ? undefined : { sid: parts[1]!, secret: parts[2]! };
}

export function freshCookieValue(): CookieValue {
  return {
    // Where it is typed behind a command, a hyphen in front would make it an option.
    sid: randomBytes(16).toString("base64url").replace(/^-/, "0"),
    secret: randomBytes(32).toString("base64url"),
  };
}

export function writeCookieValue({ sid, secret }: CookieValue): string {
  return `${sid}.${secret}`;
}

/** One round of SHA-256 is enough for 256 random bits: there is nothing to guess, so nothing has to be slow. */
export function hashOf(secret: string): string {
  return hash("sha256", secret, "base64url");
}

/** Takes the same time whether the first character differs or the last one. */
export function isSecretOf(secret: string, secretHash: string): boolean {
  return timingSafeEqual(hash("sha256", secret, "buffer"), Buffer.from(secretHash, "base64url"));
}
