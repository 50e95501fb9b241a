export { RevocationSet } from "./revocation-set.ts";
export type { Credential, Fingerprint } from "./revocation-set.ts";
