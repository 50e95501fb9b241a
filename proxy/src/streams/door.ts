import type { RevocationSet } from "@tocsin/shared/revocations";

/** Addresses that are remembered, with whether they are shut out; then all are asked about anew. */
const rememberedAtMost = 10_000;

/** Tells whether an address is shut out. What was said last is remembered until something is revoked or lifted. */
export function doorOf(revocations: RevocationSet): (address: string) => boolean {
  const known = new Map<string, boolean>();
  let version = 0;
  return (address) => {
    if (revocations.addresses === 0) return false;
    if (version !== revocations.version || known.size >= rememberedAtMost) {
      known.clear();
      ({ version } = revocations);
    }
    let blocked = known.get(address);
    if (blocked === undefined) known.set(address, (blocked = revocations.blocks(address)));
    return blocked;
  };
}
