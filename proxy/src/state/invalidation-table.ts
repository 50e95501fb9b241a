import { messageOf } from "@tocsin/shared";
import type { Log } from "@tocsin/shared";
import { InvalidationEntry } from "@tocsin/shared/contract";
import type { Invalidations } from "@tocsin/shared/invalidations";
import type { ReplicaTable } from "@tocsin/shared/replica";

export interface InvalidationTableOptions {
  readonly invalidations: Invalidations;
  readonly log: Log;
}

/**
 * What is to be forgotten. A floor: a snapshot says nothing of what came before it, so that everything older is stale.
 *
 * An entry that this version does not understand is no poison: it makes everything stale, which is never less than what was meant.
 */
export function createInvalidationTable(
  options: InvalidationTableOptions,
): ReplicaTable<InvalidationEntry> {
  const { invalidations, log } = options;
  return {
    decode({ body, sequence }) {
      try {
        return InvalidationEntry.parse(JSON.parse(body));
      } catch (error) {
        const cause = messageOf(error).slice(0, 500);
        log.warn({ sequence, cause }, "invalidation not understood: everything is forgotten");
        return { v: 1, kind: "all" };
      }
    },
    apply(entry) {
      switch (entry.kind) {
        case "user":
          return invalidations.forgetUser(entry.user);
        case "all":
          return invalidations.forgetAll();
        default:
          return entry satisfies never;
      }
    },
    load: () => invalidations.forgetAll(),
  };
}
