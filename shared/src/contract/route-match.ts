/** What a route asks of a request, and when two routes ask for the same. */
import { z } from "zod";
import { shown } from "../shown.ts";

export const Path = z.string().regex(/^\/[^?#\s\\]*$/, {
  error: (issue) =>
    `${shown(issue.input)} is not a path: it starts with "/" and has no "?", "#", "\\" or blanks`,
});

export const methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] as const;
export type Method = (typeof methods)[number];

/** Methods whose content means nothing (RFC 9110 §9.3): no route depends on it. */
export const bodyless: ReadonlySet<string> = new Set(["GET", "HEAD", "DELETE", "OPTIONS"]);

/** `/users/{id}/orders`, `/files/*`. A segment is text, one `{parameter}`, or (the last one only) `*`. */
export const PathPattern = Path.superRefine((path, context) => {
  const segments = path.slice(1).split("/");
  const parameters = new Set<string>();
  for (const [index, segment] of segments.entries()) {
    if (segment === "*" && index === segments.length - 1) continue;
    if (segment === "" && index === segments.length - 1) continue;
    const parameter = /^\{([A-Za-z_][A-Za-z0-9_]*)\}$/.exec(segment)?.[1];
    if (parameter !== undefined) {
      if (parameters.has(parameter))
        context.addIssue({
          code: "custom",
          message: `the parameter {${parameter}} stands twice in ${path}`,
        });
      parameters.add(parameter);
    } else if (segment === "" || segment === "." || segment === ".." || /[{}*%;]/.test(segment)) {
      context.addIssue({
        code: "custom",
        message: `${JSON.stringify(segment)} cannot be a segment of a path pattern: write plain text, {parameter}, or * as the last one`,
      });
    }
  }
}).describe("Path to match: `/users/{id}` (one segment), `/files/*` (the rest, also nothing).");

/** A host name, an address, or `*.domain` for everything below a domain. */
export const HostPattern = z
  .string()
  .regex(/^(\*\.)?[a-z0-9.-]+$|^\[[0-9a-f:.]+\]$/i, "a host name, an address, or *.domain");

/** Fields that never reach the point where routes are chosen as they came, or mean something else there. */
const unusable =
  /^(host|connection|keep-alive|te|trailer|transfer-encoding|upgrade|content-length|expect|via|forwarded|authorization|proxy-.*|x-forwarded-.*|x-user-.*|x-auth-.*|x-request-id|x-real-ip|traceparent|tracestate)$/;

/** RFC 9110 §5.1: names are tokens, and their case does not matter. */
export const fieldName = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/;

const Value = z.string().min(1).max(1_024);

export const RouteMatch = z.strictObject({
  path: PathPattern,
  methods: z
    .array(z.enum(methods))
    .min(1)
    .optional()
    .describe("Default: every method. GET includes HEAD."),
  hosts: z
    .array(HostPattern)
    .min(1)
    .optional()
    .describe(
      "Host names, or `*.domain`. Routes with a host come before those without. Default: every host that is served.",
    ),
  headers: z
    .record(z.string(), Value)
    .superRefine((headers, context) => {
      const names = new Set<string>();
      for (const name of Object.keys(headers)) {
        const lower = name.toLowerCase();
        const message = !fieldName.test(name)
          ? `${JSON.stringify(name)} is not the name of a field (RFC 9110 §5.1)`
          : unusable.test(lower)
            ? `routes cannot be chosen by the field ${name}`
            : names.has(lower)
              ? `the field ${name} stands twice`
              : undefined;
        names.add(lower);
        if (message !== undefined) context.addIssue({ code: "custom", path: [name], message });
      }
    })
    .transform((headers) =>
      Object.fromEntries(
        Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]),
      ),
    )
    .optional()
    .describe("Values that header fields must have, whole and with their case; `*` is any value."),
  query: z
    .record(z.string().min(1).max(256), Value)
    .optional()
    .describe("Values that query parameters must have, decoded; `*` is any value."),
  body: z
    .record(
      z.string().regex(/^(\/([^~/]|~[01])*)+$/, {
        error: (issue) =>
          `${shown(issue.input)} is not a JSON pointer (RFC 6901): write /plan or /items/0/kind`,
      }),
      z.union([Value, z.number(), z.boolean()]),
    )
    .refine((members) => Object.keys(members).length > 0, "name at least one member")
    .optional()
    .describe(
      "Values that members of a JSON body must have, by JSON pointer; `*` is any value. The body is read first, up to listen.limits.matchBody. Only POST, PUT and PATCH have a body that counts.",
    ),
});
export type RouteMatch = z.infer<typeof RouteMatch>;

/** A match as far as it can be read: also one that a schema refused. */
export interface Claim {
  readonly path: string;
  readonly methods: readonly string[];
  readonly hosts: readonly string[];
  readonly headers: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, string>>;
  /** By JSON pointer. Values of another type are other values: `1` is not `"1"`. */
  readonly body: Readonly<Record<string, unknown>>;
}

/** What two claims must share to be about the same paths: parameters whatever they are called, no slash at the end. */
export function shapeOf(path: string): string {
  return path.replace(/\{[^}]*\}/g, "{}").replace(/(?<=.)\/$/, "");
}

/**
 * Whether some request fits two claims of one shape and nothing says which of them is meant. The more conditions win: first the
 * host, then header fields, then query parameters, then members of the body.
 *
 * @returns the method of such a request
 */
export function contested(one: Claim, other: Claim): string | undefined {
  if (
    !one.hosts.some((host) => other.hosts.includes(host)) ||
    size(one.headers) !== size(other.headers) ||
    size(one.query) !== size(other.query) ||
    size(one.body) !== size(other.body) ||
    apart(one.headers, other.headers) ||
    apart(one.query, other.query) ||
    apart(one.body, other.body)
  )
    return undefined;
  return one.methods.find((method) => other.methods.includes(method));
}

/** Both name something and want other values of it. */
function apart(
  one: Readonly<Record<string, unknown>>,
  other: Readonly<Record<string, unknown>>,
): boolean {
  return Object.entries(one).some(([name, value]) => {
    const wanted = Object.hasOwn(other, name) ? other[name] : undefined;
    return wanted !== undefined && wanted !== value && wanted !== "*" && value !== "*";
  });
}

const size = (conditions: object) => Object.keys(conditions).length;
