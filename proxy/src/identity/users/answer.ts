import type { Milliseconds } from "@tocsin/shared";
import { UserAnswer } from "@tocsin/shared/contract";
import type { Version } from "@tocsin/shared/invalidations";
import type { IdentifiedPrincipal } from "../principal.ts";
import { identityHeaders } from "../identity-headers.ts";

/** What the service of users said, and until when that counts. Times on the monotonic clock. */
export interface HeldAnswer {
  readonly answer: UserAnswer;
  readonly askedAt: Milliseconds;
  /** From then on somebody who uses it has it asked for again, and goes on with this one meanwhile. */
  readonly refreshAt: Milliseconds;
  readonly endsAt: Milliseconds;
  /** So long it stands in for an answer that cannot be had, where the route takes that. */
  readonly staleUntil: Milliseconds;
  /** The version of the invalidations at which it was asked for. */
  readonly since: Version;
  /** The version at which it was last found to hold. */
  heldAt: Version;
  /** Principals with its roles, each made once. */
  readonly principals: WeakMap<IdentifiedPrincipal, IdentifiedPrincipal>;
}

const none: UserAnswer = { active: false };

/**
 * Reads an answer. That there is no such user is one: 404, or 410 for one that is gone.
 *
 * @throws Error when it says neither yes nor no
 */
export function readAnswer(status: number, body: Uint8Array): UserAnswer {
  if (status === 404 || status === 410) return none;
  // A redirect too: whom it would be followed to, nobody has checked.
  if (status !== 200) throw new Error(`it answered ${status}`);
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch {
    throw new Error("its answer is not JSON");
  }
  const read = UserAnswer.safeParse(value);
  if (read.success) return read.data;
  const { path, message } = read.error.issues[0]!;
  throw new Error(`its answer is not as agreed: ${path.join(".")}: ${message}`.slice(0, 300));
}

/** The principal with the roles and scopes that the service has said, where it has. */
export function withAnswer(held: HeldAnswer, principal: IdentifiedPrincipal): IdentifiedPrincipal {
  const { roles = principal.roles, scopes = principal.scopes } = held.answer;
  if (roles === principal.roles && scopes === principal.scopes) return principal;
  let made = held.principals.get(principal);
  if (made === undefined) {
    const { method, subject } = principal;
    const headers = [
      ...identityHeaders(method, subject, roles, scopes),
      ...besides(principal.headers),
    ];
    made = {
      ...principal,
      roles,
      scopes,
      shown: principal,
      headers,
    };
    held.principals.set(principal, made);
  }
  return made;
}

/** Names that {@link identityHeaders} gives. */
const usual = new Set(["X-Auth-Method", "X-User-ID", "X-User-Roles", "X-User-Scopes"]);

/** What else upstreams are told, the session for one. */
function besides(headers: readonly string[]): string[] {
  const found: string[] = [];
  for (let index = 0; index + 1 < headers.length; index += 2)
    if (!usual.has(headers[index]!)) found.push(headers[index]!, headers[index + 1]!);
  return found;
}
