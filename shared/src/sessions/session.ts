import { z } from "zod";
import type { Milliseconds } from "../time.ts";
import { shown } from "../shown.ts";

const v = z.literal(1);

/** Names a session in lists, revocations and logs; who knows it alone is nobody. 128 random bits. */
export const SessionId = z.string().regex(/^[A-Za-z0-9_-]{22}$/, {
  error: (issue) =>
    `${shown(issue.input)} is not the id of a session: 22 letters, digits, hyphens and underscores`,
});
export type SessionId = z.infer<typeof SessionId>;

/** A session as it is kept. Nothing in it is enough to sign in. */
export const StoredSession = z.strictObject({
  v,
  sid: SessionId,
  /** SHA-256 of the secret, in base64url. */
  secretHash: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
  subject: z.string().min(1).max(512),
  roles: z.array(z.string()),
  scopes: z.array(z.string()),
  client: z.string().optional(),
  /** Unix milliseconds. */
  createdAt: z.int().min(0),
  /** When it is over, however much it is used: Unix milliseconds. */
  expiresAt: z.int().min(0),
  /** Who asked for it: `admin`, or the service. */
  by: z.string().max(64),
  metadata: z.record(z.string(), z.string()).optional(),
});
export type StoredSession = z.infer<typeof StoredSession>;

/** A session, and how long it lives on when nobody uses it. */
export interface HeldSession {
  readonly session: StoredSession;
  readonly idleMs: Milliseconds;
}

/** @returns undefined when the text is no session */
export function readStored(text: unknown): StoredSession | undefined {
  if (typeof text !== "string") return undefined;
  try {
    return StoredSession.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
