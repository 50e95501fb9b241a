/** What stands in the journal about an instance, and who said it: probes, or the circuits of proxies together. */
import type { InstanceEntry, VerdictEntry } from "@tocsin/shared/contract";
import type { State } from "../sync/state.ts";

const begins = "circuit open on ";

export function quorumReason(open: number, of: number): string {
  return `${begins}${open} of ${of} proxies`;
}

/** Whether a verdict with this reason comes from circuits, not from probes. */
export function saysQuorum(reason: string | undefined): boolean {
  return reason?.startsWith(begins) ?? false;
}

/** Undefined: nothing about this very life. */
export function standing(
  state: Pick<State, "health">,
  { service, instance, boot }: InstanceEntry,
): VerdictEntry | undefined {
  const found = state.health.get(`${service}.${instance}`)?.value;
  return found?.boot === boot ? found : undefined;
}

/**
 * Without it none of its service would be in rotation, because no other one is. It stays then: the circuit of each proxy speaks for
 * itself. When circuits took out several at the same moment, by several nodes too, the first of them by name comes back.
 *
 * @param verdictOn what stands in the journal
 */
export function isNeeded(
  instance: InstanceEntry,
  all: readonly InstanceEntry[],
  verdictOn: (instance: InstanceEntry) => Pick<VerdictEntry, "verdict" | "reason"> | undefined,
): boolean {
  const others = all.filter(
    (other) =>
      other.service === instance.service &&
      other.instance !== instance.instance &&
      other.state === "active",
  );
  if (others.some((other) => verdictOn(other)?.verdict === "healthy")) return false;
  const isOut = (one: InstanceEntry) => saysQuorum(verdictOn(one)?.reason);
  return (
    !isOut(instance) || !others.some((other) => isOut(other) && other.instance < instance.instance)
  );
}
