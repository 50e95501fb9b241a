import type { RevocationEntry } from "@tocsin/shared/contract";
import type { ReplicaTable } from "@tocsin/shared/replica";
import {
  primaryKeyOf,
  readRevocation,
  type Fingerprint,
  type RevocationSet,
} from "@tocsin/shared/revocations";

/** A revocation as the set takes it. Of a token nothing but its fingerprint is kept, because a snapshot may hold a million. */
export type RevocationChange =
  | {
      readonly kind: "token";
      readonly token: Fingerprint;
      readonly expiresAt: number;
      readonly at: number | undefined;
    }
  | { readonly kind: "other"; readonly entry: RevocationEntry };

export interface RevocationTableOptions {
  readonly revocations: RevocationSet;
  /** Unix seconds: what expired before that may be forgotten. */
  readonly forgetBefore: () => number;
  /** A user was revoked: what else is remembered about it may not hold any more either. */
  readonly onUser?: (subject: string) => void;
  /** A snapshot was taken: which users were revoked meanwhile, nobody can tell. */
  readonly onUnknown?: () => void;
}

/** What was taken back. A union: a snapshot adds to what is held, and nothing but expiry takes away. */
export function createRevocationTable(
  options: RevocationTableOptions,
): ReplicaTable<RevocationChange> & Required<Pick<ReplicaTable<RevocationChange>, "loadDump">> {
  const { revocations, forgetBefore, onUser, onUnknown } = options;

  function add(change: RevocationChange, now: number): void {
    switch (change.kind) {
      case "token":
        if (change.expiresAt >= now)
          revocations.addToken(change.token, change.expiresAt, { at: change.at });
        return;
      case "other":
        revocations.apply(change.entry, now);
        return usersIn(change.entry).forEach((subject) => onUser?.(subject));
      default:
        return change satisfies never;
    }
  }

  return {
    decode({ body }) {
      const entry = readRevocation(body);
      if (entry.kind !== "token") return { kind: "other", entry };
      const { kind, issuer, jti, expiresAt, at } = entry;
      return { kind, token: revocations.fingerprint(issuer, jti), expiresAt, at };
    },
    apply: (change) => add(change, forgetBefore()),
    load(changes) {
      const now = forgetBefore();
      for (const { change } of changes) add(change, now);
      onUnknown?.();
    },
    async loadDump(dump) {
      await revocations.merge(dump, forgetBefore());
      // Whoever sent it knows which key is the fleet's: what this proxy holds is to be of use to others.
      const key = primaryKeyOf(dump);
      if (key !== undefined) revocations.useKey(key);
      onUnknown?.();
    },
  };
}

function usersIn(entry: RevocationEntry): string[] {
  const items = entry.kind === "batch" ? entry.items : [entry];
  return items.flatMap((item) => (item.kind === "user" ? [item.subject] : []));
}
