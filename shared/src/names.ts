/**
 * The one place where a text becomes a name.
 *
 * Names end up in NATS subjects, journal keys, metric labels and file names, and the NATS client puts a subject on the wire
 * unchecked: a name with CRLF would publish elsewhere, the name `>` would hear everything. So nothing that is not a name
 * by this rule gets that far.
 */
import { z } from "zod";
import { shown } from "./shown.ts";

/** Lower-case letters, digits and inner hyphens, 1 to 63 characters: a DNS label (RFC 1123 §2.1). */
export const namePattern = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

export const Name = z
  .string()
  .regex(namePattern, {
    error: (issue) =>
      `${shown(issue.input)} is not a name: use 1 to 63 lower-case letters, digits and hyphens, with a letter or digit at both ends`,
  })
  .describe(
    "A name: 1 to 63 lower-case letters, digits and hyphens, a letter or digit at both ends.",
  );

export type ServiceName = string;
export type InstanceName = string;
export type RouteName = string;
/** The name of one running proxy or control-plane node. */
export type NodeName = string;

export function isName(text: unknown): text is string {
  return typeof text === "string" && namePattern.test(text);
}

/**
 * Makes the nearest name out of any text (a host name, say). Dots and other characters become hyphens.
 *
 * @returns undefined when nothing usable is left.
 */
export function toName(text: string): string | undefined {
  const name = text
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, "-")
    .slice(0, 63)
    .replace(/^-+|-+$/g, "");
  return isName(name) ? name : undefined;
}

/** @throws Error naming the text when it is not a name. For texts that already passed a schema; a last line of defence. */
export function assertName(text: string): string {
  if (!isName(text)) throw new Error(`not a name: ${shown(text)}`);
  return text;
}
