import type { StateChange } from "@tocsin/sdk";

/** Collects what `onState` is told, and lets a test wait for a state. */
export function observeStates() {
  const changes: StateChange[] = [];
  const waiting: { state: string; resolve: (change: StateChange) => void }[] = [];
  return {
    changes,
    onState: (change: StateChange): void => {
      changes.push(change);
      for (const { state, resolve } of waiting) if (state === change.state) resolve(change);
    },
    /** The next change to that state. */
    next: (state: StateChange["state"]) =>
      new Promise<StateChange>((resolve) => waiting.push({ state, resolve })),
  };
}
