import type { CatalogueEntry } from "@tocsin/shared/contract";

/** Whether one entry of a key of the catalogue is newer than another, by what they say themselves; undefined: they do not say. */
export function newer(mine: CatalogueEntry, theirs: CatalogueEntry): boolean | undefined {
  if (mine.kind === "config" && theirs.kind === "config") return mine.revision > theirs.revision;
  if (mine.kind === "leader" && theirs.kind === "leader") return mine.term > theirs.term;
  if (mine.kind === "api-key" && theirs.kind === "api-key") {
    // What was taken back stays so, whatever came first.
    const isRevoked = mine.revokedAt !== undefined;
    if (isRevoked !== (theirs.revokedAt !== undefined)) return isRevoked;
    return mine.revision === theirs.revision ? undefined : mine.revision > theirs.revision;
  }
  return undefined;
}
