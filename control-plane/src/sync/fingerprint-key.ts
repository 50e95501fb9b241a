import { randomBytes } from "node:crypto";
import {
  catalogueKeys,
  protocolVersion,
  type CatalogueEntry,
  type FingerprintKey,
} from "@tocsin/shared/contract";
import { JournalConflict, type AppendOptions, type Entry } from "@tocsin/shared/journal";

/** The key that an entry of the catalogue gives to the fleet; undefined: it is about something else. */
export function keyIn(entry: CatalogueEntry): Uint8Array | undefined {
  return entry.kind === "fingerprint-key" ? Buffer.from(entry.key, "base64url") : undefined;
}

/**
 * Gives the fleet a fingerprint key. When another node was faster, its key is the one.
 *
 * @param proposal the key that proxies use already. Default: a new one
 * @throws JournalUnavailable
 */
export async function giveKey(
  write: (entry: Entry, options: AppendOptions) => Promise<unknown>,
  proposal: Uint8Array = randomBytes(16),
): Promise<void> {
  const entry: FingerprintKey = {
    v: protocolVersion,
    kind: "fingerprint-key",
    key: Buffer.from(proposal).toString("base64url"),
  };
  try {
    await write(
      { key: catalogueKeys.fingerprintKey, body: JSON.stringify(entry) },
      { expected: 0 },
    );
  } catch (error) {
    if (!(error instanceof JournalConflict)) throw error;
  }
}
