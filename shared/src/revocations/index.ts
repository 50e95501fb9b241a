export { RevocationSet } from "./revocation-set.ts";
export type { Credential } from "./revocation-set.ts";
export type { Fingerprint } from "./generation.ts";
export { primaryKeyOf } from "./dump-format.ts";
export { readRevocation } from "./read.ts";
