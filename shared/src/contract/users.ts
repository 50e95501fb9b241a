/** `identity.users`: a service that knows who is still a user, and with which roles. */
import { z } from "zod";
import { Name } from "../names.ts";
import { Duration } from "./units.ts";

const placeholders = ["{subject}", "{issuer}"];

/** A path whose placeholders are whole segments: what stands for them is encoded, and leads nowhere else. */
const QuestionPath = z
  .string()
  .max(500)
  .superRefine((path, context) => {
    const problem = (message: string) =>
      context.addIssue({ code: "custom", message: `found ${JSON.stringify(path)}: ${message}` });
    if (!/^\/[A-Za-z0-9\-._~!$&'()*+,;=:@%/{}]*$/.test(path))
      return problem("write a path such as /internal/users/{subject}, without a query");
    const segments = path.slice(1).split("/");
    if (segments.some((segment) => segment === "" || /^(\.|%2e){1,2}$/i.test(segment)))
      return problem("an empty segment, . and .. can be read in more than one way");
    if (/%(?![0-9A-Fa-f]{2})/.test(path)) return problem("% is followed by two hexadecimal digits");
    if (segments.some((segment) => /[{}]/.test(segment) && !placeholders.includes(segment)))
      return problem(`only ${placeholders.join(" and ")} may stand in braces, as whole segments`);
    if (segments.filter((segment) => segment === "{subject}").length !== 1)
      problem("{subject} says whom it is about; it stands there once");
  });

export const UserPolicy = z.strictObject({
  service: Name.describe("The service that is asked, by its instances; under `services`."),
  path: QuestionPath.describe(
    "Asked with GET. `{subject}` is the user, percent-encoded; `{issuer}`, where it stands there, is who says so: `-` is this gateway itself.",
  ),
  ttl: Duration({ min: "1s", max: "24h" })
    .prefault("5m")
    .describe(
      "How long an answer counts. An invalidation of the user ends that at once. Default 5m.",
    ),
  timeout: Duration({ min: "10ms", max: "30s" })
    .prefault("2s")
    .describe("How long a question may take, tries at other instances included. Default 2s."),
  for: z
    .array(z.enum(["jwt", "session", "api-key"]))
    .min(1)
    .default(["jwt", "session"])
    .describe("Kinds of credential whose user is looked up. Default: jwt and session."),
});
export type UserPolicy = z.infer<typeof UserPolicy>;

/** `auth.users` of a route: what happens while the service of users has no answer. */
export const UserAbsence = z.strictObject({
  onUnavailable: z
    .enum(["deny", "stale", "allow"])
    .default("deny")
    .describe(
      "deny: 503. stale: the last answer counts for `ttl` more, then 503. allow: as stale, then the credential counts alone. Default deny.",
    ),
});
export type UserAbsence = z.infer<typeof UserAbsence>;

/** Lone surrogates have no UTF-8: two such names could not be told apart once they are written down. */
const Names = z
  .array(
    z
      .string()
      .min(1)
      .max(128)
      .refine((name) => name.isWellFormed(), { error: "is not well-formed Unicode" }),
  )
  .max(200);

/** What the service of users says. Other fields are for others. */
export const UserAnswer = z.object({
  active: z.boolean(),
  roles: Names.optional(),
  scopes: Names.optional(),
});
export type UserAnswer = z.infer<typeof UserAnswer>;
