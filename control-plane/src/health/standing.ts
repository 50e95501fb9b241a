/** What stands in the journal about an instance, and who said it: probes, or the circuits of proxies together. */
import type { InstanceEntry, VerdictEntry } from "@tocsin/shared/contract";
import type { Recorded } from "@tocsin/shared/journal";
import type { State } from "../sync/state.ts";

export function healthKey({
  service,
  instance,
}: Pick<InstanceEntry, "service" | "instance">): string {
  return `${service}.${instance}`;
}

const begins = "circuit open on ";

export function quorumReason(open: number, of: number): string {
  return `${begins}${open} of ${of} proxies`;
}

/** Whether a verdict with this reason comes from circuits, not from probes. */
export function saysQuorum(reason: string | undefined): boolean {
  return reason?.startsWith(begins) ?? false;
}

/** What stands in the journal about the instances that there are. */
export class Standing {
  readonly #state: Pick<State, "health">;
  /** By name: the life that each lives. */
  #lives: ReadonlyMap<string, string> = new Map();
  /** What stood about lives when they ended. */
  readonly #over = new Map<string, Recorded>();

  constructor(state: Pick<State, "health">) {
    this.#state = state;
  }

  /**
   * Takes note of who there is. Proxies forget the verdict on a life with the life: should an instance come back and call itself by
   * the same one, what stands about it does not count, and has to be written again.
   */
  review(instances: readonly InstanceEntry[]): void {
    const lives = new Map(instances.map((instance) => [healthKey(instance), instance.boot]));
    for (const { value, recorded } of this.#state.health.values()) {
      const key = healthKey(value);
      if (lives.get(key) === value.boot) continue;
      // A verdict may come before the catalogue tells of that life.
      if (this.#lives.size === 0 || this.#lives.get(key) === value.boot)
        this.#over.set(key, recorded);
    }
    this.#lives = lives;
  }

  /** Undefined: nothing about this very life. */
  of(instance: InstanceEntry): VerdictEntry | undefined {
    const key = healthKey(instance);
    const found = this.#state.health.get(key);
    if (found?.value.boot !== instance.boot) return undefined;
    const over = this.#over.get(key);
    const { sequence, epoch } = found.recorded;
    return over?.sequence === sequence && over.epoch === epoch ? undefined : found.value;
  }
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
