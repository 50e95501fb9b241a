import type { InstanceEntry, RevocationEntry, VerdictEntry } from "@tocsin/shared/contract";

/** Entries as a control plane writes them. */

export function instance(
  service: string,
  name: string,
  more: Partial<InstanceEntry> = {},
): InstanceEntry {
  return {
    v: 1,
    kind: "instance",
    service,
    instance: name,
    boot: "boot-1",
    url: "http://127.0.0.1:8081",
    weight: 1,
    state: "active",
    ...more,
  };
}

export const gone = { v: 1, kind: "gone" } as const;

export function verdict(
  service: string,
  name: string,
  found: VerdictEntry["verdict"] = "healthy",
  boot = "boot-1",
): VerdictEntry {
  return { v: 1, service, instance: name, boot, verdict: found, by: "cp" };
}

/** A config as the control plane records it. The document may be wrong. */
export function config(revision: number, document: object = { version: 1 }): object {
  return { v: 1, kind: "config", revision, document, source: "" };
}

export function revokedToken(jti: string, expiresAt: number): RevocationEntry {
  return { v: 1, id: `revocation-${jti}`, kind: "token", issuer: "shop", jti, expiresAt };
}
