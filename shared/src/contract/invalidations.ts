/** What proxies are to forget of what they remember: the order, and the entry of the journal. */
import { z } from "zod";
import { protocolVersion } from "./messages.ts";

const v = z.literal(protocolVersion);

/** The `sub` of tokens, or whom a session or an API key was made for. */
const User = z
  .string()
  .min(1)
  .max(512)
  .refine((text) => text.isWellFormed(), { error: "is not well-formed Unicode" });

/**
 * `POST /v1/invalidations`: exactly one selector. Each names what is to be forgotten, on every proxy, by the time it is answered.
 */
export const InvalidationOrder = z
  .strictObject({
    user: User.optional().describe("Whatever is remembered about this user, by its subject."),
    all: z.literal(true).optional().describe("Everything that is remembered."),
  })
  .refine(({ user, all }) => (user === undefined) !== (all === undefined), {
    error: "exactly one of user and all says what is to be forgotten",
  });
export type InvalidationOrder = z.infer<typeof InvalidationOrder>;

/** Selectors of the interface that name what caches hold. */
export const laterSelectors = ["key", "prefix", "tag", "service", "soft"] as const;

/**
 * An entry of the journal. Other kinds come with caching; whoever does not know the kind of an entry forgets everything, so that an
 * older proxy never keeps what a newer control plane has taken back.
 */
export const InvalidationEntry = z.discriminatedUnion("kind", [
  z.strictObject({ v, kind: z.literal("user"), user: User }),
  z.strictObject({ v, kind: z.literal("all") }),
]);
export type InvalidationEntry = z.infer<typeof InvalidationEntry>;
