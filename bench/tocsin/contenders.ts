/** Tocsin, in the ways that are measured. */
import type { Contender, Surroundings } from "../contender.ts";
import { startProxyNode } from "./cluster.ts";
import { startStandalone } from "./standalone.ts";

const openTitle = "routing + metrics + access log";
const policiesTitle = "routing + JWT + revocation + metrics + access log";

/** @param revocations how many are loaded where tokens are checked */
export function tocsinContenders(revocations: number): readonly Contender[] {
  return [
    {
      name: "tocsin-open",
      title: `tocsin, proxied: ${openTitle}`,
      start: (surroundings) => startStandalone(surroundings, undefined),
    },
    {
      name: "tocsin-policies",
      title: `tocsin, proxied: ${policiesTitle}`,
      start: (surroundings) => startStandalone(surroundings, revocations),
    },
    {
      name: "tocsin-proxy-open",
      title: `tocsin proxy (cluster): ${openTitle}`,
      onRequest: true,
      start: (surroundings) => startProxyNode(surroundings, undefined),
    },
    {
      name: "tocsin-proxy-policies",
      title: `tocsin proxy (cluster): ${policiesTitle}`,
      onRequest: true,
      start: (surroundings) => startProxyNode(surroundings, revocations),
    },
    ...[1, 2].map((workers) => ({
      name: `tocsin-workers-${workers}`,
      title: `tocsin proxy (cluster), ${workers === 1 ? "one process" : `${workers} workers`}, on any core: ${openTitle}`,
      onRequest: true as const,
      start: (surroundings: Surroundings) => startProxyNode(surroundings, undefined, workers),
    })),
  ];
}
