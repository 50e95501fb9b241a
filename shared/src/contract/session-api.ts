/** Sessions over the admin API and the bus: bodies and answers. */
import { z } from "zod";
import { OrderAnswer } from "./api.ts";
import { Duration } from "./units.ts";

/** Text that can stand in a header and a log line. */
const Text = (longest: number) =>
  z
    .string()
    .min(1)
    .max(longest)
    .refine((text) => text.isWellFormed() && !/\p{Cc}/u.test(text), {
      error: "has control characters, or is not well-formed Unicode",
    });

/** `POST /v1/sessions`: somebody has signed in. */
export const NewSession = z.strictObject({
  subject: Text(512).describe("Whom it speaks for."),
  roles: z.array(Text(128)).max(100).default([]),
  scopes: z.array(Text(128)).max(100).default([]),
  client: Text(512).optional().describe("The application; can be revoked as such."),
  lifetime: Duration({ min: "1s", max: "365d" })
    .optional()
    .describe(
      "When it is over, however much it is used. Default, and at most: `lifetime` of the config.",
    ),
  metadata: z
    .record(Text(64), z.string().max(256))
    .refine((entries) => Object.keys(entries).length <= 16, { error: "has more than 16 entries" })
    .optional()
    .describe("Texts for whoever looks at the list: a device, a place."),
});
export type NewSession = z.infer<typeof NewSession>;
export type NewSessionInput = z.input<typeof NewSession>;

export const SessionMade = z.object({
  /** Public: names the session in lists and revocations. */
  sid: z.string(),
  /** The value of the cookie. Secret: whoever has it is signed in. Told once. */
  cookie: z.string(),
  /** The whole `Set-Cookie` field, to be sent to the browser as it is. */
  setCookie: z.string(),
  /** Unix seconds. */
  expiresAt: z.number(),
});
export type SessionMade = z.infer<typeof SessionMade>;

export const SessionView = z.object({
  sid: z.string(),
  subject: z.string(),
  roles: z.array(z.string()),
  scopes: z.array(z.string()),
  client: z.string().optional(),
  /** Unix seconds, all three. `idleEndsAt`: when it is over if nobody uses it. */
  createdAt: z.number(),
  idleEndsAt: z.number(),
  expiresAt: z.number(),
  /** Who asked for it: `admin`, or `service:<name>`. */
  by: z.string(),
  metadata: z.record(z.string(), z.string()).optional(),
});
export type SessionView = z.infer<typeof SessionView>;

export const SessionList = z.object({
  sessions: z.array(SessionView),
  /** There are more than are listed. */
  more: z.literal(true).optional(),
});
export type SessionList = z.infer<typeof SessionList>;

/** What an order to end sessions came to, beside what every order tells. */
const ended = {
  /** How many were in the store, and are not any more. */
  removed: z.int(),
  /** Why the store still has them, though they let nobody in: they are revoked. */
  notRemoved: z.string().optional(),
  /** A `Set-Cookie` field that makes the browser forget the cookie. */
  setCookie: z.string(),
};

/** `DELETE /v1/sessions/{sid}`, `DELETE /v1/sessions?subject=`. Without an order: there was nothing to end. */
export const SessionsEnded = z.union([
  OrderAnswer.extend(ended),
  z.object({ ...ended, removed: z.literal(0) }),
]);
export type SessionsEnded = z.infer<typeof SessionsEnded>;

/** Over the bus a request has no query: who lists says of whom, who ends says which. */
export const SessionQuestion = z.strictObject({ subject: Text(512) });
export const SessionEnd = z.union([
  z.strictObject({ sid: z.string().max(64), reason: z.string().max(200).optional() }),
  z.strictObject({ subject: Text(512), reason: z.string().max(200).optional() }),
]);
