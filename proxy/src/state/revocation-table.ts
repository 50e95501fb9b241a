import { RevocationEntry } from "@tocsin/shared/contract";
import type { ReplicaTable } from "@tocsin/shared/replica";
import type { Fingerprint, RevocationSet } from "@tocsin/shared/revocations";

/** A revocation as the set takes it. Of a token nothing but its fingerprint is kept, because a snapshot may hold a million. */
export type RevocationChange =
  | { readonly kind: "token"; readonly token: Fingerprint; readonly expiresAt: number }
  | Extract<RevocationEntry, { kind: "user" }>;

export interface RevocationTableOptions {
  readonly revocations: RevocationSet;
  /** Unix seconds: what expired before that may be forgotten. */
  readonly forgetBefore: () => number;
}

/** What was taken back. A union: a snapshot adds to what is held, and nothing but expiry takes away. */
export function createRevocationTable(
  options: RevocationTableOptions,
): ReplicaTable<RevocationChange> {
  const { revocations, forgetBefore } = options;

  function add(change: RevocationChange, now: number): void {
    const { expiresAt } = change;
    if (expiresAt < now) return;
    switch (change.kind) {
      case "token":
        return revocations.addToken(change.token, expiresAt);
      case "user":
        return revocations.addUser(change.subject, change.issuer, change.issuedBefore, expiresAt);
      default:
        return change satisfies never;
    }
  }

  return {
    decode({ body }) {
      const entry = RevocationEntry.parse(JSON.parse(body));
      if (entry.kind === "user") return entry;
      const { kind, issuer, jti, expiresAt } = entry;
      return { kind, token: revocations.fingerprint(issuer, jti), expiresAt };
    },
    apply: (change) => add(change, forgetBefore()),
    load(changes) {
      const now = forgetBefore();
      for (const { change } of changes) add(change, now);
    },
  };
}
