import { withoutCredentials } from "@tocsin/shared";
import type { AuditTarget } from "@tocsin/shared/contract";

/** The longest text of a stranger that is kept, in characters. */
const maxText = 512;

/** A text of somebody's that can be kept and shown: on one line, not endless, and no credential. */
export function harmlessText(text: string): string {
  const line = withoutCredentials(text).replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "·");
  return line.length > maxText ? `${line.slice(0, maxText)}…`.toWellFormed() : line.toWellFormed();
}

/** @returns nothing where nothing is known */
export function harmlessTarget(target: AuditTarget): { readonly target?: AuditTarget } {
  const entries = Object.entries(target)
    .filter(([, value]) => value !== "")
    .map(([name, value]) => [name, typeof value === "string" ? harmlessText(value) : value]);
  return entries.length === 0 ? {} : { target: Object.fromEntries(entries) as AuditTarget };
}
