import type { Refusal } from "./refusal.ts";

/** A problem document (RFC 9457 §3.1) with the members that Tocsin adds. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: string;
  readonly detail?: string;
  /** The request id, so that a report from a user leads to the log lines. */
  readonly instance?: string;
  readonly errors?: readonly {
    readonly pointer: string;
    readonly message: string;
    readonly line?: number;
    readonly column?: number;
  }[];
}

export const problemMediaType = "application/problem+json";

export function problemType(code: string): string {
  return `urn:tocsin:problem:${code}`;
}

export function problemOf(refusal: Refusal, instance: string): Problem {
  const { code, row, detail, errors } = refusal;
  return {
    type: problemType(code),
    title: row.title,
    status: row.status,
    code,
    ...(detail === undefined ? {} : { detail }),
    instance,
    ...(errors === undefined ? {} : { errors }),
  };
}
