import type { UpstreamInstance } from "../instances.ts";

/** What a choice among the instances of a service goes by. */
export interface Choice {
  /** Keys of instances that had this request already: never chosen. */
  readonly tried: readonly string[];
  /** Whether the circuit of an instance lets a request through now. Undefined: all do. */
  readonly lets: ((instance: UpstreamInstance) => boolean) | undefined;
  /** What a consistent hash goes by; undefined: the policy does not ask for one. */
  readonly key: string | undefined;
}

/** Nothing is known about the request. */
export const anyone: Choice = { tried: [], lets: undefined, key: undefined };

/** Whose turn it is among the instances of one service. */
export interface Balance {
  /**
   * @param instances those that are in rotation; a new list when they have changed, so that what is made of it can be kept
   * @returns undefined when none of them may have the request
   */
  pick(instances: readonly UpstreamInstance[], choice: Choice): UpstreamInstance | undefined;
}

export function mayHave({ tried, lets }: Choice, instance: UpstreamInstance): boolean {
  return !tried.includes(instance.key) && lets?.(instance) !== false;
}
