export { RevocationSet } from "./revocation-set.ts";
export type { Credential } from "./credential.ts";
export type { Fingerprint } from "./generation.ts";
export { primaryKeyOf } from "./dump-format.ts";
export { readRevocation } from "./read.ts";
export { collectHoldings } from "./collect.ts";
export type { CollectOptions } from "./collect.ts";
export { sendHolding } from "./held.ts";
export type { HeldJournal, Holding } from "./held.ts";
