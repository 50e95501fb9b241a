import type { RevocationSet } from "@tocsin/shared/revocations";

/** Addresses that are remembered, with whether they are shut out; then all are asked about anew. */
const rememberedAtMost = 50_000;

/** Tells whether an address is shut out. What was said last is remembered until other addresses are. */
export function doorOf(revocations: RevocationSet): (address: string) => boolean {
  const known = new Map<string, boolean>();
  let version = -1;
  return (address) => {
    if (revocations.addresses === 0) return false;
    if (version !== revocations.addressVersion || known.size >= rememberedAtMost) {
      known.clear();
      version = revocations.addressVersion;
    }
    let blocked = known.get(address);
    if (blocked === undefined) known.set(address, (blocked = revocations.blocks(address)));
    return blocked;
  };
}
