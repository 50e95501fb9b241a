/** What is known about a request that a consistent hash may go by. */
export interface Hashable {
  readonly clientAddress: string;
  readonly head: { readonly passing: readonly string[] };
  readonly principal:
    | { readonly method: string; readonly subject?: string; readonly issuer?: string }
    | undefined;
}

/** Reads the key of a request. Never empty-handed: where there is none the client's address stands in. */
export type HashKey = (request: Hashable) => string;

/** @param on `user`, `address`, `header:NAME` or `cookie:NAME` */
export function hashKey(on: string): HashKey {
  if (on === "user")
    return ({ principal, clientAddress }) =>
      principal?.subject === undefined
        ? clientAddress
        : `${principal.issuer ?? ""}\n${principal.subject}`;
  const [kind, name = ""] = on.split(/:(.*)/s);
  if (kind === "header") {
    const wanted = name.toLowerCase();
    return ({ head, clientAddress }) => field(head.passing, wanted) ?? clientAddress;
  }
  if (kind === "cookie")
    return ({ head, clientAddress }) => cookie(head.passing, name) ?? clientAddress;
  return ({ clientAddress }) => clientAddress;
}

/** The first of a name; undefined when there is none, or it is empty. */
function field(fields: readonly string[], wanted: string): string | undefined {
  for (let index = 0; index + 1 < fields.length; index += 2) {
    const name = fields[index]!;
    if (name.length === wanted.length && name.toLowerCase() === wanted)
      return fields[index + 1] === "" ? undefined : fields[index + 1];
  }
  return undefined;
}

/** The first cookie of a name (RFC 6265 §4.2.1), in whichever `Cookie` field. Names are told apart by case. */
function cookie(fields: readonly string[], wanted: string): string | undefined {
  for (let index = 0; index + 1 < fields.length; index += 2) {
    const name = fields[index]!;
    if (name.length !== 6 || name.toLowerCase() !== "cookie") continue;
    for (const pair of fields[index + 1]!.split(";")) {
      const equals = pair.indexOf("=");
      if (equals === -1 || pair.slice(0, equals).trim() !== wanted) continue;
      const value = pair.slice(equals + 1).trim();
      if (value !== "") return value;
    }
  }
  return undefined;
}
