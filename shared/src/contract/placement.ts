import { catalogueKeys, type CatalogueEntry, type VerdictEntry } from "./entries.ts";

/**
 * An entry of the catalogue stands under the key of what it is about: under another one it would take the place of something else.
 *
 * @throws Error naming kind and key when it does not
 */
export function assertCatalogueKey(key: string, entry: CatalogueEntry): void {
  if (!belongs(key, entry)) throw new Error(`an entry of kind ${entry.kind} under the key ${key}`);
}

function belongs(key: string, entry: CatalogueEntry): boolean {
  switch (entry.kind) {
    case "config":
      return key === catalogueKeys.config;
    case "instance":
      return key === catalogueKeys.instance(entry.service, entry.instance);
    case "api-key":
      return key === catalogueKeys.apiKey(entry.id);
    case "leader":
      return key === catalogueKeys.leader;
    case "fingerprint-key":
      return key === catalogueKeys.fingerprintKey;
    case "gone":
      // Without a config there is no route: that is never meant.
      return key !== catalogueKeys.config;
    default:
      return entry satisfies never;
  }
}

/** @throws Error naming both when a verdict stands under the key of another instance */
export function assertHealthKey(key: string, { service, instance }: VerdictEntry): void {
  if (key !== `${service}.${instance}`)
    throw new Error(`a verdict on ${service}.${instance} under the key ${key}`);
}
