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
  type InstanceEntry,
  type VerdictEntry,
} from "@tocsin/shared/contract";
import { JournalConflict } from "@tocsin/shared/journal";
import { Judgement, probe, type ProbeTarget } from "@tocsin/shared/probe";
import type { CurrentConfig } from "../catalogue/current-config.ts";
import type { State } from "../sync/state.ts";
import type { Peers, Renewal } from "../leader/peers.ts";
import type { Brake } from "./brake.ts";
import { healthKey, isNeeded, saysQuorum, Standing } from "./standing.ts";
import type { Quorum } from "./quorum.ts";
import { ownerOf } from "./rendezvous.ts";
import { knownInstances } from "./roster.ts";

/** A probe that ends so much later than its own limit, in milliseconds, was kept waiting by this very process. */
const stoodStillMs: Milliseconds = 1_000;
/** Deaths within so long, in milliseconds, or within one interval of probes, happened at once. */
const leastWindowMs: Milliseconds = 2_000;
/** How long a look for another node may take, in milliseconds: it waits for a second. */
const opinionTimeoutMs: Milliseconds = 800;

export interface ProberOptions {
  readonly node: NodeName;
  readonly peers: Pick<Peers, "live" | "onChange" | "onDoubts" | "answer">;
  readonly brake: Pick<Brake, "contradicted">;
  readonly quorum: Pick<Quorum, "outOf" | "settling" | "onChange">;
  /** Looks at an instance. Default: over the network. */
  readonly look?: typeof probe;
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
  /** When it went from healthy to unhealthy here, by the monotonic clock. */
  diedAt?: Milliseconds;
  /** Somebody reaches it, so it is not said to be dead. Since when by the wall clock, in milliseconds, and who. */
  held?: { readonly since: number; readonly reason: string };
  /** A verdict is being written; `again`: and it may have to be written once more. */
  declaring?: "once" | "again";
  cancel: () => void;
}

export interface Prober extends AsyncDisposable {
  /** Instances that are looked after. */
  readonly watched: number;
  /** Instances that this node does not reach, and that others do. */
  readonly held: number;
  /** Why an instance is not said to be dead although this node does not reach it. */
  heldOf(instance: InstanceEntry): { readonly since: number; readonly reason: string } | undefined;
}

