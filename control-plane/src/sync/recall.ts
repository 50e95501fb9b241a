/**
 * What the fleet still knows when the store has lost it and no control plane is left that remembers: a node that starts asks the
 * proxies where they stand, and where they stand ahead of the store, what they hold
 * (docs/design/decisions/0018-a-store-that-went-backwards.md).
 */
import { z } from "zod";
import { messageOf, type Log, type NodeName } from "@tocsin/shared";
import { CatalogueEntry } from "@tocsin/shared/contract";
import type { Epoch, Head, Recorded, Sequence } from "@tocsin/shared/journal";
import { RevocationSet, type Holding } from "@tocsin/shared/revocations";

/** Where a proxy stands in one journal. */
export interface Standing {
  readonly proxy: NodeName;
  readonly epoch: Epoch;
  readonly applied: Sequence;
}

/** The proxies, as a starting node sees them. */
export interface Fleet {
  /** Where each live proxy stands in a journal that it has ever heard of, asked anew. */
  standings(): Promise<
    Readonly<Record<"catalogue" | "revocations" | "invalidations", readonly Standing[]>>
  >;
  /** What these proxies hold. Who does not answer in time is left out. */
  collect(
    journals: readonly ("catalogue" | "revocations")[],
    proxies: readonly NodeName[],
  ): Promise<readonly Holding[]>;
}

/** A fleet without proxies. */
export const noFleet: Fleet = {
  standings: () => Promise.resolve({ catalogue: [], revocations: [], invalidations: [] }),
  collect: () => Promise.resolve([]),
};

/** Proxies that are asked at the same time, at most: each may have to send a million revocations. */
const askedAtOnce = 3;

/** Those who know more of a journal than its store has: of each epoch the one who has applied most. */
export function furthest(standings: readonly Standing[], { epoch, head }: Head): Standing[] {
  const best = new Map<Epoch, Standing>();
  for (const standing of standings) {
    if (standing.epoch === epoch && standing.applied <= head) continue;
    if (standing.applied > (best.get(standing.epoch)?.applied ?? 0))
      best.set(standing.epoch, standing);
  }
  return [...best.values()].toSorted((a, b) => b.applied - a.applied).slice(0, askedAtOnce);
}

/** The sets of revocations that proxies hold, the largest first. */
export function heldSets(holdings: readonly Holding[], log: Log): RevocationSet[] {
  const sets: RevocationSet[] = [];
  for (const { journal, proxy, bytes } of holdings) {
    if (journal !== "revocations") continue;
    try {
      sets.push(RevocationSet.restore(bytes));
    } catch (error) {
      log.warn({ proxy, journal, cause: messageOf(error) }, "holding of a proxy not understood");
    }
  }
  return sets.toSorted((a, b) => b.size - a.size);
}

/** `[sequence, key, body]`, as proxies keep their catalogue. */
const Kept = z.array(z.tuple([z.int().min(0), z.string(), z.string()]));

/** The catalogue as the proxy with the highest revision of the config knows it; of several, the one that has applied most. */
export function heldCatalogue(holdings: readonly Holding[], log: Log): Recorded[] {
  let best: { revision: number; applied: number; entries: Recorded[] } | undefined;
  for (const { journal, proxy, bytes, applied, epoch } of holdings) {
    if (journal !== "catalogue") continue;
    try {
      const entries = Kept.parse(JSON.parse(Buffer.from(bytes).toString())).map(
        ([sequence, key, body]): Recorded => ({ sequence, key, body, epoch }),
      );
      const revision = Math.max(0, ...entries.map(({ body }) => revisionOf(body)));
      if (
        best === undefined ||
        revision > best.revision ||
        (revision === best.revision && applied > best.applied)
      )
        best = { revision, applied, entries };
    } catch (error) {
      log.warn({ proxy, journal, cause: messageOf(error) }, "holding of a proxy not understood");
    }
  }
  return best?.entries ?? [];
}

/** @throws ZodError or SyntaxError when it is no entry of a catalogue */
function revisionOf(body: string): number {
  const entry = CatalogueEntry.parse(JSON.parse(body));
  return entry.kind === "config" ? entry.revision : 0;
}
