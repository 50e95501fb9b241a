import type { Clock, Log, Milliseconds, NodeName } from "@tocsin/shared";
import { subjects, type Bus } from "@tocsin/shared/bus";
import {
  protocolVersion,
  type Ack,
  type JournalReport,
  type ProxyHeartbeat,
} from "@tocsin/shared/contract";
import { ofEachJournal, type JournalName, type Sequence } from "@tocsin/shared/journal";
import type { AppliedOrder, ReplicaStatus } from "@tocsin/shared/replica";
import { hear } from "./hear.ts";

export interface ReportsOptions {
  readonly node: NodeName;
  readonly boot: string;
  readonly version: string;
  readonly bus: Bus;
  readonly clock: Clock;
  readonly log: Log;
  readonly replicas: () => Readonly<Record<JournalName, ReplicaStatus>>;
  /** API keys that were used and were not told lately. Absent: nobody looks. */
  readonly usedKeys?: () => readonly string[];
}

/** Time between two heartbeats. */
const heartbeatMs = 2_000;
const maxErrorLength = 500;

/** Tells the control plane what this proxy has applied. What gets lost here, the next heartbeat says again. */
export class Reports implements AsyncDisposable {
  readonly #options: ReportsOptions;
  readonly #stop: (() => void)[];
  readonly #hearing: AsyncDisposable;
  readonly #startedAt: Milliseconds;
  #left = false;

  constructor(options: ReportsOptions) {
    this.#options = options;
    this.#startedAt = options.clock.monotonic();
    this.#stop = [
      options.clock.every(heartbeatMs, () => this.heartbeat()),
      // Who was away for longer than a heartbeat is expected to apply orders again from now on.
      options.bus.onState((state) => {
        if (state === "connected") this.heartbeat();
      }),
    ];
    // A control plane that starts wants to know at once who is there, and how far.
    this.#hearing = hear(subjects.everyProxy("heartbeat"), () => this.heartbeat(), options);
  }

  /** An order was applied, or could not be. */
  acknowledge(journal: JournalName, { operation, sequence, epoch, error }: AppliedOrder): void {
    const { bus, node, replicas } = this.#options;
    const refused: readonly Sequence[] = replicas()[journal].poisoned?.recent ?? [];
    const ack: Ack = {
      v: protocolVersion,
      journal,
      epoch,
      applied: sequence,
      ...(error === undefined ? {} : { error: error.slice(0, maxErrorLength) }),
      refused: [...refused],
    };
    bus.publish(subjects.ack(operation, node), JSON.stringify(ack));
  }

  heartbeat(): void {
    if (!this.#left) this.#beat(false);
  }

  /** This proxy goes away and is not to be waited for. Its last word. */
  leave(): void {
    if (this.#left) return;
    this.#left = true;
    this.#beat(true);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const stop of this.#stop.splice(0)) stop();
    await this.#hearing[Symbol.asyncDispose]();
  }

  #beat(leaving: boolean): void {
    const { bus, clock, node, boot, version } = this.#options;
    const replicas = this.#options.replicas();
    const apiKeys = this.#options.usedKeys?.() ?? [];
    const heartbeat: ProxyHeartbeat = {
      v: protocolVersion,
      proxy: node,
      boot,
      version: version.slice(0, 64),
      uptimeMs: Math.round(clock.monotonic() - this.#startedAt),
      ...(leaving ? { leaving } : {}),
      journals: ofEachJournal((journal) => reportOf(replicas[journal])),
      ...(apiKeys.length === 0 ? {} : { apiKeys: [...apiKeys] }),
    };
    bus.publish(subjects.heartbeat("proxy", node), JSON.stringify(heartbeat));
  }
}

function reportOf(status: ReplicaStatus): JournalReport {
  const { epoch, applied, head, state, stalenessMs, poisoned } = status;
  return {
    ...(epoch === undefined ? {} : { epoch }),
    applied,
    head,
    state,
    ...(stalenessMs === undefined ? {} : { stalenessMs }),
    ...(poisoned === undefined
      ? {}
      : {
          poisoned: {
            ...poisoned,
            error: poisoned.error.slice(0, maxErrorLength),
            recent: [...poisoned.recent],
          },
        }),
  };
}
