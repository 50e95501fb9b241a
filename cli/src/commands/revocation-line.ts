import type { RevocationItem } from "@tocsin/shared/contract";

/** What a line without braces is, and what holds for all of them. */
export type PlainLines =
  | { readonly kind: "token" }
  | { readonly kind: "user"; readonly issuer?: string; readonly issuedBefore?: number };

/**
 * One line of a file: any form of a revocation as JSON; else a token, or `jti issuer`; of users `subject`, or `subject issuer`.
 *
 * @returns why it is none of these, as text
 */
export function revocationOf(text: string, plain: PlainLines): RevocationItem | string {
  if (text.startsWith("{")) {
    try {
      // What it says is checked by the control plane, like everything else.
      return JSON.parse(text) as RevocationItem;
    } catch {
      return "begins like JSON, and is not JSON";
    }
  }
  const words = text.split(/\s+/);
  const [first = "", second] = words;
  if (words.length > 2)
    return `has ${words.length} words; write it as JSON where texts have blanks`;
  switch (plain.kind) {
    case "token":
      if (second === undefined) return { token: first };
      return /^bearer$/i.test(first)
        ? { token: second }
        : { kind: "token", jti: first, issuer: second };
    case "user": {
      const { kind, issuer = second, issuedBefore } = plain;
      if (plain.issuer !== undefined && second !== undefined)
        return "names an issuer, and --issuer does too";
      return {
        kind,
        subject: first,
        ...(issuer === undefined ? {} : { issuer }),
        ...(issuedBefore === undefined ? {} : { issuedBefore }),
      };
    }
    default:
      return plain satisfies never;
  }
}