export function startProber(options: ProberOptions): Prober {
  const {
    node,
    peers,
    brake,
    quorum,
    state,
    config,
    clock,
    random,
    log,
    look: ask = probe,
  } = options;
  const watched = new Map<string, Watched>();
  const standing = new Standing(state);
  let closed = false;

  function policyOf(instance: InstanceEntry): HealthPolicy {
    const policy = config.now().services[instance.service]?.health ?? HealthPolicy.parse({});
    const { path, intervalMs, timeoutMs } = instance.health ?? {};
    // A sidecar asks for the service's health path itself, and takes it out; from here that path lies behind authentication.
    const own = instance.metadata?.["sidecar"] === "true" ? { path: undefined } : {};
    return {
      ...policy,
      ...own,
      ...(path === undefined ? {} : { path }),
      ...(intervalMs === undefined ? {} : { interval: intervalMs }),
      ...(timeoutMs === undefined ? {} : { timeout: timeoutMs }),
    };
  }

  /** Begins to look after what is new, and stops with what is gone. A changed policy counts from the next probe on. */
  function review(): void {
    if (closed) return;
    const known = new Map<string, InstanceEntry>();
    const instances = knownInstances(state, config);
    standing.review(instances);
    for (const instance of instances) {
      if (instance.state === "active" && ownerOf(healthKey(instance), peers.live()) === node)
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
      const held = standing.of(instance);
      const one: Watched = {
        instance,
        // What was decided for this very life before this node began still counts; not what was found at another address, where the
        // first probe decides anew.
        judgement: new Judgement(
          moved
            ? undefined
            : // Its probes were good when circuits took it out.
              saysQuorum(held?.reason)
              ? "healthy"
              : held?.verdict,
        ),
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
    const askedAt = clock.monotonic();
    const result = await ask(targetOf(instance, policy), clock, one.stop.signal);
    if (one.stop.signal.aborted) return;
    // A probe that ends long after its time tells of this process, which stood still, and not of the instance.
    if (clock.monotonic() - askedAt <= policy.timeout + stoodStillMs) {
      const before = judgement.verdict;
      judgement.note(result, policy);
      if (before === "healthy" && judgement.verdict === "unhealthy") one.diedAt = clock.monotonic();
    }
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

  /** What probes found; and where those are good, what the circuits of proxies say together. */
  function verdictOf({ instance, judgement }: Watched): Pick<Judgement, "verdict" | "reason"> {
    if (judgement.verdict !== "healthy") return judgement;
    const out = quorum.outOf(instance);
    if (out !== undefined)
      return isNeeded(instance, knownInstances(state, config), (other) => standing.of(other))
        ? judgement
        : { verdict: "unhealthy", reason: out.reason };
    const { verdict, reason } = standing.of(instance) ?? {};
    // This node does not know yet what the one knew that wrote it.
    return quorum.settling && saysQuorum(reason) ? { verdict, reason } : judgement;
  }

  /** Writes the verdict down where it differs from what stands in the journal. */
  async function write(one: Watched): Promise<void> {
    const { instance, judgement, stop } = one;
    const { verdict, reason } = verdictOf(one);
    const held = state.health.get(healthKey(instance));
    const before = standing.of(instance);
    const stands = before?.verdict;
    if (verdict === "healthy") delete one.held;
    if (verdict === undefined) return;
    // Who says so counts too; each other probe may give another reason, and that does not.
    const sameVoice = reason === undefined || saysQuorum(reason) === saysQuorum(before?.reason);
    if (stands === verdict && sameVoice) return;
    if (judgement.verdict === "unhealthy" && stands === "healthy" && (await isHeld(one))) return;
    if (stop.signal.aborted || verdictOf(one).verdict !== verdict) return;
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

  /** Whether an instance stays in the rotation because others reach it. Asked only when much seems to die at once. */
  async function isHeld(one: Watched): Promise<boolean> {
    const windowMs = Math.max(leastWindowMs, policyOf(one.instance).interval);
    const now = clock.monotonic();
    const dying = [...watched.values()].filter(
      ({ judgement, diedAt }) =>
        judgement.failing ||
        (judgement.verdict === "unhealthy" && diedAt !== undefined && now - diedAt <= windowMs),
    );
    const living = [...watched.values()].filter(({ judgement }) => judgement.verdict === "healthy");
    const before = new Set([...dying, ...living]).size;
    if (one.held === undefined && dying.length * 2 <= before) return false;
    const against = await brake.contradicted(one.instance);
    const { service, instance } = one.instance;
    if (against === undefined) {
      delete one.held;
      return false;
    }
    if (one.held === undefined)
      log.warn(
        { service, instance, cause: one.judgement.reason, against },
        "not reached from here",
      );
    one.held = { since: one.held?.since ?? clock.wall(), reason: against };
    return true;
  }

  /** Looks at instances for another node. */
  async function lookFor(doubts: readonly Renewal[]): Promise<void> {
    const known = new Map(
      knownInstances(state, config).map((instance) => [
        `${instance.service}.${instance.instance}.${instance.boot}`,
        instance,
      ]),
    );
    const opinions = await Promise.all(
      doubts.map(async ([service, name, boot]) => {
        const instance = known.get(`${service}.${name}.${boot}`);
        if (instance === undefined) return undefined;
        const target = targetOf(instance, policyOf(instance));
        const { well } = await ask(
          { ...target, timeoutMs: Math.min(target.timeoutMs, opinionTimeoutMs) },
          clock,
          closing.signal,
        );
        return { service, instance: name, boot, well };
      }),
    );
    if (!closed) peers.answer(opinions.filter((opinion) => opinion !== undefined));
  }

  const closing = new AbortController();
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
  const stopHearing = [
    peers.onChange(reviewSoon),
    peers.onDoubts((doubts) => void lookFor(doubts)),
  ];
  // The health journal lives in memory: after a restart of the store it is empty, and what is known is written again.
  state.onHealth(() => {
    for (const one of watched.values()) {
      if (
        one.judgement.verdict !== undefined &&
        (state.health.get(healthKey(one.instance)) === undefined ||
          // The one beside it may have died, or be back.
          quorum.outOf(one.instance) !== undefined)
      )
        void declare(one);
    }
  });
  quorum.onChange((life) => {
    if (closed) return;
    for (const one of life === undefined ? watched.values() : [watched.get(life)])
      if (one !== undefined) void declare(one);
  });
  review();

  return {
    get watched() {
      return watched.size;
    },
    get held() {
      return [...watched.values()].filter(({ held }) => held !== undefined).length;
    },
    heldOf: (instance) =>
      watched.get(`${instance.service}.${instance.instance}.${instance.boot}`)?.held,
    [Symbol.asyncDispose]: once(() => {
      closed = true;
      closing.abort(new Error("closed"));
      for (const stop of stopHearing) stop();
      for (const { stop, cancel } of watched.values()) {
        cancel();
        stop.abort(new Error("closed"));
      }
      watched.clear();
    }),
  };
}

function targetOf(instance: InstanceEntry, policy: HealthPolicy): ProbeTarget {
  return {
    url: instance.url,
    address: instance.address,
    path: policy.path,
    timeoutMs: policy.timeout,
  };
}

function wantsAgain({ declaring }: Watched): boolean {
  return declaring === "again";
}
