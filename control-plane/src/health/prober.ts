/** Looks after every instance, and writes down when its verdict changes. */
import {
  messageOf,
  once,
  type Clock,
  type Log,
  type Milliseconds,
  type NodeName,
  type Random,
} from "@tocsin/shared";
import {
  HealthPolicy,
  protocolVersion,
  staticInstances,
  type InstanceEntry,
  type VerdictEntry,
} from "@tocsin/shared/contract";
import { JournalConflict } from "@tocsin/shared/journal";
import type { CurrentConfig } from "../catalogue/current-config.ts";
import type { State } from "../sync/state.ts";
import { Judgement } from "./judgement.ts";
import { probe } from "./probe.ts";

export interface ProberOptions {
  readonly node: NodeName;
  readonly state: State;
  readonly config: CurrentConfig;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

interface Watched {
  /** As it registered last: its policy may change within one life. */
  instance: InstanceEntry;
  readonly judgement: Judgement;
  readonly stop: AbortController;
  /** A verdict is being written; `again`: and it may have to be written once more. */
  declaring?: "once" | "again";
  cancel: () => void;
}

export interface Prober extends AsyncDisposable {
  /** Instances that are looked after. */
  readonly watched: number;
}

/** All instances there are: those of the config, and those that registered and are not leaving. */
export function knownInstances(state: State, config: CurrentConfig): InstanceEntry[] {
  const registered = [...state.catalogue.values()].flatMap(({ value }) =>
    value.kind === "instance" ? [value] : [],
  );
  return [...staticInstances(config.now()), ...registered];
}

export function startProber(options: ProberOptions): Prober {
  const { node, state, config, clock, random, log } = options;
  const watched = new Map<string, Watched>();
  let closed = false;

  function policyOf(instance: InstanceEntry): HealthPolicy {
    const policy = config.now().services[instance.service]?.health ?? HealthPolicy.parse({});
    const { path, intervalMs, timeoutMs } = instance.health ?? {};
    return {
      ...policy,
      ...(path === undefined ? {} : { path }),
      ...(intervalMs === undefined ? {} : { interval: intervalMs }),
      ...(timeoutMs === undefined ? {} : { timeout: timeoutMs }),
    };
  }

  /** Begins to look after what is new, and stops with what is gone. A changed policy counts from the next probe on. */
  function review(): void {
    if (closed) return;
    const known = new Map<string, InstanceEntry>();
    for (const instance of knownInstances(state, config)) {
      if (instance.state === "active")
        known.set(`${instance.service}.${instance.instance}.${instance.boot}`, instance);
    }
    for (const [key, { stop, cancel }] of watched) {
      if (known.has(key)) continue;
      watched.delete(key);
      cancel();
      stop.abort(new Error("gone"));
    }
    for (const [key, instance] of known) {
      const before = watched.get(key);
      const moved =
        before !== undefined &&
        (before.instance.url !== instance.url || before.instance.address !== instance.address);
      if (before !== undefined && !moved) {
        before.instance = instance;
        continue;
      }
      before?.cancel();
      before?.stop.abort(new Error("moved"));
      const held = state.health.get(healthKey(instance))?.value;
      const one: Watched = {
        instance,
        // What was decided for this very life before this node began still counts; not what was found at another address, where the
        // first probe decides anew.
        judgement: new Judgement(!moved && held?.boot === instance.boot ? held.verdict : undefined),
        stop: new AbortController(),
        cancel: () => {},
      };
      watched.set(key, one);
      void look(one);
    }
  }

  async function look(one: Watched): Promise<void> {
    const { instance, judgement } = one;
    const policy = policyOf(instance);
    const result = await probe(
      {
        url: instance.url,
        address: instance.address,
        path: policy.path,
        timeoutMs: policy.timeout,
      },
      clock,
      one.stop.signal,
    );
    if (one.stop.signal.aborted) return;
    judgement.note(result, policy);
    // Jitter, so that the probes of many instances spread out.
    const delayMs: Milliseconds = policy.interval * (0.9 + random() * 0.2);
    one.cancel = clock.after(delayMs, () => void look(one));
    await declare(one);
  }

  /** Writes the verdict down, one write at a time: each entry that arrives asks for it again. */
  async function declare(one: Watched): Promise<void> {
    if (one.declaring !== undefined) {
      one.declaring = "again";
      return;
    }
    let again: boolean;
    do {
      one.declaring = "once";
      await write(one);
      again = wantsAgain(one) && !one.stop.signal.aborted;
    } while (again);
    delete one.declaring;
  }

  /** Writes the verdict down where it differs from what stands in the journal. */
  async function write({ instance, judgement, stop }: Watched): Promise<void> {
    const { verdict, reason } = judgement;
    const held = state.health.get(healthKey(instance));
    if (
      verdict === undefined ||
      (held?.value.boot === instance.boot && held.value.verdict === verdict)
    )
      return;
    const entry: VerdictEntry = {
      v: protocolVersion,
      service: instance.service,
      instance: instance.instance,
      boot: instance.boot,
      verdict,
      by: node,
      ...(reason === undefined || verdict === "healthy" ? {} : { reason }),
    };
    try {
      await state.write(
        "health",
        { key: healthKey(instance), body: JSON.stringify(entry) },
        { expected: held?.recorded.sequence ?? 0, signal: stop.signal },
      );
      log.info(
        { service: instance.service, instance: instance.instance, verdict, reason },
        "verdict changed",
      );
    } catch (error) {
      if (stop.signal.aborted || error instanceof JournalConflict) return;
      // The next probe declares it again.
      log.warn(
        { service: instance.service, instance: instance.instance, cause: messageOf(error) },
        "verdict cannot be written yet",
      );
    }
  }

  let reviewing = false;
  const reviewSoon = () => {
    if (reviewing) return;
    reviewing = true;
    // Many entries may come at once.
    queueMicrotask(() => {
      reviewing = false;
      review();
    });
  };
  state.onCatalogue(reviewSoon);
  // The health journal lives in memory: after a restart of the store it is empty, and what is known is written again.
  state.onHealth(() => {
    for (const one of watched.values()) {
      if (
        one.judgement.verdict !== undefined &&
        state.health.get(healthKey(one.instance)) === undefined
      )
        void declare(one);
    }
  });
  review();

  return {
    get watched() {
      return watched.size;
    },
    [Symbol.asyncDispose]: once(() => {
      closed = true;
      for (const { stop, cancel } of watched.values()) {
        cancel();
        stop.abort(new Error("closed"));
      }
      watched.clear();
    }),
  };
}

function wantsAgain({ declaring }: Watched): boolean {
  return declaring === "again";
}

function healthKey(instance: InstanceEntry): string {
  return `${instance.service}.${instance.instance}`;
}
