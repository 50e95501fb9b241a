/** Writes revocations straight into a journal, as the control plane would one by one. */
import { randomUUID } from "node:crypto";
import { protocolVersion, type RevocationEntry } from "@tocsin/shared/contract";
import type { Journal } from "@tocsin/shared/journal";
import { issuer } from "./tokens.ts";

const atOnce = 1_000;

/** @returns the `jti` of the last one */
export async function fill(journal: Journal, count: number): Promise<string> {
  const expiresAt = Math.floor(Date.now() / 1_000) + 24 * 3_600;
  let last = "";
  for (let written = 0; written < count; written += atOnce) {
    const appends = Array.from({ length: Math.min(atOnce, count - written) }, () => {
      const id = randomUUID();
      last = id;
      const entry: RevocationEntry = {
        v: protocolVersion,
        kind: "token",
        id,
        issuer,
        jti: id,
        expiresAt,
      };
      return journal.append({ key: "token", body: JSON.stringify(entry) });
    });
    await Promise.all(appends);
  }
  return last;
}
