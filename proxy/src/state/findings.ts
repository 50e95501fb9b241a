import type { Cancel, Clock, Milliseconds, NodeName } from "@tocsin/shared";
import { subjects, type Bus } from "@tocsin/shared/bus";
import { protocolVersion, type ProxyReport } from "@tocsin/shared/contract";

/** Time between two reports, in milliseconds. */
const everyMs: Milliseconds = 2_000;
/** Time that several instances that fail at the same moment are waited for, in milliseconds. */
const urgentMs: Milliseconds = 100;
/** Instances in one report. */
const inOneReport = 1_000;

export interface FindingsOptions {
  readonly node: NodeName;
  readonly bus: Bus;
  readonly clock: Clock;
  /** What requests found out about instances since the last report. */
  readonly take: () => ProxyReport["instances"];
}

/** Tells the control plane what requests found out about instances: every two seconds, and soon after one begins to fail. */
export class Findings implements Disposable {
  readonly #options: FindingsOptions;
  readonly #stop: Cancel;
  #urgent: Cancel | undefined;

  constructor(options: FindingsOptions) {
    this.#options = options;
    this.#stop = options.clock.every(everyMs, () => this.#report());
  }

  /** Something happened that should be known soon. */
  urge(): void {
    this.#urgent ??= this.#options.clock.after(urgentMs, () => {
      this.#urgent = undefined;
      this.#report();
    });
  }

  [Symbol.dispose](): void {
    this.#stop();
    this.#urgent?.();
  }

  #report(): void {
    const { node, bus, take } = this.#options;
    const instances = take();
    for (let at = 0; at < instances.length; at += inOneReport) {
      const report: ProxyReport = {
        v: protocolVersion,
        proxy: node,
        instances: instances.slice(at, at + inOneReport),
      };
      bus.publish(subjects.report(node), JSON.stringify(report));
    }
  }
}
